// kill -9 in the middle, then the same command: nothing lost, nothing twice. With the ledger, without it, and into a target
// that another program filled with half of the mail.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FolderPath } from "../../../src/mail/model.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openMboxZipSource } from "../../../src/sources/mbox-zip.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { afterCopied, type CommandOptions, mailferry } from "../../kit/command.ts";
import { contentOf, type Held, keysOf } from "../../kit/content.ts";
import { count } from "../../kit/counts.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";
import { SOAK_SECONDS } from "../../kit/seeds.ts";

const MESSAGES = SOAK_SECONDS > 0 ? 5000 : 1200;
const FOLDERS = [["INBOX"], ["Work"], ["Work", "2024"], ["Entwürfe"]];
const signal = new AbortController().signal;

let dovecot: Dovecot;
let root: string;
let state: string;
let users = 0;

/** Every 50th message has a twin: identical bytes that must arrive as often as they are there. */
function* messages(folder: FolderPath, from: number, to: number): Generator<Seed> {
  for (let n = from; n < to; n++) {
    const id = n % 50 === 1 ? n - 1 : n;
    const lines = `${"lorem ipsum dolor sit amet ".repeat(1 + (id % 5))}\n`.repeat(3 + (id % 40));
    yield {
      folder,
      bytes: Buffer.from(`Message-ID: <${id}@example.org>\nSubject: message ${id}\n\n${lines}`),
      flags: n % 3 === 0 ? (["seen"] as const) : [],
      received: { epochSeconds: 1_600_000_000 + id * 60, zoneMinutes: 0 },
    };
  }
}

function* all(seeds: readonly Iterable<Seed>[]): Generator<Seed> {
  for (const each of seeds) yield* each;
}

async function account(share = 1): Promise<string> {
  const user = `kill${users++}`;
  await dovecot.addUser(user);
  const each = MESSAGES / FOLDERS.length;
  if (share > 0)
    seedMaildir(dovecot, user, all(FOLDERS.map((path, f) => messages(path, f * each, f * each + each * share))));
  return user;
}

async function maildrop(): Promise<string> {
  const user = `drop${users++}`;
  await dovecot.addUser(user);
  seedMaildir(dovecot, user, messages(["INBOX"], 0, MESSAGES));
  return user;
}

async function readAll(open: Promise<Source>): Promise<Map<string, Held[]>> {
  await using source = await open;
  const content = await contentOf(source);
  for (const [path, held] of content) if (held.length === 0) content.delete(path);
  return content;
}

const imap = (user: string) => readAll(openImapSource(dovecot.serverOptions("imaps", user), signal));
const url = (user: string) => dovecot.url("imaps", user);

function ferry(args: readonly string[], killWhen?: CommandOptions["killWhen"]) {
  const password = dovecot.password;
  const all = [...args, "--json", "--state", state];
  if (killWhen !== undefined) count("crash points");
  return mailferry(all, {
    sourcePassword: password,
    targetPassword: password,
    ...(killWhen === undefined ? {} : { killWhen }),
  });
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-kill-"));
  dovecot = await startDovecot();
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

interface Way {
  readonly name: string;
  readonly verb: string;
  target(): Promise<{ endpoint: string; read: () => Promise<Map<string, Held[]>>; ledger: () => string }>;
}

const WAYS: readonly Way[] = [
  {
    name: "migrate",
    verb: "migrate",
    async target() {
      const user = await account(0);
      return { endpoint: url(user), read: () => imap(user), ledger: () => state };
    },
  },
  {
    name: "backup to Maildir",
    verb: "backup",
    async target() {
      const path = join(root, `maildir${users++}`);
      return {
        endpoint: `maildir:${path}`,
        read: () => readAll(openMaildirSource({ path }, signal)),
        ledger: () => join(path, "mailferry", "ledger"),
      };
    },
  },
  {
    name: "backup to a zip",
    verb: "backup",
    async target() {
      const path = join(root, `zip${users++}`);
      return {
        endpoint: `mboxzip:${path}`,
        read: () => readAll(openMboxZipSource({ path }, signal)),
        ledger: () => join(path, "mailferry", "ledger"),
      };
    },
  },
];

for (const { name, verb, target } of WAYS)
  describe(name, () => {
    it("killed twice, run again: each message once; a further run changes nothing", async () => {
      state = join(root, `state${users++}`);
      const from = await account();
      const to = await target();
      for (const share of [0.2, 0.1]) {
        const cut = await ferry([verb, url(from), to.endpoint], afterCopied(MESSAGES * share));
        expect(cut.killed).toBe(true);
      }
      const last = await ferry([verb, url(from), to.endpoint]);
      expect(last.code, last.stderr).toBe(0);
      expect(await to.read()).toEqual(await imap(from));
      const further = await ferry([verb, url(from), to.endpoint]);
      expect(further.code).toBe(0);
      expect(further.events.at(-1)).toMatchObject({ type: "run-finished", summary: { balance: { copied: 0 } } });
      expect(await to.read()).toEqual(await imap(from));
    });

    it("killed, its ledger deleted, run again: each message once", async () => {
      state = join(root, `state${users++}`);
      const from = await account();
      const to = await target();
      const cut = await ferry([verb, url(from), to.endpoint], afterCopied(MESSAGES / 2));
      expect(cut.killed).toBe(true);
      await rm(to.ledger(), { recursive: true });
      const last = await ferry([verb, url(from), to.endpoint]);
      expect(last.code, last.stderr).toBe(0);
      expect(await to.read()).toEqual(await imap(from));
    });
  });

it("migrate into an account that another program had filled with half of the mail: each message once", async () => {
  state = join(root, `state${users++}`);
  const from = await account();
  const to = await account(0.5);
  const cut = await ferry(["migrate", url(from), url(to)], afterCopied(MESSAGES / 5));
  expect(cut.killed).toBe(true);
  const last = await ferry(["migrate", url(from), url(to)]);
  expect(last.code, last.stderr).toBe(0);
  expect(await imap(to)).toEqual(await imap(from));
});

it("backup into a Maildir that another program had filled with half of the mail: each message once", async () => {
  state = join(root, `state${users++}`);
  const from = await account();
  const path = dovecot.maildir(await account(0.5));
  const last = await ferry(["backup", url(from), `maildir:${path}`]);
  expect(last.code, last.stderr).toBe(0);
  expect(keysOf(await readAll(openMaildirSource({ path }, signal)))).toEqual(keysOf(await imap(from)));
  expect(last.events.at(-1)).toMatchObject({ summary: { balance: { adopted: MESSAGES / 2, copied: MESSAGES / 2 } } });
});

describe("drain", () => {
  const pop = (user: string) => dovecot.url("pop3s", user);
  const left = (user: string) => readAll(openPop3Source(dovecot.serverOptions("pop3s", user), signal));

  it.each(["maildir", "mboxzip"])(
    "to %s, killed while copying and while deleting: all archived once, the maildrop empty",
    async (kind) => {
      state = join(root, `state${users++}`);
      const user = await maildrop();
      const all = keysOf(await left(user));
      const path = join(root, `drain${users++}`);
      const archived = async () =>
        keysOf(
          await readAll(kind === "maildir" ? openMaildirSource({ path }, signal) : openMboxZipSource({ path }, signal)),
        );
      const cut = await ferry(["drain", pop(user), `${kind}:${path}`], afterCopied(MESSAGES / 3));
      expect(cut.killed).toBe(true);
      expect(keysOf(await left(user))).toEqual(all);
      const second = await ferry(["drain", pop(user), `${kind}:${path}`], (event) => event.type === "message-removed");
      expect(second.killed).toBe(true);
      const last = await ferry(["drain", pop(user), `${kind}:${path}`]);
      expect(last.code, last.stderr).toBe(0);
      expect(await archived()).toEqual(all);
      expect(await left(user)).toEqual(new Map());
    },
  );
});
