// A FILE.zip whose run died: every verb says that it was never finished, and running the same backup again finishes it.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openArchiveState } from "../../src/formats/mboxzip/archive-state.ts";
import { findArchive } from "../../src/formats/mboxzip/find.ts";
import { ArchiveRoom } from "../kit/archive-cli.ts";

let room: ArchiveRoom;
let file: string;

beforeAll(async () => {
  room = new ArchiveRoom();
  room.fill(3);
  file = join(room.root, "one.zip");
  const signal = new AbortController().signal;
  // As far as a run comes before its first message.
  const job = `mbox:${room.source}`;
  await using _ = await openArchiveState(await findArchive(file, job, signal), job, false, signal);
  rmSync(join(`${file}.part.d`, "mailferry", "spool"), { recursive: true });
});
afterAll(() => room[Symbol.dispose]());

describe.each(["", "mboxzip:"])("%sFILE.zip", (scheme) => {
  describe.each(["", ".part.d", ".part.d/"])("%s", (end) => {
    it.each(["verify", "restore", "folders"])("%s", async (verb) => {
      const more = verb === "restore" ? [`maildir:${join(room.root, "restored")}`] : [];
      const { code, out, err } = await room.cli(verb, `${scheme}${file}${end}`, ...more);
      expect(code).toBe(2);
      expect(out + err).toContain(`${file} was never finished`);
      expect(err).toContain("Run the same backup again");
      expect(err).not.toContain("Sound");
    });
  });
});

it("the same backup finishes it", async () => {
  expect((await room.cli("backup", `mbox:${room.source}`, `mboxzip:${file}`)).code).toBe(0);
  expect(existsSync(`${file}.part.d`)).toBe(false);
  expect(await room.cli("verify", file)).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 6 messages") });
});
