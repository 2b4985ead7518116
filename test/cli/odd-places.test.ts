// Paths that are none, streams that take nothing, words that were meant otherwise: named, with the way out, and never a bug or a wait.

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseEndpoint } from "../../src/endpoints.ts";
import { builtMain } from "../kit/build.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

describe("a path", () => {
  it.each(["verify", "folders", "backup", "target"])("that cannot be one is named, and no bug (%s)", async (verb) => {
    symlinkSync("loop", desk.path("loop"));
    writeFileSync(desk.path("file"), "");
    const source = desk.put("source", ["a"]);
    const ways: readonly (readonly [string, RegExp])[] = [
      [desk.path("x".repeat(300)), /a name in that path is too long/],
      [desk.path("loop"), /its links lead in a circle/],
      [join(desk.path("file"), "below"), /is a file, and no folder/],
    ];
    for (const [path, said] of ways) {
      const args =
        verb === "target" ? ["backup", source, path] : verb === "backup" ? [verb, path, desk.path("t")] : [verb, path];
      expect(await desk.run(args)).toMatchObject({ code: 2, err: expect.stringMatching(said) });
    }
  });

  it.each(["", "mbox:", "maildir:", "mboxzip:"])(
    "that is a pipe, a device or the kernel's is refused at once (%s)",
    async (kind) => {
      const pipe = desk.path("pipe");
      execFileSync("mkfifo", [pipe]);
      expect(await desk.run(["folders", `${kind}${pipe}`])).toMatchObject({
        code: 2,
        err: expect.stringContaining("is a pipe"),
      });
      expect(await desk.run(["folders", `${kind}/dev/zero`])).toMatchObject({
        code: 2,
        err: expect.stringContaining("is a device"),
      });
      expect(await desk.run(["backup", `${kind}/proc/self`, desk.path("t")])).toMatchObject({
        code: 2,
        err: expect.stringContaining("belongs to the system"),
      });
      expect(await desk.run(["backup", desk.put("s", []), `${kind || "maildir:"}${pipe}`])).toMatchObject({ code: 2 });
    },
  );

  it.each(["", "maildir:", "mboxzip:"])("below what belongs to the system is refused and ends (%s)", async (kind) => {
    for (const name of ["/proc/mail", "/proc/self/a/b", "/proc/self/mail.zip", "/sys/mail"]) {
      const { code, err } = await desk.run(["backup", desk.put("s", ["a"]), `${kind}${name}`]);
      expect({ name, code }).toEqual({ name, code: 2 });
      expect(err).toContain("belongs to the system");
    }
  });

  it("of certificates that is no file is refused and waited for by nobody", async () => {
    const pipe = desk.path("certificates");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      const { code, err } = await desk.run(["folders", `imaps://me@127.0.0.1:1?ca=${path}`], {
        MAILFERRY_SOURCE_PASSWORD: "p",
      });
      expect({ path, code }).toEqual({ path, code: 2 });
      expect(err).toMatch(/\(\?ca=\) is a (?:pipe|device), and no file\. Give the path of a PEM file\./);
    }
  });

  it("is made with its parents", async () => {
    expect(await desk.run(["backup", desk.put("s", ["a"]), desk.path("a/b/c/d")])).toMatchObject({ code: 0 });
  });

  it("that is an address is asked about, and the way that is named works", async () => {
    desk.put("me@gmail.com", ["a"]);
    const here = process.cwd();
    process.chdir(desk.root);
    try {
      const { code, err } = await desk.run(["folders", "me@gmail.com"]);
      expect(code).toBe(2);
      expect(err).toMatch(
        /looks like an account, and there is a folder of that name here\. Write \.\/me@gmail\.com for the folder/,
      );
      expect(await desk.run(["folders", "./me@gmail.com"])).toMatchObject({ code: 0 });
      expect(await desk.run(["backup", "./me@gmail.com", "you@gmail.com"])).toMatchObject({ code: 2 });
      expect(await desk.run(["backup", "./me@gmail.com", "me@gmail.com"])).toMatchObject({ code: 2 });
      expect(await desk.run(["backup", "./me@gmail.com", "-"])).toMatchObject({
        code: 2,
        err: expect.stringContaining("./-"),
      });
      expect(await desk.run(["backup", "./me@gmail.com", "./-"])).toMatchObject({ code: 0 });
      const report = await desk.run(["backup", "./me@gmail.com", "./-", "--report", "-"]);
      expect(report).toMatchObject({ code: 2, err: expect.stringContaining("--json") });
      expect(await desk.run(["backup", "./me@gmail.com", "./-", "--report", "./-"])).toMatchObject({ code: 2 });
    } finally {
      process.chdir(here);
    }
  });
});

it.each(["imaps//me@example.org", "IMAP//me@example.org", "pop3s/me@example.org"])(
  "a missing colon is named: %s",
  (text) => {
    for (const role of ["source", "target"] as const)
      expect(() => parseEndpoint(text, role)).toThrow(/has no colon behind (?:imap|pop3)s?/i);
  },
);

const shell = async (script: string): Promise<{ code: number; out: string; err: string }> => {
  const main = await builtMain();
  return await new Promise((resolve) =>
    execFile("sh", ["-c", script, process.execPath, main], { cwd: desk.root, encoding: "utf8" }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    ),
  );
};

it("a full disk under what is printed stops no run, and is told by the exit code", async () => {
  desk.put("source", ["a"]);
  const out = await shell('"$0" "$1" backup source target --json -q > /dev/full');
  expect(out).toMatchObject({
    code: 5,
    err: expect.stringMatching(/^mailferry: standard output could not be written .*ENOSPC/),
  });
  expect(readFileSync(desk.path("target/mailferry/archive.json"), "utf8")).toContain("maildir");
  expect(await shell('"$0" "$1" verify source target -q')).toMatchObject({ code: 0 });
  expect(await shell('"$0" "$1" backup source target2 2> /dev/full')).toMatchObject({ code: 5 });
  expect(await shell('"$0" "$1" verify source target2 -q')).toMatchObject({ code: 0 });
});

it("a folder that is gone under the shell is named", async () => {
  mkdirSync(desk.path("gone"));
  const { code, err } = await shell('cd gone && rmdir ../gone && "$0" "$1" backup x y');
  expect(err).toMatch(
    /^mailferry: (?:the folder that this command was started in is not there any more|there is nothing at x)/,
  );
  expect(code).toBe(2);
});
