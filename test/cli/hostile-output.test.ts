// What a folder, a subject or a server says is harmless on a terminal: no escape, no control and no turned text comes through
// in tables, bars, reports and errors; --json and --report hold the exact text, with its controls escaped.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { barLine } from "../../src/cli/bars.ts";
import { program } from "../../src/cli/program.ts";
import { encodeMutf7 } from "../../src/mail/mutf7.ts";
import { leaksIn } from "../kit/leaks.ts";
import { account } from "../protocol/imap/account.ts";

/** Clear the screen, set the title, go up a line and write over it, an 8-bit CSI, turned and hidden text. */
const ATTACK = "a\x1b[2J\x1b]0;t\x07\r\x08\x9b31m\u202egnp\u200b\u2028z\x7f";
const HARM = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "cli-hostile-"));
  // In a directory's name as mailferry's folder map has it, and in a mail program's own encoding.
  for (const folder of [
    "",
    `.${encodeMutf7("m\u202egnp\u200bz")}`,
    `.${encodeMutf7("c\x9b31m\x7fd\u2028")}`,
    ".b\x1b[2Jb",
  ]) {
    for (const part of ["cur", "new", "tmp"]) mkdirSync(join(root, "mail", folder, part), { recursive: true });
    writeFileSync(
      join(root, "mail", folder, "cur/1.M1P1.h:2,"),
      `From: "${ATTACK.replaceAll("\r", "")}" <a@b>\nSubject: =?utf-8?B?${Buffer.from(ATTACK).toString("base64")}?= \x1b[31mraw\nMessage-ID: <1${folder.length}@x>\n\nx\n`,
    );
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0),
  ];
  try {
    const env = {
      PATH: process.env.PATH,
      XDG_STATE_HOME: join(root, "state"),
      MAILFERRY_SOURCE_PASSWORD: "open sesame",
      MAILFERRY_TARGET_PASSWORD: "open sesame",
    };
    const code = await program(args, env);
    return { code, out: out.join(""), err: err.join("") };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function expectHarmless(...texts: readonly string[]): void {
  for (const text of texts) for (const line of text.split("\n")) expect(line).not.toMatch(HARM);
}

/** A bug of ours would be harmless too. */
function expectWorked({ err }: { readonly err: string }): void {
  expect(err).not.toContain("this is a bug");
}

it.each([
  ["folders", ["folders", "maildir:MAIL"]],
  ["a plan", ["backup", "maildir:MAIL", "mboxzip:DIR/plan.zip", "--dry-run"]],
  ["a run with all its words", ["backup", "maildir:MAIL", "mboxzip:DIR/run.zip", "-vv"]],
  ["a comparison", ["verify", "maildir:MAIL", "mboxzip:DIR/run.zip", "-v"]],
  ["a comparison that finds something", ["verify", "maildir:MAIL", "maildir:DIR/empty"]],
  ["filters that fit nothing", ["backup", "maildir:MAIL", "mboxzip:DIR/none.zip", "--folder", "nothing\x1b[2J"]],
  ["an endpoint that is none", ["folders", `maildir:/nowhere/${ATTACK.replaceAll("\0", "")}`]],
  ["an option that is none", ["folders", "maildir:MAIL", `--${ATTACK}`]],
])("%s", async (_, args) => {
  for (const part of ["cur", "new", "tmp"]) mkdirSync(join(root, "empty", part), { recursive: true });
  const real = args.map((arg) => arg.replace("MAIL", join(root, "mail")).replace("DIR", root));
  const ended = await cli(...real);
  expectWorked(ended);
  expectHarmless(ended.out, ended.err);
  expect(ended.out + ended.err).not.toBe("");
});

it("JSON and the report hold the exact names, and no control as it is", async () => {
  const report = join(root, "report.json");
  const ended = await cli(
    "backup",
    `maildir:${join(root, "mail")}`,
    `mboxzip:${root}/json.zip`,
    "--json",
    "--report",
    report,
  );
  expectWorked(ended);
  expectHarmless(ended.out.replaceAll("\u202e", "").replaceAll("\u200b", ""), ended.err);
  const events = ended.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; folder?: { path: string[] } });
  const folders = events.filter(({ type }) => type === "folder-opened").map(({ folder }) => folder?.path.join("/"));
  expect(folders).toContain("m\u202egnp\u200bz");
  expect(folders).toContain("b\x1b[2Jb");
  expect(folders).toContain("c\x9b31m\x7fd\u2028");
  const text = readFileSync(report, "utf8");
  expect(JSON.parse(text)).toMatchObject({ events: expect.any(Array) });
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
});

it("a server's refusals, the subject of what it refused, and what it calls its folders", async () => {
  const octets = (text: string): string =>
    Buffer.from(text.replaceAll("\r", "").replaceAll("\n", ""), "utf8").toString("latin1");
  for (const [verb, answer] of [
    ["APPEND", `NO ${octets(ATTACK)} not this`],
    ["CREATE", `NO ${octets(ATTACK)} no folder`],
    ["LOGIN", `NO [AUTHENTICATIONFAILED] ${octets(ATTACK)} who?`],
    ["LIST", `BAD ${octets(ATTACK)}`],
  ] as const) {
    const made = await account("IMAP4rev1 LITERAL+ UIDPLUS", { refuse: [verb, answer], listed: [octets(ATTACK)] });
    await using _ = made.server;
    const report = join(root, "refused.json");
    const url = `imap://ali@127.0.0.1:${made.server.port}?tls=none`;
    const ended = await cli("restore", `maildir:${join(root, "mail")}`, url, "--report", report, "-v");
    expectWorked(ended);
    expectHarmless(ended.out, ended.err);
    expect(ended.code).toBeGreaterThan(0);
    if (verb === "APPEND") expect(ended.err).toContain("Subject: a\\u001b[2J");
    const listing = await cli("folders", url);
    expectWorked(listing);
    expectHarmless(listing.out, listing.err);
  }
});

it("an error that nobody awaited, which tells no secret either", () => {
  const secret = 'open "sesame"';
  // As a bug of ours or of a library would: out of a callback, once the password is known.
  const preload = `
    import { Socket } from "node:net";
    const { connect } = Socket.prototype;
    Socket.prototype.connect = function (...args) {
      if (args.flat()[0]?.port !== undefined)
        process.nextTick(() => {
          const said = process.env.MAILFERRY_SOURCE_PASSWORD;
          throw new Error([${JSON.stringify(ATTACK)}, said, JSON.stringify(said), Buffer.from(said).toString("base64")].join(" "));
        });
      return connect.apply(this, args);
    };`;
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const imports = ["tsx", `data:text/javascript,${encodeURIComponent(preload)}`].flatMap((name) => ["--import", name]);
  const ended = spawnSync(process.execPath, [...imports, main, "folders", "imap://ali@127.0.0.1:1?tls=none"], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, XDG_STATE_HOME: join(root, "state"), MAILFERRY_SOURCE_PASSWORD: secret },
  });
  expect([ended.status, ended.stdout]).toEqual([1, ""]);
  expect(ended.stderr).toMatch(/^mailferry: this is a bug: Error: a\\u001b\[2J.* \*\*\* "\*\*\*" \*\*\*\n +at .*\n$/s);
  expectHarmless(ended.stderr);
  expect(leaksIn(ended.stderr, [secret])).toEqual([]);
});

it("a bar", () => {
  const meter = { name: ATTACK, total: 10, done: 5, bytes: 100, size: 200, passed: 100 };
  for (const columns of [20, 60, 200]) expectHarmless(barLine(meter, { messages: 1, bytes: 1, passed: 1 }, columns));
});
