// Mail of other kinds beside the zips of an archive: no part of it, and named by restore and verify.

import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ArchiveRoom } from "../kit/archive-cli.ts";

let room: ArchiveRoom;
let archive: string;

beforeAll(async () => {
  room = new ArchiveRoom();
  archive = join(room.root, "archive");
  room.fill(3);
  expect((await room.cli("backup", `mbox:${room.source}`, `mboxzip:${archive}`)).code).toBe(0);
});
afterAll(() => room[Symbol.dispose]());

it("names what is no part of the archive, and nothing of its own", async () => {
  const restore = async () => {
    rmSync(join(room.root, "restored"), { recursive: true, force: true });
    return await room.cli("restore", archive, `maildir:${join(room.root, "restored")}`);
  };
  const [zip = ""] = readdirSync(archive).filter((name) => name.endsWith(".zip"));
  copyFileSync(join(archive, zip), join(archive, `${zip}.damaged-2026-01-01T000000.000Z`));
  // As a disk left it that was full.
  writeFileSync(join(archive, `${zip}.damaged-2026-01-02T000000.000Z`), "");
  expect((await restore()).code).toBe(0);
  expect((await room.cli("verify", archive)).code).toBe(0);

  copyFileSync(join(room.source, "Inbox"), join(archive, "old.mbox"));
  copyFileSync(join(archive, zip), join(archive, "copy.zip"));
  for (const place of ["cur", "new", "tmp"]) mkdirSync(join(archive, "Maildir", place), { recursive: true });
  writeFileSync(join(archive, "Maildir", "cur", "1.a.b:2,S"), "Subject: y\n\ny\n");
  for (const { code, err } of [await restore(), await room.cli("verify", archive)]) {
    expect(code).toBe(3);
    for (const name of ["old.mbox", "copy.zip", "Maildir"]) expect(err).toContain(join(archive, name));
    expect(err).not.toContain("damaged-");
  }
});
