// Deleting, as a user meets it: the bound, the question, the table, the list; against a real server.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtMain } from "../../kit/build.ts";
import { type CommandResult, mailferry } from "../../kit/command.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let server: Dovecot;
let root = "";

function* mail(count: number, folder = "INBOX"): Generator<Seed> {
  for (let i = 0; i < count; i++)
    yield {
      folder: [folder],
      bytes: Buffer.from(`Subject: ${i}\r\nMessage-ID: <${folder}${i}@x>\r\n\r\nbody ${i}\r\n`),
      flags: [],
      received: { epochSeconds: 1_700_000_000 + i },
    };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "cli-remove-"));
  server = await startDovecot({
    users: ["anna", "ben", "post", "many", "more", "most", "even", "first", "once", "ever"],
  });
  seedMaildir(server, "anna", [...mail(6), ...mail(4, "Work")]);
  seedMaildir(server, "post", mail(10));
  for (const user of ["many", "more", "most"]) seedMaildir(server, user, mail(1001));
  seedMaildir(server, "even", mail(1000));
  for (const user of ["first", "once", "ever"]) seedMaildir(server, user, [...mail(2), ...mail(3, "Work")]);
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

const environment = (): Record<string, string> => ({ XDG_STATE_HOME: join(root, "state") });

function cli(...args: readonly string[]): Promise<CommandResult> {
  const password = server.password;
  return mailferry(args, { cwd: root, sourcePassword: password, targetPassword: password, env: environment() });
}

/** The same on a terminal of its own, where `answer` is typed once the question is there. */
async function onTerminal(args: readonly string[], answer: string): Promise<{ code: number | null; output: string }> {
  const words = [process.execPath, await builtMain(), ...args];
  const command = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["-qec", command, "/dev/null"], {
    cwd: root,
    env: { ...process.env, ...environment(), MAILFERRY_SOURCE_PASSWORD: server.password },
  });
  let output = "";
  let asked = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (asked || !output.includes("[y/N]")) return;
    asked = true;
    child.stdin.write(`${answer}\n`);
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

interface Report {
  readonly events: readonly {
    readonly type: string;
    readonly why?: string;
    readonly origin?: { readonly id: string };
  }[];
  readonly exitCode: number;
}
const reportAt = (path: string): Report => JSON.parse(readFileSync(path, "utf8")) as Report;
const count = ({ events }: Report, type: string, why?: string): number =>
  events.filter((event) => event.type === type && event.why === why).length;

it("a drain above --max-delete deletes nothing, exits 3, and names each message in the report", async () => {
  const from = server.url("pop3s", "post");
  const report = join(root, "bounded.json");
  const bounded = await cli("drain", from, "maildir:post", "--max-delete", "50%", "--report", report);
  expect(bounded.code).toBe(3);
  expect(bounded.stderr).toMatch(/nothing is deleted.*10 messages would go, and the bound is 5, 50% of the 10 listed/);
  expect(bounded.stderr).toMatch(/INBOX +0 +10 +10 more than --max-delete allows/);
  expect(bounded.stderr).toMatch(/The balance closes/);
  expect(count(reportAt(report), "message-kept", "over-limit")).toBe(10);
  expect(reportAt(report).exitCode).toBe(3);
  expect((await cli("folders", from)).stdout).toMatch(/INBOX .* 10 /);

  const drained = await cli("drain", from, "maildir:post", "--max-delete", "10", "--report", report);
  expect(drained.code).toBe(0);
  expect(drained.stderr).toMatch(/Deleted at the source\n.*FOLDER +DELETED +KEPT +WHY\n +INBOX +10 +0/);
  expect(count(reportAt(report), "message-removed")).toBe(10);
  expect((await cli("folders", from)).stdout).toMatch(/INBOX .* 0 /);
});

it("migrate --move tells a folder at a time what went", async () => {
  const { stderr, code } = await cli(
    "migrate",
    server.url("imaps", "anna"),
    server.url("imaps", "ben"),
    "--move",
    "--yes",
  );
  expect(code).toBe(0);
  // In whatever order the server lists them.
  expect(stderr).toMatch(/\n +INBOX +6 +0/);
  expect(stderr).toMatch(/\n +Work +4 +0/);
  expect(stderr.trimEnd().split("\n").at(-1)).toBe("Complete.");
});

it.each(["", "x", "-1", "101%", "1.5", "5 %"])(
  "--max-delete %j is refused before anything is opened",
  async (value) => {
    const { code, stderr } = await cli("drain", "pop3s://me@127.0.0.1:1", "maildir:x", "--max-delete", value);
    expect(code).toBe(2);
    expect(stderr).toContain("--max-delete");
  },
);

it("exactly 1,000 messages go without a question, on a terminal too", async () => {
  // A no would keep them, were it asked.
  const { output, code } = await onTerminal(["drain", server.url("pop3s", "even"), "maildir:even"], "n");
  expect(output).not.toContain("[y/N]");
  expect(output).toMatch(/INBOX +1,000 +0/);
  expect(code).toBe(0);
});

describe("above 1,000 messages", () => {
  it("a terminal is asked, and no keeps all; yes goes on", async () => {
    const from = server.url("pop3s", "many");
    const no = await onTerminal(["drain", from, "maildir:many"], "n");
    expect(no.output).toContain("Delete 1,001 messages at the source?");
    expect(no.output).toMatch(/INBOX +0 +1,001 +1,001 declined/);
    expect(no.code).toBe(3);
    expect((await cli("folders", from)).stdout).toMatch(/INBOX .* 1,001 /);
    const yes = await onTerminal(["drain", from, "maildir:many", "--max-delete", "1001"], "y");
    expect(yes.output).toMatch(/INBOX +1,001 +0/);
    expect(yes.code).toBe(0);
  });

  it("without a terminal, and with --yes, nothing is asked", async () => {
    expect((await cli("drain", server.url("pop3s", "more"), "maildir:more")).code).toBe(0);
    const sure = await onTerminal(["drain", server.url("pop3s", "most"), "maildir:most", "--yes"], "");
    expect(sure.output).not.toContain("[y/N]");
    expect(sure.output).toMatch(/INBOX +1,001 +0/);
    expect(sure.code).toBe(0);
  });
});

describe("drain of an IMAP account", () => {
  const from = (user: string): string => server.url("imaps", user);

  it("asks on a terminal before the first deletion, and never again once something was deleted", async () => {
    // Copied before, and nothing deleted: no earlier run had a word to say.
    expect((await cli("drain", from("first"), "maildir:first", "--leave")).code).toBe(0);
    const no = await onTerminal(["drain", from("first"), "maildir:first"], "n");
    expect(no.output).toMatch(
      /Delete 5 messages at the source\? Of imaps:\/\/first@localhost:\d+, in 2 folders; each copy is read back first\./,
    );
    expect(no.code).toBe(3);
    const yes = await onTerminal(["drain", from("first"), "maildir:first"], "y");
    expect(yes.output).toContain("[y/N]");
    expect(yes.code).toBe(0);
    seedMaildir(server, "first", mail(1));
    const again = await onTerminal(["drain", from("first"), "maildir:first"], "n");
    expect(again.output).not.toContain("[y/N]");
    expect(again.output).toMatch(/INBOX +1 +0/);
    expect(again.code).toBe(0);
  });

  it("asks nothing without a terminal, nor with --yes", async () => {
    const piped = await cli("drain", from("once"), "maildir:once");
    expect(piped.code).toBe(0);
    expect(piped.stderr).not.toContain("[y/N]");
    const sure = await onTerminal(["drain", from("ever"), "maildir:ever", "--yes"], "n");
    expect(sure.output).not.toContain("[y/N]");
    expect(sure.output).toMatch(/INBOX +2 +0/);
    expect(sure.code).toBe(0);
  });
});
