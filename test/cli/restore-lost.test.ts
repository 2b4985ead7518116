// What a Maildir archive has lost is told by restore as by verify: a run that brings less than was stored is not complete.

import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { useArchive } from "../kit/archive-cli.ts";

const { room, pristine, archive, restored: target } = useArchive("maildir", [[12, 0]]);

/** Restores a copy of the archive that was spoilt in this way. */
async function restored(spoil: (archive: string) => void, ...more: string[]) {
  for (const path of [archive, target]) rmSync(path, { recursive: true, force: true });
  cpSync(pristine, archive, { recursive: true, preserveTimestamps: true });
  spoil(archive);
  return await room.cli("restore", archive, `maildir:${target}`, ...more);
}

function removing(count: number): (archive: string) => void {
  return (archive) => {
    for (const name of readdirSync(join(archive, "cur")).slice(0, count)) rmSync(join(archive, "cur", name));
  };
}

it("few that are gone may be their owner's doing: said, and complete", async () => {
  for (const [count, said] of [
    [1, "INBOX: 1 message that was stored is no longer there"],
    [2, "INBOX: 2 messages that were stored are no longer there"],
  ] as const)
    expect(await restored(removing(count))).toMatchObject({ code: 0, err: expect.stringContaining(said) });
});

it.each([3, 12])(
  "many that are gone (%i of 12) are lost: not complete, also where nothing else is said",
  async (count) => {
    for (const quiet of [[], ["-q"]]) {
      const { code, err } = await restored(removing(count), ...quiet);
      expect(code).toBe(3);
      expect(err).toContain(`INBOX: ${count} messages that were stored are no longer there`);
      expect(err).toContain("A backup with --recheck");
      expect(err).not.toContain("Complete.");
    }
  },
);

it("a folder that is gone is named, but for one who asked for another", async () => {
  const work = (archive: string): void => {
    for (const name of readdirSync(archive)) if (name.startsWith(".")) rmSync(join(archive, name), { recursive: true });
  };
  const { code, err } = await restored(work);
  expect(code).toBe(3);
  expect(err).toMatch(/Work.*the folder is not there, and with it 12 messages/);
  expect(await restored(work, "--folder", "INBOX")).toMatchObject({ code: 0 });
});

it("an archive to which nothing happened is complete", async () => {
  expect(await restored(() => undefined)).toMatchObject({ code: 0, err: expect.stringContaining("Complete.") });
});
