// A zip that another program packed again without some of its mail: told by every verb, by its directory alone, until --recheck mended it.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { frame, unframe } from "../../src/core/lines.ts";
import { MANIFEST_NAME } from "../../src/formats/manifest.ts";
import { repack, useArchive } from "../kit/archive-cli.ts";

const { room, archive, restored, backup, restore, zips } = useArchive("mboxzip", [
  [6, 0],
  [4, 6],
]);
afterEach(() => rmSync(join(room.root, "one.zip"), { force: true }));

const zipAt = (which: number): string => zips()[which] ?? "";

const lastMessage = (bytes: Buffer): number => bytes.lastIndexOf("\nFrom ") + 1;

/** What a program does that writes an archive anew of what it took for it, line and all. */
function fewerLines(name: string, bytes: Buffer): Buffer {
  if (name !== MANIFEST_NAME) return name === "INBOX.mbox" ? bytes.subarray(0, lastMessage(bytes)) : bytes;
  const lines = bytes.toString("latin1").split("\n").slice(0, -1);
  const ofInbox = lines.map((line) => line.includes('"message"') && line.includes("INBOX.mbox")).lastIndexOf(true);
  return Buffer.from(`${lines.filter((_, i) => i !== ofInbox).join("\n")}\n`, "latin1");
}

describe.each<[string, (name: string, bytes: Buffer) => Buffer | undefined, boolean]>([
  ["an entry", (name, bytes) => (name === "INBOX.mbox" ? undefined : bytes), true],
  ["an entry, and without a comment", (name, bytes) => (name === "INBOX.mbox" ? undefined : bytes), false],
  ["its last message", (name, bytes) => (name === "INBOX.mbox" ? bytes.subarray(0, lastMessage(bytes)) : bytes), true],
  ["a message and the line that lists it", fewerLines, true],
])("without %s", (_, change, keeps) => {
  it.each([0, 1])("zip %d: backup, restore and verify name it, --recheck mends it", async (which) => {
    const path = zipAt(which);
    await repack(path, change, keeps);
    for (let night = 0; night < 2; night++) {
      const next = await backup();
      expect(next).toMatchObject({ code: 3, err: expect.not.stringContaining("Complete") });
      expect(next.err).toContain(path);
      expect(next.err).toContain("--recheck");
    }
    const found = await restore();
    expect(found).toMatchObject({ code: 3, err: expect.not.stringContaining("Complete.") });
    expect(found.err).toContain(path);
    expect(found.err).toContain("--recheck");
    expect((await room.cli("verify", archive)).code).toBe(6);
    await backup("--recheck");
    expect(await room.cli("verify", archive)).toMatchObject({
      code: 0,
      err: expect.stringContaining("Sound: 20 messages"),
    });
    expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
    rmSync(restored, { recursive: true });
    expect((await restore()).code).toBe(0);
  });
});

describe("an archive of an earlier version, which states nothing of its zips", () => {
  /** As it was written then: the same list without the lines of zips. */
  const forget = (): void => {
    const path = join(archive, "mailferry", "inventory.jsonl");
    let zips = 0;
    const lines = readFileSync(path, "latin1")
      .split("\n")
      .slice(0, -1)
      .flatMap((line) => {
        const text = unframe(Buffer.from(line, "latin1")) ?? "";
        if (text.includes('"zips/')) {
          zips++;
          return [];
        }
        const { e, m } = JSON.parse(text);
        return [frame(e === undefined ? text : JSON.stringify({ e, m: m - zips }))];
      });
    expect(zips).toBeGreaterThan(1);
    writeFileSync(path, lines.join(""), "latin1");
  };

  it("tells what lacks of what a manifest lists, by every backup", async () => {
    forget();
    await repack(zipAt(0), (name, bytes) => (name === "INBOX.mbox" ? undefined : bytes));
    for (let night = 0; night < 2; night++) {
      const next = await backup();
      expect(next).toMatchObject({ code: 3, err: expect.stringContaining('the entry "INBOX.mbox" is missing') });
    }
  });

  it("is stated by the next backup, and from then on missed", async () => {
    forget();
    expect((await backup()).code).toBe(0);
    expect((await room.cli("verify", archive)).code).toBe(0);
    await repack(zipAt(0), fewerLines);
    expect((await backup()).code).toBe(3);
    expect((await restore()).code).toBe(3);
  });
});

it("what --recheck looked at stays stated", async () => {
  expect((await backup("--recheck")).code).toBe(0);
  await repack(zipAt(0), fewerLines);
  expect((await restore()).code).toBe(3);
});

it("a FILE.zip that was packed again is told by the next backup, with the way out that it has", async () => {
  const file = join(room.root, "one.zip");
  expect((await room.cli("backup", `mbox:${room.source}`, file)).code).toBe(0);
  expect((await room.cli("backup", `mbox:${room.source}`, file)).code).toBe(0);
  await repack(file, (name, bytes) => (name === "INBOX.mbox" ? undefined : bytes));
  const next = await room.cli("backup", `mbox:${room.source}`, file);
  expect(next).toMatchObject({ code: 3, err: expect.stringContaining('the entry "INBOX.mbox" is missing') });
  expect(next.err).toContain("mboxzip:DIR");
  expect(next.err).not.toContain("--recheck");
});
