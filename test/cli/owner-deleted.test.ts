// Copies that their owner deleted from an archive: said once, missed by nobody from then on, and told from what was lost.

import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useArchive } from "../kit/archive-cli.ts";

const { room, archive, verify, backup } = useArchive("maildir", [[12, 0]]);
/** The INBOX in the archive. */
const inbox = (): string => join(archive, "cur");
/** By the number that counts up in its name: the oldest first. */
const copies = (): string[] => readdirSync(inbox()).sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
const order = (name: string): number => Number(/Q(\d+)R/.exec(name)?.[1] ?? 0);
const remove = (...at: number[]): void => {
  const names = copies();
  for (const i of at) rmSync(join(inbox(), names.at(i) ?? ""));
};
const GONE = "deleted from the archive";

describe("a copy that its owner deleted", () => {
  it("is called neither damaged nor sound before a run saw it, and is told to the script", async () => {
    remove(2);
    const { code, err } = await verify();
    expect(code).toBe(6);
    expect(err).toContain("INBOX: 1 message that was stored is no longer there");
    expect(err).toContain("Not complete: what is there");
    expect(err).not.toContain("Damaged");
    const { out } = await verify("--json", "-q");
    const events = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toContainEqual({ type: "archive-gone", what: expect.stringContaining("no longer there") });
    expect(events.at(-1)).toMatchObject({ type: "archive-checked", problems: 0, gone: 1 });
  });

  it("is said once by a backup, stays deleted, and is missed by nobody from then on", async () => {
    remove(2);
    expect(await backup()).toMatchObject({ code: 0, err: expect.stringContaining(`1 message of INBOX was ${GONE}`) });
    for (let night = 0; night < 2; night++) {
      const { code, err } = await backup();
      expect(code).toBe(0);
      expect(err).not.toContain(GONE);
      expect(copies()).toHaveLength(11);
    }
    const { code, err } = await verify();
    expect(err).toContain("Sound: 23 messages");
    expect(err).toContain("1 message that was deleted from it by its owner");
    expect(code).toBe(0);
    const restored = await room.cli("restore", archive, `maildir:${join(room.root, "restored")}`);
    expect(restored).toMatchObject({ code: 0, err: expect.not.stringContaining("no longer there") });
    rmSync(join(room.root, "restored"), { recursive: true });
  });

  it("comes back with --recheck", async () => {
    remove(2);
    await backup();
    await backup("--recheck");
    expect(copies()).toHaveLength(12);
    expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 24 messages") });
  });

  it("counts once: whoever deletes a few each month is never given them back", async () => {
    for (let month = 0; month < 5; month++) {
      remove(0);
      expect(await backup()).toMatchObject({
        code: 0,
        err: expect.stringContaining(`1 message of INBOX was ${GONE}`),
      });
    }
    expect(copies()).toHaveLength(7);
    expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 19 messages") });
  });

  it("is no damage when its owner puts it back", async () => {
    const [name = ""] = copies();
    renameSync(join(inbox(), name), join(room.root, name));
    await backup();
    renameSync(join(room.root, name), join(inbox(), name));
    expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 24 messages") });
  });

  it("is not planned to be copied by a dry run", async () => {
    remove(2);
    const { out } = await backup("--dry-run", "--json", "-q");
    expect(JSON.parse(out.trim().split("\n").at(-1) ?? "")).toMatchObject({
      type: "run-finished",
      summary: { balance: { planned: 0, alreadyCopied: 24 } },
    });
  });
});

it("a folder that lacks its newest, or many, went back: that is damage, and is copied again", async () => {
  for (const lost of [[-1], [0, 1, 2]]) {
    remove(...lost);
    expect(await verify()).toMatchObject({ code: 6, err: expect.stringContaining("Damaged: 1 problem") });
    expect(await backup()).toMatchObject({ code: 0, err: expect.not.stringContaining(GONE) });
    expect(copies()).toHaveLength(12);
    expect(await verify()).toMatchObject({ code: 0 });
  }
});
