// Verify, as a user meets it: each end against each other, quick and whole, with its exit codes; against a real server.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CommandResult, mailferry } from "../../kit/command.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let server: Dovecot;
let root = "";

function* mail(folder: string): Generator<Seed> {
  for (let i = 0; i < 6; i++)
    yield {
      folder: [folder],
      bytes: Buffer.from(`Subject: ${i}\r\nMessage-ID: <${folder}${i}@x>\r\n\r\n${`body ${i}\r\n`.repeat(2000)}`),
      flags: i % 2 === 0 ? ["seen"] : [],
      // All within one second: the date alone tells none of them apart.
      received: { epochSeconds: 1_700_000_000 },
    };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "cli-verify-"));
  server = await startDovecot({ users: ["anna", "post"] });
  seedMaildir(server, "anna", [...mail("INBOX"), ...mail("Work")]);
  seedMaildir(server, "post", mail("INBOX"));
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

function cli(...args: readonly string[]): Promise<CommandResult> {
  const { password } = server;
  const env = { XDG_STATE_HOME: join(root, "state") };
  return mailferry(args, { cwd: root, sourcePassword: password, targetPassword: password, env });
}

it("--quick and the whole comparison agree that copies are equal, for every kind of end", async () => {
  const imap = server.url("imaps", "anna");
  const pop = server.url("pop3s", "post");
  for (const [source, target] of [
    [imap, "maildir:m"],
    [imap, "mboxzip:z/"],
    [pop, "maildir:p"],
  ] as const) {
    expect((await cli("backup", source, target)).code, target).toBe(0);
    for (const way of [["--quick"], []]) {
      const there = await cli("verify", source, target, ...way);
      expect(there.stderr, target).toMatch(
        way.length > 0 ? /without reading the bodies: weaker/ : /^Verified: [^:,]* are in the target \(/m,
      );
      expect(there.code, `${target} ${way}`).toBe(0);
      expect((await cli("verify", target, source, ...way)).code, `${target} back ${way}`).toBe(0);
    }
  }
}, 120_000);

it("a message that is gone and one that was cut are found, quickly too; exit 6, a table, and a list", async () => {
  const imap = server.url("imaps", "anna");
  await cli("backup", imap, "maildir:hurt");
  const cur = join(root, "hurt", "cur");
  const [first = "", second = ""] = readdirSync(cur).sort();
  unlinkSync(join(cur, first));
  truncateSync(join(cur, second), 3000);
  utimesSync(join(cur, second), 1_700_000_000, 1_700_000_000);
  for (const way of [["--quick"], []]) {
    const report = join(root, "verify.json");
    const { code, stdout, stderr } = await cli("verify", imap, "maildir:hurt", "--report", report, ...way);
    expect(code).toBe(6);
    expect(stdout).toMatch(/Work +6 +0 +0 +0\nINBOX +4 +1 +1 +0\nin sum +10 +1 +1 +0/);
    expect(stderr).toMatch(/Different: 1 missing, 1 changed/);
    const { events } = JSON.parse(readFileSync(report, "utf8")) as { events: { kind: string }[] };
    expect(events.map(({ kind }) => kind).sort()).toEqual([way.length > 0 ? "changed" : "altered", "missing"]);
  }
});

it("an archive alone: sound is 0, damaged is 6, and a cut file is called that", async () => {
  await cli("backup", server.url("imaps", "anna"), "alone.zip");
  await cli("backup", server.url("imaps", "anna"), "maildir:alone");
  for (const archive of ["alone.zip", "maildir:alone"]) expect((await cli("verify", archive)).code, archive).toBe(0);
  const bytes = readFileSync(join(root, "alone.zip"));
  writeFileSync(join(root, "cut.zip"), bytes.subarray(0, bytes.length >> 1));
  const cut = await cli("verify", "cut.zip");
  expect(cut.stderr).toMatch(/cut off/);
  expect(cut.stderr).not.toMatch(/another program/);
  expect(cut.code).toBe(6);
});

it("what the target has beside is told, and is a difference with --both-ways alone", async () => {
  const imap = server.url("imaps", "anna");
  await cli("backup", imap, "maildir:beside");
  writeFileSync(join(root, "beside", "cur", "1700000000.M1P1.elsewhere:2,"), "Subject: mine\n\nnot theirs\n");
  for (const way of [[], ["--quick"]]) {
    const one = await cli("verify", imap, "maildir:beside", ...way);
    expect(one.stderr).toMatch(/^extra: INBOX: 1 message that the source does not have$/m);
    expect(one.stdout).toMatch(/INBOX +6 +0 +0 +1\n/);
    expect(one.stderr).toMatch(/^Verified: /m);
    expect(one.code, `${way}`).toBe(0);
    const both = await cli("verify", imap, "maildir:beside", "--both-ways", ...way);
    expect(both.stderr).toMatch(/^Different: 1 extra\b/m);
    expect(both.code, `${way}`).toBe(6);
  }
});

it("--report has every finding, of which 50 are printed; how many more there are is said", async () => {
  const maildir = (name: string, messages: number): string => {
    for (const part of ["cur", "new", "tmp"]) mkdirSync(join(root, name, part), { recursive: true });
    for (let i = 0; i < messages; i++)
      writeFileSync(join(root, name, "cur", `${1_700_000_000 + i}.M${i}.x:2,S`), `Subject: ${i}\n\nbody ${i}\n`);
    return `maildir:${name}`;
  };
  const none = maildir("none", 0);
  const report = join(root, "findings.json");
  for (const [messages, more, ...way] of [
    [50, undefined],
    [60, "and 10 more; -v shows them all"],
    [60, undefined, "-v"],
  ] as const) {
    const { code, stderr } = await cli(
      "verify",
      maildir(`full${messages}`, messages),
      none,
      "--report",
      report,
      ...way,
    );
    expect(code).toBe(6);
    const lines = stderr.split("\n");
    expect(lines.filter((line) => line.startsWith("missing: INBOX "))).toHaveLength(way.length > 0 ? messages : 50);
    expect(lines.find((line) => /\bmore\b/.test(line))).toBe(more);
    const { events, summary } = JSON.parse(readFileSync(report, "utf8")) as {
      events: { kind: string; origin?: { id: string } }[];
      summary: { missing: number };
    };
    expect(events.filter(({ kind }) => kind === "missing")).toHaveLength(messages);
    expect(new Set(events.map(({ origin }) => origin?.id).filter(Boolean)).size).toBe(messages);
    expect(summary.missing).toBe(messages);
  }
});
