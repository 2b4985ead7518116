import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type CommandResult, mailferry } from "../../kit/command.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let server: Dovecot;
let root = "";
const COUNT = 30;

function* mail(): Generator<Seed> {
  for (let i = 0; i < COUNT; i++)
    yield {
      folder: i % 3 === 0 ? ["INBOX"] : ["Clients", `Müller & Söhne ${i % 3}`],
      bytes: Buffer.from(
        `From: a@example.org\r\nSubject: ${i}\r\nMessage-ID: <${i}@x>\r\n\r\nbody ${i} \xe9\r\n`,
        "latin1",
      ),
      flags: i % 2 === 0 ? ["seen"] : ["flagged"],
      received: { epochSeconds: 1_700_000_000 + i * 60 },
    };
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "cli-server-"));
  server = await startDovecot({ users: ["anna", "ben", "carla", "dora", "post"] });
  for (const user of ["anna", "dora"]) seedMaildir(server, user, mail());
  seedMaildir(
    server,
    "post",
    [...mail()].map((seed) => ({ ...seed, folder: ["INBOX"] })),
  );
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

function cli(args: readonly string[], env: Record<string, string> = {}): Promise<CommandResult> {
  return mailferry(args, {
    cwd: root,
    sourcePassword: server.password,
    targetPassword: server.password,
    env: { XDG_STATE_HOME: join(root, "state"), ...env },
  });
}

it("a wrong password is exit code 4, an untrusted certificate 2, and neither shows the password", async () => {
  const wrong = await cli(["folders", server.url("imaps", "anna")], { MAILFERRY_SOURCE_PASSWORD: "hunter2-wrong" });
  expect(wrong.stderr).toMatch(/^mailferry: [^\n]*\n$/);
  expect(wrong.code).toBe(4);
  const bare = server.url("imaps", "anna").replace(/\?.*/, "");
  const untrusted = await cli(["folders", bare]);
  expect(untrusted.stderr).toMatch(/^mailferry: .*certificate.*ca=FILE.*fingerprint=sha256:[^\n]*\n$/);
  expect(untrusted.code).toBe(2);
  const pinned = await cli(["folders", `${bare}?fingerprint=sha256:${server.fingerprint}`]);
  expect(pinned.code).toBe(0);
  for (const { stderr, stdout } of [wrong, untrusted, pinned])
    expect(stderr + stdout).not.toMatch(/hunter2|test-"pass/);
});

it("folders are listed with their sums, on TLS, STARTTLS and POP3", async () => {
  for (const kind of ["imaps", "imap"] as const) {
    const { code, stdout } = await cli(["folders", server.url(kind, "anna")]);
    expect(stdout).toMatch(/INBOX +inbox +10 /);
    expect(stdout).toMatch(/Clients\/Müller & Söhne 1 +10 /);
    expect(code).toBe(0);
  }
  expect((await cli(["folders", server.url("pop3s", "post")])).stdout).toMatch(/INBOX .* 30 /);
});

it("an account moves: dry run, migrate, again, verify, and --move only after proof", async () => {
  const from = server.url("imaps", "anna");
  const to = server.url("imap", "ben");
  const plan = await cli(["migrate", from, to, "--dry-run"]);
  expect(plan.stdout).toMatch(/Clients\/Müller & Söhne 2 +→ .* 10 /);
  expect(plan.code).toBe(0);
  expect((await cli(["folders", to])).stdout).toMatch(/INBOX +inbox +0 /);

  const report = join(root, "report.json");
  const first = await cli(["migrate", from, to, "--report", report]);
  expect(first.stderr).toMatch(/copied +30 [\s\S]*The balance closes/);
  expect(first.code).toBe(0);
  expect(statSync(report).mode & 0o777).toBe(0o600);
  const second = await cli(["migrate", from, to, "--json", "-q"]);
  expect(second.stderr).toBe("");
  expect(second.events.at(-1)).toMatchObject({ summary: { balance: { copied: 0, alreadyCopied: COUNT } } });
  expect((await cli(["verify", from, to, "--both-ways"])).code).toBe(0);
  const healed = await cli(["migrate", from, to, "--recheck"]);
  expect(healed.stderr).toMatch(/adopted.* 30/);

  const move = await cli(["migrate", from, to, "--move", "--folder", "Clients/**"]);
  expect(move.stderr).toMatch(/removed from the source, after proof +20/);
  expect(move.code).toBe(0);
  expect((await cli(["folders", from])).stdout).toMatch(/INBOX +inbox +10 [\s\S]*Söhne 1 +0 /);
  expect((await cli(["verify", to, from])).code).toBe(6);
});

it("a maildrop drains: --leave and --leave-for keep it, drain empties it", async () => {
  const from = server.url("pop3s", "post");
  expect((await cli(["drain", from, "maildir:post", "--leave"])).stderr).toMatch(/copied +30/);
  const young = await cli(["drain", from, "maildir:post", "--leave-for", "14d"]);
  expect(young.stderr).not.toMatch(/removed/);
  expect(young.code).toBe(0);
  expect((await cli(["folders", from])).stdout).toMatch(/INBOX .* 30 /);
  const all = await cli(["drain", server.url("pop3", "post"), "maildir:post", "--leave-for", "0d"]);
  expect(all.stderr).toMatch(/copied +\d+/);
  const drained = await cli(["drain", from, "maildir:post"]);
  expect(drained.code).toBe(0);
  expect((await cli(["folders", from])).stdout).toMatch(/INBOX .* 0 /);
  expect(readdirSync(join(root, "post/cur")).length + readdirSync(join(root, "post/new")).length).toBe(COUNT);
});

it("--since, --before and --max-size filter, and the balance closes over it", async () => {
  const from = server.url("imaps", "dora");
  const day = await cli([
    "backup",
    from,
    "some",
    "--since",
    "2023-11-14T22:20Z",
    "--before",
    "2023-11-14T22:30Z",
    "--json",
  ]);
  const { summary } = day.events.at(-1) as unknown as { summary: { balance: Record<string, number>; closes: boolean } };
  expect(summary.balance.copied).toBe(10);
  expect(summary.balance.filtered).toBe(20);
  expect(summary.closes).toBe(true);
  expect((await cli(["backup", from, "none", "--max-size", "10"])).stderr).toMatch(/filtered.* 30/);
});

it("a trace has both sides of the conversation, without secrets", async () => {
  const file = join(root, "trace");
  const { code } = await cli(["backup", server.url("imap", "dora"), "traced"], { MAILFERRY_TRACE: file });
  expect(code).toBe(0);
  const trace = readFileSync(file, "utf8");
  expect(trace).toMatch(/ C: .*FETCH/);
  expect(trace).toMatch(/ S: /);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { password } = server;
  const secrets = [
    password,
    Buffer.from(password).toString("base64"),
    Buffer.from(`\0dora\0${password}`).toString("base64"),
  ];
  for (const secret of secrets) expect(trace).not.toContain(secret);
});

it("the two sides take their passwords from a command and a file", async () => {
  const command = `printf '%s\\n' "$SECRET"`;
  const { code, stderr } = await mailferry(
    [
      ...["migrate", server.url("imaps", "dora"), server.url("imaps", "carla")],
      ...["--source-password-command", command, "--target-password-command", command],
    ],
    { cwd: root, env: { XDG_STATE_HOME: join(root, "state"), SECRET: server.password } },
  );
  expect(stderr).toMatch(/copied +30/);
  expect(code).toBe(0);
});
