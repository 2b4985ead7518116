// Folders that are called as other programs' own: read where they are mail, and mail that lies in them is named.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ArchiveRoom } from "../kit/archive-cli.ts";

const LETTER = "From: a@example.org\nTo: b@example.org\nSubject: x\n\nBody\n\n";
const BOX = `From a@example.org Mon Mar  1 10:00:00 2004\n${LETTER}`;

let room: ArchiveRoom;
let root: string;
beforeEach(() => {
  room = new ArchiveRoom();
  root = join(room.root, "mail");
  maildir(root);
});
afterEach(() => room[Symbol.dispose]());

function maildir(path: string): void {
  for (const place of ["cur", "new", "tmp"]) mkdirSync(join(path, place), { recursive: true });
  writeFileSync(join(path, "cur", "1078135200.M1P1.host:2,S"), LETTER);
}
const backup = () => {
  rmSync(join(room.root, "out"), { recursive: true, force: true });
  return room.cli("backup", `maildir:${root}`, `maildir:${join(room.root, "out")}`);
};

it.each(["lost+found", "node_modules", ".git"])("a Maildir called %s is read", async (name) => {
  maildir(join(root, name));
  const { code, err } = await backup();
  expect(code).toBe(0);
  expect(err).toMatch(/copied +2 /);
});

it("mail in one is named, with the way to read it", async () => {
  maildir(join(root, "lost+found", "#123"));
  writeFileSync(join(root, "lost+found", "#124"), BOX);
  const { code, err } = await backup();
  expect(code).toBe(3);
  for (const [kind, name] of [
    ["maildir", "#123"],
    ["mbox", "#124"],
  ]) {
    const place = join(root, "lost+found", name ?? "");
    expect(err).toContain(`Give it by itself: '${kind}:${place}'`);
    expect((await room.cli("folders", `${kind}:${place}`)).code).toBe(0);
  }
});

it("prose, a program's files and snapshots of mail are not named", async () => {
  mkdirSync(join(root, ".git", "objects"), { recursive: true });
  writeFileSync(join(root, ".git", "description"), "From time to time\nthis is edited.\n");
  maildir(join(root, ".snapshots", "daily.0"));
  const { code, err } = await backup();
  expect(code).toBe(0);
  expect(err).not.toContain("looks like mail");
});
