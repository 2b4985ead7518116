// What a message about an archive, or about single messages on a disk, tells to do is done as it stands, and then it works.

import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireLock } from "../../src/core/lock.ts";
import { Desk } from "../kit/cli.ts";
import { afterCopied, mailferry } from "../kit/command.ts";

let desk: Desk;
const home = process.cwd();
beforeEach(() => {
  desk = new Desk();
  process.chdir(desk.root);
});
afterEach(() => {
  process.chdir(home);
  desk[Symbol.dispose]();
});

const run = (line: string) => desk.run(line.split(" "));
const works = async (...lines: readonly string[]): Promise<void> => {
  for (const line of lines) expect({ line, ...(await run(line)) }).toMatchObject({ line, code: 0 });
};
/** What is refused, or not whole; the part in brackets of what is said. */
const said = async (line: string, code: number, pattern: RegExp): Promise<string> => {
  const { err, ...rest } = await run(line);
  expect({ line, ...rest }).toMatchObject({ code });
  expect(err).toMatch(pattern);
  return pattern.exec(err)?.[1] ?? "";
};
const mail = (count: number, from = 0): string =>
  desk.put(
    "mail",
    Array.from({ length: count }, (_, i) => `m${from + i}`),
  );

describe("a run that holds the archive", () => {
  it("is waited for, and works then", async () => {
    mail(1);
    await works("backup mail a");
    mail(1, 3);
    const held = await acquireLock(join("a", "mailferry", "lock"), "the archive a");
    const lock = await said(
      "backup mail a",
      5,
      /Wait until that run has ended, or stop it\. If no such process exists, remove (\S+)\./,
    );
    await held[Symbol.asyncDispose]();
    await works("backup mail a");
    mail(1, 5);
    await using _ = await acquireLock(join("a", "mailferry", "lock"), "the archive a");
    rmSync(await said("backup mail a", 5, /If no such process exists, remove (\S+)\./));
    expect(lock).toContain("lock");
    await works("backup mail a", "verify mail a");
  });
});

describe("a zip that was begun and not finished", () => {
  beforeEach(async () => {
    mail(400);
    const options = { cwd: desk.root, env: { XDG_STATE_HOME: desk.path("state") }, killWhen: afterCopied(3) };
    const { killed } = await mailferry(["backup", "mail", "one.zip", "--json"], options);
    expect(killed).toBe(true);
    expect(existsSync("one.zip.part.d")).toBe(true);
    desk.put("other", ["o"]);
  });

  it("is finished by the command that began it", async () => {
    await said("restore one.zip back", 2, /Run the same backup again; it goes on where it stopped\./);
    await said(
      "backup other one.zip",
      2,
      /Run that command again to finish it, remove (\S+) to give it up, or choose another name\./,
    );
    await works("backup other two.zip", "backup mail one.zip", "restore one.zip back", "verify mail back");
  });

  it("is given up by removing what is named", async () => {
    const place = await said("backup other one.zip", 2, /remove (\S+) to give it up/);
    rmSync(place, { recursive: true });
    await works("backup other one.zip", "verify other one.zip");
  });

  it("whose work is damaged: what is named is removed, and all is copied again", async () => {
    const manifest =
      readdirSync("one.zip.part.d", { recursive: true, encoding: "utf8" }).find((name) => /manifest/.test(name)) ?? "";
    const path = join("one.zip.part.d", manifest);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/"subject|"type":"folder"|"type":"message"/, '"type":"massage"'));
    const place = await said(
      "backup mail one.zip",
      2,
      /Remove (\S+) and run the same command with --recheck: what it held is copied again\./,
    );
    rmSync(place, { recursive: true });
    await works("backup mail one.zip --recheck", "verify mail one.zip");
  });
});

describe("zips of an archive that grows", () => {
  it("of which one belongs elsewhere: it is moved there", async () => {
    mail(2);
    desk.put("other", ["o"]);
    await works("backup mail mboxzip:z", "backup other mboxzip:y");
    const [stranger = ""] = readdirSync("y").filter((name) => name.endsWith(".zip"));
    copyFileSync(join("y", stranger), join("z", stranger.replace(/^0001/, "0002")));
    await said(
      "restore mboxzip:z back",
      3,
      /belongs to another archive; what this zip held is not read\. Move it elsewhere, or put it back where it was written\b/,
    );
    rmSync(join("z", stranger.replace(/^0001/, "0002")));
    await works("restore mboxzip:z back2", "verify mail back2", "backup mail mboxzip:z");
  });

  it("that none of them can be read: it is moved away, or another place is named", async () => {
    mail(2);
    mkdirSync("z");
    writeFileSync("z/0001-20240101T000000Z.zip", "no zip");
    await said("backup mail mboxzip:z", 2, /Move it elsewhere, or name another place\./);
    await works("backup mail mboxzip:y");
    renameSync("z/0001-20240101T000000Z.zip", "elsewhere");
    await works("backup mail mboxzip:z");
  });
});

it("a pipe in the place of an archive's own file stops no verb, and what is told about it mends it", async () => {
  mail(3);
  await works("backup mail a");
  const files = readdirSync("a/mailferry", { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.map(({ name }) => name)).toContain("archive.json");
  cpSync("a", "whole", { recursive: true, preserveTimestamps: true });
  for (const { parentPath, name } of files) {
    rmSync("a", { recursive: true });
    cpSync("whole", "a", { recursive: true, preserveTimestamps: true });
    rmSync(join(parentPath, name));
    execFileSync("mkfifo", [join(parentPath, name)]);
    expect((await run("verify a")).code, name).toBe(6);
    expect((await run("folders a")).code, name).toBeLessThan(4);
    expect((await run(`restore a restored-${name}`)).code, name).toBeLessThan(4);
    await run("backup mail a --recheck");
    await works("backup mail a --recheck", "verify mail a", "verify a");
  }
});

describe("single messages of a Maildir", () => {
  it("that are links: the message itself in its place is read", async () => {
    mail(1);
    symlinkSync("/dev/null", "mail/cur/1704189600.link.x:2,S");
    await said("backup mail a", 3, /Put the message itself there instead of a link to it\./);
    rmSync("mail/cur/1704189600.link.x:2,S");
    writeFileSync("mail/cur/1704189600.link.x:2,S", "Subject: link\n\nx\n");
    await works("backup mail a", "verify mail a");
  });

  it("that cannot be unpacked: the unpacked message in its place, under the same name, is read", async () => {
    mail(1);
    const text = `Subject: packed\n\n${"line\n".repeat(500)}`;
    const name = `mail/cur/1704189600.packed.x,S=${text.length},W=${text.length + 502}:2,S`;
    writeFileSync(name, gzipSync(text).subarray(0, 40));
    await said("backup mail a", 3, /Put the unpacked message in its place under the same name/);
    writeFileSync(name, text);
    await works("backup mail a", "verify mail a");
    expect(readdirSync("a/cur")).toHaveLength(2);
  });
});

it("a message of which Thunderbird has only the beginning comes once it has fetched the rest", async () => {
  const text = (status: string, body: string): string =>
    `From - Thu Jan  4 12:00:00 2024\nX-Mozilla-Status: ${status}\nSubject: part\nMessage-ID: <p@x>\n\n${body}\n\n`;
  writeFileSync("Inbox", text("0401", "begin"));
  await said(
    "backup Inbox a",
    3,
    /Open it in Thunderbird, which then offers to fetch the rest, and run the same command again\./,
  );
  writeFileSync("Inbox", text("0001", "begin and end"));
  await works("backup Inbox a", "verify Inbox a");
});
