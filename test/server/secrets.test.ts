// No secret is seen: whole jobs of every kind with marked passwords, by each way to give one, and then everything is searched.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPop3SessionAs } from "../../src/protocol/pop3/session.ts";
import { builtMain } from "../kit/build.ts";
import { type CommandResult, mailferry } from "../kit/command.ts";
import { count } from "../kit/counts.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import type { Seed } from "../kit/imap-client.ts";
import { commandLines, leaksIn, searchFiles } from "../kit/leaks.ts";
import { startScripted } from "../kit/scripted.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";
import { command } from "../protocol/imap/wire.ts";
import { scriptedServer, USUAL } from "../protocol/pop3/scripted-server.ts";

/** With what must be escaped somewhere, and octets that are no ASCII. */
const PASSWORD = 'marked-"pass\\wörd{7}';
const WRONG = 'wrong-"pass\\wörd{8}';
const TOKEN = "ya29.marked-token-0123456789";
const SECRETS = [PASSWORD, WRONG, TOKEN];

let server: Dovecot;
/** Everything that the commands write lies here; what the test itself keeps lies in `keys`. */
let root = "";
let keys = "";

function* mail(): Generator<Seed> {
  for (let i = 0; i < 4; i++)
    yield {
      folder: i % 2 === 0 ? ["INBOX"] : ["Clients", "Müller"],
      bytes: Buffer.from(`Subject: ${i}\r\nMessage-ID: <${i}@x>\r\n\r\nbody ${i}\r\n`),
      flags: i === 0 ? ["seen"] : [],
      keywords: i === 1 ? ["$Work"] : [],
      received: { epochSeconds: 1_700_000_000 + i },
    };
}

beforeAll(async () => {
  const place = mkdtempSync(join(tmpdir(), "secrets-"));
  root = join(place, "root");
  keys = join(place, "keys");
  for (const directory of [root, keys, join(root, "home"), join(root, "tmp")]) mkdirSync(directory, { mode: 0o700 });
  for (const [name, secret] of Object.entries({ good: PASSWORD, wrong: WRONG }))
    writeFileSync(join(keys, name), `${secret}\n`, { mode: 0o600 });
  server = await startDovecot({ users: ["anna", "ben", "carla", "post", "pop"], password: PASSWORD, fsync: false });
  seedMaildir(server, "anna", mail());
  for (const user of ["post", "pop"])
    seedMaildir(
      server,
      user,
      [...mail()].map((seed) => ({ ...seed, folder: ["INBOX"] })),
    );
});
afterAll(async () => {
  await server?.stop();
  rmSync(join(root, ".."), { recursive: true, force: true });
});

const WAYS = ["file", "command", "variable"] as const;
type Way = (typeof WAYS)[number];

interface Given {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** How one side is given its password. A command notes its own environment, and the command lines of all processes. */
function given(side: "source" | "target", way: Way, secret = PASSWORD): Given {
  const file = join(keys, secret === PASSWORD ? "good" : "wrong");
  const seen = join(keys, "seen");
  if (way === "file") return { args: [`--${side}-password-file`, file], env: {} };
  if (way === "variable") return { args: [], env: { [`MAILFERRY_${side.toUpperCase()}_PASSWORD`]: secret } };
  const look = `{ env; tr '\\0' ' ' < /proc/$PPID/cmdline; cat /proc/self/cmdline; } >> '${seen}'; cat '${file}'`;
  return { args: [`--${side}-password-command`, look], env: {} };
}

/** The command on a terminal of its own, where the answers are typed as they are asked for; with all that the terminal showed. */
async function onTerminal(args: readonly string[], answers: readonly string[]): Promise<CommandResult> {
  const words = [process.execPath, await builtMain(), ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const child = spawn("script", ["-qec", words.join(" "), "/dev/null"], {
    cwd: root,
    env: { ...process.env, ...places(), MAILFERRY_TRACE: "1" },
  });
  let output = "";
  let asked = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    for (; output.split("Password of ").length - 1 > asked; asked++) child.stdin.write(`${answers[asked] ?? ""}\r`);
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  expect(asked).toBe(answers.length);
  return { code, killed: false, stdout: output, stderr: "", events: [] };
}

const places = (): Record<string, string> => ({
  HOME: join(root, "home"),
  TMPDIR: join(root, "tmp"),
  XDG_STATE_HOME: join(root, "home", "state"),
});

let runs = 0;

/** Runs a job with every kind of output on, and searches its output and the command lines while it ran. */
async function job(args: readonly string[], ...sides: readonly Given[]): Promise<CommandResult> {
  runs++;
  const report = args[0] === "folders" ? [] : ["--report", join(root, `report-${runs}.json`)];
  const lines = new Set<string>();
  const result = await mailferry([...args, "--json", "-vv", ...report, ...sides.flatMap((side) => side.args)], {
    umask: "000",
    cwd: root,
    env: {
      ...places(),
      MAILFERRY_TRACE: join(root, `trace-${runs}`),
      ...Object.assign({}, ...sides.map(({ env }) => env)),
    },
    killWhen(_event, index) {
      if (index <= 3) lines.add(commandLines());
      return false;
    },
  });
  count("states");
  for (const [what, text] of Object.entries({
    stdout: result.stdout,
    stderr: result.stderr,
    cmdline: [...lines].join("\n"),
  }))
    expect(leaksIn(text, SECRETS), `${args.join(" ")}: ${what}`).toEqual([]);
  return result;
}

/** All that was written so far. */
function searchAll(): void {
  const { files, leaks, open } = searchFiles(root, SECRETS);
  expect(leaks).toEqual([]);
  expect(open).toEqual([]);
  expect(files).toBeGreaterThan(2);
}

it("the search finds each spelling, where there is one", () => {
  const base64 = Buffer.from(`\0anna\0${PASSWORD}`).toString("base64");
  for (const text of [PASSWORD, JSON.stringify(PASSWORD), `x ${base64} y`, Buffer.from(PASSWORD).toString("latin1")])
    expect(leaksIn(text, SECRETS), text).not.toEqual([]);
  expect(leaksIn("nothing here", SECRETS)).toEqual([]);
});

it("whole jobs of every kind leave no secret behind, and files for their owner alone", async () => {
  const anna = server.url("imaps", "anna");
  const jobs: readonly (readonly [readonly string[], number, ...Given[]])[] = [
    [["folders", anna], 0, given("source", "file")],
    [["backup", anna, "maildir:m"], 0, given("source", "variable")],
    [["backup", server.url("imap", "anna"), "mboxzip:z/?store=on", "--prove"], 0, given("source", "command")],
    [["backup", anna, "mboxzip:one.zip?store=on"], 0, given("source", "file")],
    [["migrate", anna, server.url("imap", "ben")], 0, given("source", "file"), given("target", "variable")],
    [
      ["migrate", server.url("imap", "ben"), server.url("imaps", "carla"), "--move"],
      0,
      given("source", "command"),
      given("target", "file"),
    ],
    [["drain", server.url("pop3s", "post"), "maildir:p"], 0, given("source", "variable")],
    [["drain", server.url("pop3", "pop"), "mboxzip:q/?store=on"], 0, given("source", "command")],
    [["restore", "m", server.url("imaps", "ben")], 0, given("target", "command")],
    [["verify", anna, "m"], 0, given("source", "file")],
    [["verify", anna, server.url("imaps", "post")], 6, given("source", "variable"), given("target", "command")],
  ];
  for (const [args, code, ...sides] of jobs) {
    const result = await job(args, ...sides);
    expect(`${args.join(" ")} ${result.code}${result.code === code ? "" : result.stderr}`).toBe(
      `${args.join(" ")} ${code}`,
    );
  }
  for (let n = 1; n <= jobs.length; n++) expect(readFileSync(join(root, `trace-${n}`), "utf8")).toMatch(/ S: /);
  // A password command is told nothing of the other side either.
  const seen = readFileSync(join(keys, "seen"), "utf8");
  expect(seen).toContain("XDG_STATE_HOME=");
  expect(leaksIn(seen, SECRETS)).toEqual([]);
  searchAll();
});

it("a conversation that is shown on stderr tells no secret, whether the login is taken or refused", async () => {
  const traced = { args: [], env: { MAILFERRY_TRACE: "1" } };
  const jobs: readonly (readonly [readonly string[], number, ...Given[]])[] = [
    [["backup", server.url("imaps", "anna"), "maildir:t1"], 0, given("source", "variable"), traced],
    [["backup", server.url("pop3", "anna"), "maildir:t2"], 0, given("source", "file"), traced],
    [["restore", "t1", server.url("imap", "ben")], 0, given("target", "command"), traced],
    [["folders", server.url("imap", "anna")], 4, given("source", "variable", WRONG), traced],
    [["folders", server.url("pop3s", "anna")], 4, given("source", "command", WRONG), traced],
  ];
  for (const [args, code, ...sides] of jobs) {
    const result = await job(args, ...sides);
    expect(result.code, args.join(" ")).toBe(code);
    expect(result.stderr).toMatch(/ C: .*(?:LOGIN|AUTH|PASS)/);
    expect(result.stderr).toMatch(/ S: /);
  }
  searchAll();
});

it("a password that is typed at the prompt is shown nowhere, with the conversation beside it", async () => {
  const jobs: readonly (readonly [readonly string[], number, readonly string[]])[] = [
    [["folders", server.url("imaps", "anna"), "-vv"], 0, [PASSWORD]],
    [["backup", server.url("pop3s", "anna"), "maildir:typed", "-vv"], 0, [PASSWORD]],
    [["migrate", server.url("imaps", "anna"), server.url("imaps", "ben"), "-vv"], 4, [PASSWORD, WRONG]],
  ];
  for (const [args, code, answers] of jobs) {
    const { stdout, ...result } = await onTerminal(args, answers);
    expect(leaksIn(stdout, SECRETS), args.join(" ")).toEqual([]);
    expect(`${result.code}${result.code === code ? "" : stdout}`).toBe(`${code}`);
    expect(stdout).toMatch(/ C: .*(?:LOGIN|AUTH|PASS)/);
  }
  searchAll();
});

it("a login that is refused says no password, of neither side", async () => {
  const [imap, pop] = [server.url("imaps", "anna"), server.url("pop3s", "anna")];
  const jobs: readonly (readonly [readonly string[], ...Given[]])[] = [
    [["backup", imap, "maildir:refused"], given("source", "file", WRONG)],
    [["backup", pop, "maildir:refused"], given("source", "command", WRONG)],
    [["drain", pop, "maildir:refused"], given("source", "variable", WRONG)],
    [["migrate", imap, server.url("imap", "ben")], given("source", "file"), given("target", "command", WRONG)],
  ];
  for (const [args, ...sides] of jobs) expect((await job(args, ...sides)).code, args.join(" ")).toBe(4);
  searchAll();
});

describe("a server that repeats what it was told", () => {
  /** Everything that it was told at login, in the words of a refusal. */
  const echoed = (heard: readonly string[]): string =>
    heard
      .filter((line) => /LOGIN|AUTH|PASS|^[\w+/=]{16,}$|wörd|w\xc3\xb6rd/i.test(line))
      .concat(Buffer.from(PASSWORD).toString("base64"))
      .join(" / ");

  it("in each refusal after an IMAP login brings it into no report, trace, ledger or quarantine", async () => {
    await using played = await startScripted(async (talk) => {
      talk.send("* OK [CAPABILITY IMAP4rev1 UIDPLUS] hello\r\n");
      for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
        const { tag, text } = heard;
        const again = played.heard.slice(0, 6);
        if (text === "CAPABILITY") talk.send("* CAPABILITY IMAP4rev1 UIDPLUS\r\n");
        else if (text.startsWith("LIST")) talk.send('* LIST (\\HasNoChildren) "/" INBOX\r\n');
        else if (text.startsWith("SELECT")) talk.send("* 0 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n* OK [UIDNEXT 1] x\r\n");
        else if (text.startsWith("STATUS")) talk.send("* STATUS INBOX (UIDNEXT 1 UIDVALIDITY 5)\r\n");
        else if (/^(APPEND|CREATE|NAMESPACE)/.test(text)) {
          talk.send(`* NO not ${echoed(again)}\r\n${tag} NO [CANNOT] not ${echoed(again)}\r\n`);
          continue;
        }
        talk.send(`${tag} OK done\r\n`);
      }
    });
    const archive = join(root, "echo");
    for (const directory of [archive, ...["cur", "new", "tmp"].map((name) => join(archive, name))])
      mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(archive, "cur", "1.M1P1.x:2,S"), "Subject: x\n\nx\n", { mode: 0o600 });
    const result = await job(
      ["restore", "echo", `imap://anna@127.0.0.1:${played.port}?tls=none`, "--folder", "INBOX"],
      given("target", "variable"),
    );
    expect(result.code).toBe(3);
    expect(
      result.events.filter(({ type, as }) => type === "message-settled" && as === "failed").length,
    ).toBeGreaterThan(0);
    expect(result.stdout).toContain("****");
    searchAll();
  });

  it.each([["USER"], ["SASL PLAIN"]])("in a refused POP3 login or message (%s) neither", async (capability) => {
    const capabilities = [...USUAL.filter((name) => !/USER|SASL/.test(name)), capability];
    for (const refused of capability === "USER" ? [/^RETR/, /^PASS/] : [/^AUTH/]) {
      let commands: readonly string[] = [];
      await using scripted = await scriptedServer({
        capabilities,
        messages: [{ uidl: "u1", body: "Subject: x\r\n\r\nx\r\n" }],
        on: (line) => (refused.test(line) ? { send: `-ERR not ${echoed([...commands, line])}\r\n` } : undefined),
      });
      commands = scripted.commands;
      const { code, stdout } = await job(
        ["backup", `pop3://anna@127.0.0.1:${scripted.port}?tls=none`, `maildir:echo-${capability.slice(0, 4)}`],
        given("source", "variable"),
      );
      expect(code).toBe(refused.test("RETR") ? 3 : 4);
      expect(stdout).toContain("****");
    }
    searchAll();
  });

  it("at a login with a token neither", async () => {
    const said: string[] = [];
    await using scripted = await scriptedServer({
      security: "tls",
      capabilities: ["SASL XOAUTH2"],
      on: (line) =>
        /^AUTH/.test(line) ? { send: `-ERR ${line} ${TOKEN} ${Buffer.from(TOKEN).toString("base64")}\r\n` } : undefined,
    });
    const options = scripted.options({ trace: (_, direction, text) => said.push(direction + text) });
    const credentials = { kind: "token", user: "anna", token: TOKEN } as const;
    const error: unknown = await openPop3SessionAs(options, credentials, new AbortController().signal).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code: "auth", message: expect.stringContaining("****") });
    const all = [...said, String(error), error instanceof Error ? (error.stack ?? "") : "", JSON.stringify(error)];
    expect(leaksIn(all.join("\n"), SECRETS)).toEqual([]);
  });
});
