// Bounded memory: it grows neither with a message nor with a mailbox; whole commands, by the peak that the kernel counted.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bigMessage } from "../../fixtures/make.ts";
import { mailferry } from "../kit/command.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";

/** What the README promises. */
const MOST_MB = 200;
const BIG = 60 << 20;
const MANY = Number(process.env.MAILFERRY_MANY_MESSAGES ?? 20_000);

let server: Dovecot;
let root = "";

/** As one mbox, so that what the disk does with 20,000 files is not what is waited for. */
function* mbox(): Generator<string> {
  const body = "a line of text\n".repeat(20);
  for (let i = 0; i < MANY; i++)
    yield `From a@example.org Tue Nov 14 22:13:20 2023\nMessage-ID: <${i}@example.org>\nSubject: message ${i}\n\n${body}\n`;
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "memory-"));
  server = await startDovecot({ users: ["big", "target"], fsync: false });
  seedMaildir(server, "big", [{ folder: ["INBOX"], bytes: bigMessage(BIG) }]);
  await server.addUser("many", { mailLocation: "mbox:~/mail:INBOX=~/inbox" });
  mkdirSync(join(server.home("many"), "mail"));
  writeFileSync(join(server.home("many"), "inbox"), [...mbox()].join(""));
  server.adopt("many");
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** VmHWM, and not getrusage: that counts what the process was before it became this program, too. */
const NOTE_PEAK =
  'import { readFileSync, writeFileSync } from "node:fs";' +
  'process.on("exit", () => writeFileSync(process.env.MAILFERRY_PEAK_FILE, /VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]));';

async function peakOf(...args: readonly string[]): Promise<number> {
  const peak = join(root, "peak");
  rmSync(peak, { force: true });
  const { code, stderr } = await mailferry([...args, "-q"], {
    cwd: root,
    sourcePassword: server.password,
    targetPassword: server.password,
    env: {
      XDG_STATE_HOME: join(root, "state"),
      NODE_OPTIONS: `--import data:text/javascript;base64,${Buffer.from(NOTE_PEAK).toString("base64")}`,
      MAILFERRY_PEAK_FILE: peak,
    },
  });
  expect(`${args.join(" ")}: ${code} ${stderr}`).toBe(`${args.join(" ")}: 0 `);
  const megabytes = Number(readFileSync(peak, "utf8")) / 1024;
  console.log(`${args.slice(0, 1)} ${args.at(-1)}: ${megabytes.toFixed(0)} MB`);
  return megabytes;
}

it("a message of 60 MB goes to a Maildir, a zip and an account", async () => {
  const big = server.url("imaps", "big");
  for (const args of [
    ["backup", big, "maildir:big"],
    ["verify", big, "big"],
    ["restore", "big", server.url("imaps", "target")],
    // Last: Dovecot marks as read what POP3 fetched.
    ["backup", server.url("pop3s", "big"), "mboxzip:big.zip"],
  ])
    expect(await peakOf(...args), args.join(" ")).toBeLessThan(MOST_MB);
});

it("20,000 messages go to a zip and are verified", async () => {
  const from = server.url("imaps", "many");
  for (const args of [
    ["backup", from, "mboxzip:many/"],
    ["verify", from, "many"],
    ["verify", "many"],
  ])
    expect(await peakOf(...args), args.join(" ")).toBeLessThan(MOST_MB);
});
