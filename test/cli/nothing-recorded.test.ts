// A Maildir of which nothing is recorded: never called sound, whether another program made it, or our records are gone.

import { appendFileSync, cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { ArchiveRoom } from "../kit/archive-cli.ts";

let room: ArchiveRoom;
let pristine: string;
let archive: string;

beforeAll(async () => {
  room = new ArchiveRoom();
  room.fill(4);
  pristine = join(room.root, "pristine");
  archive = join(room.root, "archive");
  expect((await room.cli("backup", `mbox:${room.source}`, `maildir:${pristine}`, "--folder", "INBOX")).code).toBe(0);
});
afterAll(() => room[Symbol.dispose]());
beforeEach(() => {
  cpSync(pristine, archive, { recursive: true, preserveTimestamps: true });
  rmSync(join(archive, "mailferry"), { recursive: true });
});
afterEach(() => {
  for (const name of ["archive", "foreign", "restored"])
    rmSync(join(room.root, name), { recursive: true, force: true });
});

const verify = (...more: string[]) => room.cli("verify", archive, ...more);
const first = (): string => join(archive, "cur", readdirSync(join(archive, "cur"))[0] ?? "");

it("the records of an archive are gone: said, also of mail that is gone with them, and made again by the next backup", async () => {
  rmSync(first());
  const { code, err } = await verify("-q");
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining("nothing is recorded") });
  expect(err).toContain("mailferry/, which says what was stored there, is gone");
  expect(err).not.toContain("Sound");
  const { out } = await verify("--json");
  expect(out).toContain('"nothingRecorded":true');
  expect((await room.cli("backup", `mbox:${room.source}`, `maildir:${archive}`, "--folder", "INBOX")).code).toBe(0);
  expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 4 messages") });
});

it("what a name of ours says of a message is a record: other octets are damage", async () => {
  appendFileSync(first(), "more\n");
  expect(await verify()).toMatchObject({ code: 6, err: expect.stringContaining("other bytes than were stored") });
});

it("restore says what went with the records", async () => {
  const { code, err } = await room.cli("restore", archive, `maildir:${join(room.root, "restored")}`);
  expect(code).toBe(0);
  expect(err).toContain(`${join(archive, "mailferry")} is gone`);
});

it("a Maildir of another program is read, and not called sound", async () => {
  const foreign = join(room.root, "foreign");
  for (const place of ["cur", "new", "tmp"]) mkdirSync(join(foreign, place), { recursive: true });
  writeFileSync(join(foreign, "cur", "1.a.b:2,S"), "Subject: y\n\ny\n");
  const { code, err } = await room.cli("verify", `maildir:${foreign}`);
  expect(code).toBe(0);
  expect(err).toContain("Readable: 1 message ");
  expect(err).toContain("nothing is recorded");
  expect(err).not.toContain("Sound");
  expect(err).not.toContain("is gone");
});
