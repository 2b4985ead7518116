// What mailferry wrote, seen by other programs: Dovecot over the Maildir, Python's mailbox and unzip over the zip.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { FolderPath, SystemFlag } from "../../src/mail/model.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { mailferry } from "../kit/command.ts";
import { contentOf, type Held } from "../kit/content.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import type { Seed } from "../kit/imap-client.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;
const MESSAGES = 1000;
const FOLDERS: readonly FolderPath[] = [
  ["INBOX"],
  ["Sent"],
  ["Drafts"],
  ["Work"],
  ["Work", "2023"],
  ["Work", "2024"],
  ["Work", "2024", "Q1"],
  ["Work", "2024", "Q1", "deep down"],
  ["Entwürfe"],
  ["日本語"],
  ["日本語", "メール"],
  ["Clients", "A.B. & Sons"],
  ["Clients", "x/y"],
  ['say "hi"'],
  ["100 %"],
  ["star * and ?"],
  ["~tilde"],
  [" leading"],
  ["trailing "],
  ["back\\slash"],
];
const FLAGS: readonly SystemFlag[] = ["seen", "answered", "flagged", "draft", "deleted"];
const KEYWORDS = ["$Forwarded", "$Label1", "NonJunk", "custom_word"];

function* seeds(): Generator<Seed> {
  for (let n = 0; n < MESSAGES; n++) {
    const text = [
      `From: a${n}@example.org`,
      `Message-ID: <${n}@example.org>`,
      `Subject: ${n % 5 === 0 ? "grüße" : "hello"} ${n}`,
      "",
      n % 7 === 0 ? "From the start of a line\n>From quoted\n\nFrom a@b Mon Jan  1 00:00:00 2024" : "body",
      "x".repeat(n % 300),
      "",
    ];
    yield {
      folder: FOLDERS[n % FOLDERS.length] ?? ["INBOX"],
      bytes: Buffer.from(text.join("\n"), n % 11 === 0 ? "latin1" : "utf8"),
      flags: FLAGS.filter((_, bit) => (n & (1 << bit)) !== 0),
      keywords: KEYWORDS.filter((_, bit) => ((n % 13) & (1 << bit)) !== 0),
      received: { epochSeconds: 1_200_000_000 + n * 7919, zoneMinutes: 0 },
    };
  }
}

let dovecot: Dovecot;
let root: string;
let original: Map<string, Held[]>;

const url = (user: string) => dovecot.url("imaps", user);

async function ferry(...args: string[]) {
  const password = dovecot.password;
  const state = args[0] === "verify" ? [] : ["--state", join(root, "state")];
  return mailferry([...args, ...state], { sourcePassword: password, targetPassword: password });
}

async function imap(user: string): Promise<Map<string, Held[]>> {
  await using source = await openImapSource(dovecot.serverOptions("imaps", user), signal);
  return contentOf(source);
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-interop-"));
  dovecot = await startDovecot({ fsync: false, listescape: true, separator: "^" });
  await dovecot.addUser("original");
  seedMaildir(dovecot, "original", seeds());
  original = await imap("original");
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

it("a Maildir backup of 1,000 messages in 20 folders verifies, copies nothing twice, and is the same account to Dovecot", async () => {
  expect([...original.values()].flat()).toHaveLength(MESSAGES);
  const path = join(root, "maildir");
  const first = await ferry("backup", url("original"), `maildir:${path}`, "--json");
  expect(first.code, first.stderr).toBe(0);
  expect(first.events.at(-1)).toMatchObject({
    type: "run-finished",
    summary: { closes: true, listed: MESSAGES, balance: { copied: MESSAGES }, losses: [] },
  });
  const verified = await ferry("verify", url("original"), `maildir:${path}`);
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  const alone = await ferry("verify", `maildir:${path}`);
  expect(alone.code, alone.stdout + alone.stderr).toBe(0);
  const second = await ferry("backup", url("original"), `maildir:${path}`, "--json");
  expect(second.code).toBe(0);
  expect(second.events.at(-1)).toMatchObject({ summary: { balance: { copied: 0, alreadyCopied: MESSAGES } } });

  await dovecot.addUser("mounted", { maildir: path });
  dovecot.adopt("mounted");
  expect(await imap("mounted")).toEqual(original);
});

it("a zip opens with unzip and Python's mailbox, and restores to the same account", async () => {
  const file = join(root, "backup.zip");
  const first = await ferry("backup", url("original"), `mboxzip:${file}`);
  expect(first.code, first.stderr).toBe(0);
  const again = await ferry("backup", url("original"), `mboxzip:${file}`, "--json");
  expect(again.code, again.stderr).toBe(0);
  expect(again.events.at(-1)).toMatchObject({ summary: { balance: { copied: 0 } } });

  const tested = await run("unzip", ["-t", file]);
  expect(tested.stdout).toContain("No errors detected");
  const script = `
import mailbox, sys, zipfile, tempfile, os, json
counts = {}
with zipfile.ZipFile(sys.argv[1]) as z, tempfile.TemporaryDirectory() as d:
    for name in z.namelist():
        if not name.endswith('.mbox'): continue
        path = os.path.join(d, 'x.mbox')
        with open(path, 'wb') as f: f.write(z.read(name))
        box = mailbox.mbox(path)
        counts[name] = sorted(''.join(sorted(m.get_flags())) for m in box)
print(json.dumps(counts))
`;
  const { stdout } = await run("python3", ["-c", script, file], { maxBuffer: 1 << 26 });
  const counts = JSON.parse(stdout) as Record<string, string[]>;
  expect(Object.keys(counts)).toContain("INBOX.mbox");
  const seen = Object.values(counts).flat();
  expect(seen).toHaveLength(MESSAGES);
  const has = (letter: string) => seen.filter((flags) => flags.includes(letter)).length;
  const held = [...original.values()].flat();
  const had = (flag: SystemFlag) => held.filter(({ flags }) => flags.includes(flag)).length;
  expect([has("R"), has("A"), has("F"), has("D"), has("T")]).toEqual(
    (["seen", "answered", "flagged", "deleted", "draft"] as const).map(had),
  );

  await dovecot.addUser("restored");
  const restored = await ferry("restore", `mboxzip:${file}`, url("restored"));
  expect(restored.code, restored.stderr).toBe(0);
  expect(await imap("restored")).toEqual(original);
  const verified = await ferry("verify", url("original"), url("restored"));
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
});
