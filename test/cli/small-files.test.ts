// Small files of an archive that hold nothing of ours any more, or are no files: --recheck makes them again, and the rest goes on.

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { listZips } from "../../src/formats/mboxzip/layout.ts";
import { mendNumbers, readNumbers } from "../../src/formats/mboxzip/numbers.ts";
import { ArchiveRoom } from "../kit/archive-cli.ts";

let room: ArchiveRoom;
let archive: string;
let target: string;

beforeAll(async () => {
  room = new ArchiveRoom();
  room.fill(3);
  for (const kind of ["mboxzip", "maildir"])
    expect((await room.cli("backup", `mbox:${room.source}`, `${kind}:${join(room.root, kind)}`)).code).toBe(0);
});
afterAll(() => room[Symbol.dispose]());
afterEach(() => rmSync(archive, { recursive: true, force: true }));

function take(kind: "mboxzip" | "maildir"): void {
  archive = join(room.root, "archive");
  target = `${kind}:${archive}`;
  cpSync(join(room.root, kind), archive, { recursive: true, preserveTimestamps: true });
}
const backup = (...more: string[]) => room.cli("backup", `mbox:${room.source}`, target, ...more);
const folderOf = (): string =>
  join(archive, readdirSync(archive).find((name) => existsSync(join(archive, name, "maildirfolder"))) ?? "");

async function isSound(): Promise<void> {
  const found = await room.cli("verify", archive);
  expect(found).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 6 messages") });
  expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
}

it.each([
  ["NULs, as a machine leaves that crashed", "\0".repeat(200)],
  ["nonsense", "x\xff\n".repeat(50)],
  ["a good line behind a bad one", "x\n1a2b3c4d {}\n"],
])("the numbers of an archive of zips are %s: told, and made again by --recheck", async (_, content) => {
  take("mboxzip");
  writeFileSync(join(archive, "mailferry", "numbers"), content, "latin1");
  expect(await room.cli("verify", archive)).toMatchObject({ code: 6, err: expect.stringContaining("numbers") });
  expect(await backup("--recheck")).toMatchObject({ code: 3, err: expect.stringContaining("numbers") });
  await isSound();
  // A number is never given again, also where the last zip is gone.
  const [zip = ""] = readdirSync(archive).filter((name) => name.endsWith(".zip"));
  rmSync(join(archive, zip));
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 6,
    err: expect.stringContaining("number 0001 is missing"),
  });
});

it("numbers made again are those of the zips that are there, though the run ends before it writes its own", async () => {
  take("mboxzip");
  const home = join(archive, "mailferry");
  writeFileSync(join(home, "numbers"), "\0".repeat(200));
  rmSync(join(home, "ledger"), { recursive: true });
  const zips = await listZips(archive);
  expect(await mendNumbers(home, zips)).toBe(true);
  expect(await readNumbers(home)).toEqual({ highest: zips.at(-1)?.number, forgiven: [] });
  expect(zips.length).toBe(1);
});

const DEEDS: readonly (readonly [string, (path: string) => void])[] = [
  ["a link to itself", (path) => symlinkSync(basename(path), path)],
  ["a link to nowhere", (path) => symlinkSync("/nonexistent/x", path)],
  ["a pipe", (path) => execFileSync("mkfifo", [path])],
  ["a folder", (path) => mkdirSync(path)],
];
describe.each(["maildirfolder", "mailferry-folder"])("in the place of a %s", (name) => {
  it.each(DEEDS)("%s: --recheck brings what is missing and puts a file there", async (_, deed) => {
    take("maildir");
    const path = join(folderOf(), name);
    rmSync(path);
    deed(path);
    const cur = join(folderOf(), "cur");
    rmSync(join(cur, readdirSync(cur)[0] ?? ""));
    expect([0, 3]).toContain((await backup("--recheck")).code);
    expect(lstatSync(path).isFile()).toBe(true);
    await isSound();
  });
});
