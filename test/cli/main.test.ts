import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { program } from "../../src/cli/program.ts";
import { acquireLock } from "../../src/core/lock.ts";
import type { RunSummary } from "../../src/migrate/events.ts";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "cli-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const env: NodeJS.ProcessEnv = { ...process.env, XDG_STATE_HOME: join(root, "state"), ...environment };
  for (const name of Object.keys(env)) if (name.startsWith("MAILFERRY_") && !(name in environment)) delete env[name];
  return spawn(process.execPath, ["--import", "tsx", main, ...args], { stdio: ["ignore", "pipe", "pipe"], env });
}
async function end(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}
/** As a process of its own. */
const spawned = (...args: string[]): Promise<Ended> => end(start(args));

/** The same in this process, which is quicker. */
async function cli(...args: string[]): Promise<Ended> {
  const out: string[] = [];
  const err: string[] = [];
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0),
  ];
  try {
    const code = await program(args, { PATH: process.env.PATH, XDG_STATE_HOME: join(root, "state") });
    return { code, out: out.join(""), err: err.join("") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** A Maildir of so many messages in each of the folders. */
function maildir(name: string, folders: readonly string[], messages: number): string {
  const path = join(root, name);
  for (const [f, folder] of folders.entries()) {
    for (const part of ["cur", "new", "tmp"]) mkdirSync(join(path, folder, part), { recursive: true });
    for (let i = 0; i < messages; i++)
      writeFileSync(
        join(
          path,
          folder,
          "cur",
          `17040672${f}${String(i).padStart(5, "0")}.M${i}P${f}.host:2,${i % 2 === 0 ? "S" : "F"}`,
        ),
        `From: Jörg <a@example.org>\nSubject: ${folder} ${i}\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <${f}.${i}@x>\n\n` +
          `From the body\n${"x".repeat(i % 300)}\n`,
      );
  }
  return path;
}
const events = (out: string): { type: string; summary: RunSummary & Record<string, unknown> }[] =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("what cannot be done", () => {
  it.each([
    [["bakup"], /Did you mean "backup"/],
    [["backup", "a", "b", "--foldr", "x"], /Did you mean --folder/],
    [["backup", "imaps://me:hunter2@host", "b"], /password in it/],
    [["folders", "imaps://me@host"], /no terminal to ask on. Set MAILFERRY_SOURCE_PASSWORD/],
    [["folders", "imap://me@mail.example.org?tls=none"], /--allow-cleartext/],
    [["folders", "/nonexistent/mail"], /there is nothing at/],
    [["backup", "imaps://me@host", "imaps://you@host"], /mailferry migrate/],
    [["restore", "imaps://me@host", "imaps://you@host"], /source is an account/],
    [["drain", "maildir:a", "b"], /only read/],
    [["drain", "pop3s://me@h", "b", "--leave", "--leave-for", "1d"], /one of them/],
    [["migrate", "maildir:a", "b", "--move"], /--move/],
    [["backup", "maildir:a", "maildir:./a"], /same place/],
    [["backup", "maildir:a", "b", "--max-size", "big"], /--max-size "big"/],
    [["verify", "imaps://me@host"], /compare/],
    [["backup", "maildir:/nonexistent/a", "maildir:/dev/null/b"], /./],
  ])("is one clear line and exit code 2: %j", async (args, words) => {
    const { code, out, err } = await cli(...args);
    expect(err).toMatch(words);
    expect(err).toMatch(/^mailferry: [^\n]*\n$/);
    expect(err).not.toContain("hunter2");
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });

  it.each([
    [
      "a filter that matches nothing",
      (s: string, d: string) => ["backup", s, `${d}/new`, "--folder", "Nope"],
      /no folder matches Nope/,
    ],
    [
      "a filter that excludes all",
      (s: string, d: string) => ["backup", s, `${d}/new.zip`, "--exclude", "**"],
      /every folder is excluded by/,
    ],
    ["a target that is a file", (s: string, d: string) => ["backup", s, `${d}/note`], /is a file/],
    ["a target below a file", (s: string, d: string) => ["backup", s, `maildir:${d}/note/x`], /no folder/],
    [
      "an unwritable target",
      (s: string) => ["backup", s, "maildir:/dev/pts/mailferry"],
      /cannot make the folder \/dev\/pts\/m.*not permitted/,
    ],
    [
      "a target that belongs to the system",
      (s: string) => ["backup", s, "maildir:/sys/mailferry"],
      /\/sys\/mailferry belongs to the system, and is no place for mail\. Give the path of another file or folder\./,
    ],
    [
      "a target that is a folder of something else",
      (s: string, d: string) => ["backup", s, `${d}/docs`],
      /not empty and is no Maildir/,
    ],
    ["the same for zips", (s: string, d: string) => ["backup", s, `mboxzip:${d}/docs`], /not empty/],
    ["a zip target that is none", (s: string, d: string) => ["backup", s, `${d}/empty.zip`], /empty\.zip/],
    ["an empty zip", (_: string, d: string) => ["restore", `${d}/empty.zip`, `${d}/new`], /not a whole zip/],
    ["a folder without mail", (_: string, d: string) => ["restore", `${d}/docs`, `${d}/new`], /holds no mbox/],
    ["a file that is no mbox", (_: string, d: string) => ["restore", `mbox:${d}/note`, `${d}/new`], /is not an mbox/],
    [
      "a report that is a folder",
      (s: string, d: string) => ["backup", s, `${d}/new`, "--report", `${d}/docs`],
      /is no file/,
    ],
    [
      "a report for a device",
      (s: string, d: string) => ["backup", s, `${d}/new`, "--report", "/dev/null"],
      /is no file/,
    ],
    [
      "a report in no folder",
      (s: string, d: string) => ["folders", s, "--report", `${d}/no/r.json`],
      /there is no folder/,
    ],
    [
      "certificates that are none",
      (_: string, d: string) => [
        "folders",
        `imaps://me@localhost:1?ca=${d}/bad.pem`,
        "--source-password-command",
        "echo x",
      ],
      /certificate 1 .* damaged/,
    ],
  ])("is %s: one line, exit code 2, and nothing changed", async (_, args, words) => {
    const directory = mkdtempSync(join(root, "bad-"));
    const source = maildir(join(basename(directory), "source"), ["", ".A"], 2);
    writeFileSync(join(directory, "note"), "x\n");
    writeFileSync(join(directory, "empty.zip"), "");
    writeFileSync(join(directory, "bad.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    mkdirSync(join(directory, "docs"));
    writeFileSync(join(directory, "docs", "list"), "milk");
    const tree = (): string[] => (readdirSync(directory, { recursive: true }) as string[]).sort();
    const before = tree();
    const { code, out, err } = await cli(...args(source, directory));
    expect(err).toMatch(words);
    expect(err).toMatch(/^mailferry: [^\n]*\n$/);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(tree()).toEqual(before);
  });

  it.each([
    [["folders", "imaps://me@host"], /no terminal to ask on. Set MAILFERRY_SOURCE_PASSWORD/],
    [["backup", "imaps://me:hunter2@host", "b"], /password in it/],
    [["backup", "a", "b", "--foldr", "x"], /Did you mean --folder/],
  ])("is the same for a process: %j", async (args, words) => {
    const { code, out, err } = await spawned(...args);
    expect(err).toMatch(words);
    expect(err).toMatch(/^mailferry: [^\n]*\n$/);
    expect({ code, out }).toEqual({ code: 2, out: "" });
  });

  it("is told as JSON too where that was asked for", async () => {
    const { code, out } = await cli("folders", "imaps://me:hunter2@host", "--json");
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      type: "error",
      code: "config",
      message: expect.stringContaining("password"),
    });
    expect(out).not.toContain("hunter2");
  });

  it("shows a stack only with -vv", async () => {
    expect((await cli("folders", "/nonexistent/mail", "-v")).err).not.toContain("    at ");
    expect((await cli("folders", "/nonexistent/mail", "-vv")).err).toContain("    at ");
  });

  it("is worth another run when no server answers: exit code 5", async () => {
    const child = start(["folders", "imap://me@127.0.0.1:1?tls=none"], { MAILFERRY_SOURCE_PASSWORD: "hunter2" });
    const { code, err } = await end(child);
    expect(code).toBe(5);
    expect(err).toMatch(/^mailferry: .*127\.0\.0\.1:1/);
    expect(err).not.toContain("hunter2");
  });
});

it("help and version go to stdout, and end with 0", async () => {
  const help = await spawned("--help");
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toContain("mailferry backup <source> <archive>");
  expect(await cli("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});

describe("a run", () => {
  it("goes Maildir, zip, Maildir and back to equal, with a balance each time", async () => {
    const source = maildir("mail", ["", ".Clients", ".Clients.A"], 20);
    const zip = join(root, "mail.zip");
    const back = join(root, "back");

    const plan = await cli("backup", source, zip, "--dry-run");
    expect(plan.err).toContain("Nothing was changed");
    expect(plan.out).toMatch(/Clients\/A +→ .* 20 /);
    expect(plan.code).toBe(0);
    expect(readdirSync(root).filter((name) => name.startsWith("mail.zip"))).toEqual([]);

    const first = await cli("backup", source, zip);
    expect(first.err).toMatch(/copied +60[\s\S]*The balance closes\.\nComplete\. Check it with: mailferry verify/);
    expect({ code: first.code, out: first.out }).toEqual({ code: 0, out: "" });
    const again = await cli("backup", source, zip);
    expect(again.err).toMatch(/copied +0/);
    expect(again.code).toBe(0);
    const other = await cli("backup", source, zip, "--exclude", "INBOX");
    expect(other.code).toBe(2);

    expect(await cli("verify", zip)).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 60 messages") });
    expect((await cli("restore", zip, `maildir:${back}`)).code).toBe(0);
    const equal = await cli("verify", source, back, "--both-ways");
    expect(equal.out).toMatch(/in sum +60 +0 +0 +0/);
    expect(equal.code).toBe(0);

    const [gone = ""] = readdirSync(join(back, "cur"));
    rmSync(join(back, "cur", gone));
    const different = await cli("verify", source, back, "-q");
    expect(different).toMatchObject({ code: 6, out: "", err: expect.stringContaining("Different: 1 missing") });
    const damaged = await cli("verify", back, "--json");
    expect(damaged.code).toBe(6);
    expect(events(damaged.out).at(-1)).toEqual({ type: "archive-checked", messages: 59, problems: 0, gone: 1 });
    expect((await cli("restore", zip, `maildir:${back}`, "--recheck")).err).toMatch(/copied +1 /);
    expect((await cli("verify", source, back)).code).toBe(0);

    const truncated = join(root, "cut.zip");
    writeFileSync(truncated, readFileSync(zip).subarray(0, statSync(zip).size - 100));
    expect((await cli("verify", truncated)).code).toBe(6);
    const refused = await cli("restore", truncated, join(root, "from-cut"));
    expect(refused.err).toMatch(/^mailferry: .*cut\.zip[^\n]*\n$/);
    expect(refused.code).toBe(2);
  });

  it("says all of it as JSON, and writes the report", async () => {
    const source = maildir("json", ["", ".A"], 5);
    const report = join(root, "report.json");
    const { code, out, err } = await cli("backup", source, join(root, "json-copy"), "--json", "-q", "--report", report);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const all = events(out);
    expect(all.filter(({ type }) => type === "message-settled")).toHaveLength(10);
    expect(all.filter(({ type }) => type === "folder-finished")).toHaveLength(2);
    expect(all.at(-1)).toMatchObject({
      type: "run-finished",
      summary: { outcome: "complete", listed: 10, closes: true, balance: { copied: 10, alreadyCopied: 0 } },
    });
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ exitCode: 0, summary: { listed: 10 } });
  });

  it("takes the folders that were asked for, to where they were asked for", async () => {
    const source = maildir("choose", ["", ".A", ".A.B", ".C"], 3);
    const target = join(root, "chosen");
    const { code, out } = await cli(
      ...[
        "backup",
        source,
        target,
        "--folder",
        "A/**",
        "--folder",
        "C",
        "--exclude",
        "A",
        "--map",
        "A=Z",
        "--into",
        "Old",
      ],
      "--json",
    );
    expect(code).toBe(0);
    expect(events(out).at(-1)?.summary).toMatchObject({ listed: 6 });
    const seen = await cli("folders", target, "--json");
    const names = seen.out
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).name);
    expect(names.filter((name) => /^Old\/./.test(name)).sort()).toEqual(expect.arrayContaining(["Old/C", "Old/Z/B"]));
    const none = await cli("backup", source, target, "--folder", "Nope*");
    expect(none.code).toBe(2);
    expect(none.err).toMatch(/mailferry: no folder matches Nope\*.*The source has: /);
  });

  it("of two at once lets the second say who is there, and changes nothing: exit code 5", async () => {
    const source = maildir("twice", [""], 2);
    const target = join(root, "twice-copy");
    expect((await cli("backup", source, target)).code).toBe(0);
    await using _held = await acquireLock(join(target, "mailferry", "lock"), "it");
    const { code, out, err } = await cli("backup", source, target, "--recheck");
    expect(err).toMatch(
      new RegExp(`^mailferry: the archive ${target} is in use by process ${process.pid} [^\\n]*\\n$`),
    );
    expect({ code, out }).toEqual({ code: 5, out: "" });
  });

  it("ends with a check that compares the same mail, as it is pasted", async () => {
    const source = maildir("it's mine", ["", ".A", ".B"], 3);
    const target = join(root, "checked");
    const options = ["--folder", "A", "--into", "Old mail", "--since", "2023-01-01", "--skip-deleted"];
    const { err } = await cli("backup", source, target, ...options);
    const [, pasted = ""] = /^Complete\. Check it with: mailferry (verify .*)$/m.exec(err) ?? [];
    const words = execFileSync("sh", ["-c", `printf '%s\\n' ${pasted}`], { encoding: "utf8" })
      .trimEnd()
      .split("\n");
    const check = await cli(...words);
    expect(check.out).toMatch(/in sum +3 +0 +0 +0/);
    expect(check.code).toBe(0);
  });

  it("that left out deleted messages is verified the same way", async () => {
    const source = maildir("deleted", [""], 4);
    const [first = ""] = readdirSync(join(source, "cur"));
    renameSync(join(source, "cur", first), join(source, "cur", `${first}T`));
    const target = join(root, "not-deleted");
    expect((await cli("backup", source, target, "--skip-deleted")).err).toMatch(/copied +3 /);
    expect((await cli("verify", source, target)).code).toBe(6);
    expect((await cli("verify", source, target, "--skip-deleted", "--state", root, "--dry-run")).code).toBe(0);
  });

  it("lists the folders that were asked for, and reports them", async () => {
    const source = maildir("some-folders", ["", ".A", ".A.B", ".C"], 1);
    const report = join(root, "folders.json");
    const { out } = await cli("folders", source, "--folder", "A/**", "--exclude", "A", "--json", "--report", report);
    expect(events(out).map((event) => (event as unknown as { name: string }).name)).toEqual(["A/B"]);
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ events: [{ name: "A/B" }], exitCode: 0 });
  });

  it("changes no byte of its source", async () => {
    const source = maildir("untouched", [""], 5);
    const before = join(root, "before");
    cpSync(source, before, { recursive: true, preserveTimestamps: true });
    await cli("backup", source, join(root, "untouched-copy"), "-q");
    const listing = (path: string): string[] => (readdirSync(path, { recursive: true }) as string[]).sort();
    expect(listing(source)).toEqual(listing(before));
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "that gets %s finishes what is in flight, ends with %i, and goes on the next time",
    async (signal, code) => {
      // More events than a run holds for a reader who is behind (4,096), and the pipe to it: it cannot be over before it is read.
      const folders = ["A", "B", "C", "D"];
      const messages = 2_000;
      const source = join(root, `stop-${signal}`);
      mkdirSync(source);
      for (const folder of folders) {
        const box = Array.from(
          { length: messages },
          (_, i) =>
            `From a@example.org Mon Jan  1 00:00:00 2024\nFrom: a@example.org\nSubject: ${i}\n` +
            `Message-ID: <${folder}.${i}@x>\n\nbody\n\n`,
        );
        writeFileSync(join(source, folder), box.join(""));
      }
      const all = folders.length * messages;
      const target = `mboxzip:${join(root, `stopped-${signal}`)}`;
      const child = start(["backup", source, target, "--json"]);
      let seen = "";
      await new Promise<void>((resolve) => {
        const onData = (chunk: Buffer): void => {
          seen += chunk;
          if (!seen.includes("message-settled")) return;
          child.stdout?.off("data", onData).pause();
          resolve();
        };
        child.stdout?.on("data", onData);
      });
      child.kill(signal);
      const ending = end(child);
      child.stdout?.resume();
      const ended = await ending;
      expect(ended.code).toBe(code);
      expect(ended.err).toContain("stopping: what is in flight is finished first");
      const last = (seen + ended.out).trimEnd().split("\n").at(-1) ?? "";
      const { summary } = JSON.parse(last);
      expect(summary).toMatchObject({ outcome: "stopped", closes: false });
      const before = summary.balance.copied;
      expect(before).toBeGreaterThan(0);
      expect(before).toBeLessThan(all);

      const next = await cli("backup", source, target, "--json");
      expect(next.code).toBe(0);
      const { balance } = events(next.out).at(-1)?.summary ?? {};
      expect(balance).toMatchObject({ copied: all - before, failed: 0 });
      const there = await cli("folders", target, "--json");
      const rows = there.out.trimEnd().split("\n");
      expect(rows.map((row) => JSON.parse(row).messages)).toEqual(folders.map(() => messages));
    },
  );
});
