// Every source goes to every sink: 5 × 3 pairs on real servers and real files, compared message by message.

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { narrow } from "../../src/mail/fidelity.ts";
import { receivedFromHeader } from "../../src/mail/headers.ts";
import { keyOf } from "../../src/mail/key.ts";
import { type FolderPath, type SystemFlag, showPath, type Traits } from "../../src/mail/model.ts";
import { run } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { Source } from "../../src/sources/source.ts";
import { contentOf, type Held, heldOf, inOrder } from "../kit/content.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { type MemoryFolder, memorySource } from "../kit/memory.ts";
import { seedMbox } from "../kit/seed-mbox.ts";

const signal = new AbortController().signal;
const FLAGS: readonly SystemFlag[] = ["seen", "answered", "flagged", "deleted", "draft"];
const PATHS: readonly FolderPath[] = [
  ["INBOX"],
  ["Sent Messages"],
  ["Clients", "A B", "2024"],
  ["Entwürfe"],
  ["日本語", 'with "quotes"'],
  ["50% off * & more"],
  [" edges "],
];

/** Mail that any store can hold: what Dovecot alters or refuses has its own tests. */
function mailbox(): MemoryFolder[] {
  let n = 0;
  return PATHS.map((path, f): MemoryFolder => {
    const mail = Array.from({ length: 6 }, (_, i) => {
      n++;
      const twin = i >= 4 ? "twin" : String(i);
      const lines = [
        "Return-Path: <a@example.org>",
        `Received: from x by y; Tue, 0${1 + i} Oct 2024 10:0${f}:00 +0200`,
        ...(i === 1 ? [] : [`Message-ID: <${f}.${twin}@example.org>`]),
        `Subject: ${i === 2 ? "grüße" : "hello"} ${f} ${twin}`,
        "",
        i === 3 ? "From here\r\n>From there\r\nFrom a@b Mon Jan  1 00:00:00 2024\r\n\r\nFrom x" : "body \xe9\xff",
        ...(i === 0 ? [] : [""]),
      ];
      const traits: Traits = {
        flags: new Set(FLAGS.filter((_, bit) => ((n * 7) & (1 << bit)) !== 0)),
        keywords: new Set(i % 2 === 0 ? ["$Forwarded", "Custom"] : []),
        labels: new Set(),
        received: { epochSeconds: 1_000_000_000 + n * 86_400, zoneMinutes: i === 0 ? 120 : 0 },
      };
      return { id: String(n), bytes: Buffer.from(lines.join("\r\n"), "latin1"), traits };
    });
    return { path, generation: "1", mail };
  });
}

const SOURCES = ["imap", "pop3", "mbox", "maildir", "mboxzip"] as const;
const SINKS = ["imap", "maildir", "mboxzip"] as const;
type SourceKind = (typeof SOURCES)[number];
type SinkKind = (typeof SINKS)[number];

let dovecot: Dovecot;
let root: string;
let users = 0;

async function freshUser(): Promise<string> {
  const name = `user${users++}`;
  await dovecot.addUser(name);
  return name;
}

async function carry(source: Source, sink: Sink) {
  await using from = source;
  await using to = sink;
  return await run(from, to, { stateDirectory: join(root, "state") }, signal).finished;
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const seeded = new Map<SourceKind, () => Promise<Source>>();

async function seed(kind: SourceKind, folders: readonly MemoryFolder[]): Promise<() => Promise<Source>> {
  const path = join(root, `source-${kind}`);
  if (kind === "mbox") {
    await mkdir(path);
    await seedMbox(path, folders);
    return () => openMboxSource({ path }, signal);
  }
  if (kind === "maildir") {
    await carry(memorySource(folders), await openMaildirSink({ path }, signal));
    return () => openMaildirSource({ path }, signal);
  }
  if (kind === "mboxzip") {
    await carry(memorySource(folders), await openMboxZipSink({ path, job: "seed" }, signal));
    return () => openMboxZipSource({ path }, signal);
  }
  const user = await freshUser();
  await carry(memorySource(folders), await openImapSink(dovecot.serverOptions("imaps", user), signal));
  return kind === "imap"
    ? () => openImapSource(dovecot.serverOptions("imaps", user), signal)
    : () => openPop3Source(dovecot.serverOptions("pop3s", user), signal);
}

async function target(kind: SinkKind, name: string): Promise<{ sink: Sink; read: () => Promise<Source> }> {
  const path = join(root, name);
  if (kind === "maildir")
    return { sink: await openMaildirSink({ path }, signal), read: () => openMaildirSource({ path }, signal) };
  if (kind === "mboxzip")
    return {
      sink: await openMboxZipSink({ path, job: name }, signal),
      read: () => openMboxZipSource({ path }, signal),
    };
  const server = dovecot.serverOptions("imap", await freshUser());
  return { sink: await openImapSink(server, signal), read: () => openImapSource(server, signal) };
}

/** What should be there, by what source and sink say that they keep. */
async function expected(
  kind: SourceKind,
  source: Source,
  folders: readonly MemoryFolder[],
): Promise<Map<string, Held[]>> {
  const result = new Map<string, Held[]>();
  for (const { path, mail } of folders) {
    if (kind === "pop3" && path[0] !== "INBOX") continue;
    const held: Held[] = [];
    for (const { bytes, traits } of mail) {
      const told = narrow(traits, source.tells).kept;
      const received = told.received ?? receivedFromHeader(bytes);
      held.push(heldOf((await keyOf(one(bytes))).key, { ...told, ...(received === undefined ? {} : { received }) }));
    }
    result.set(showPath(path), inOrder(held));
  }
  return new Map([...result].sort(([a], [b]) => (a < b ? -1 : 1)));
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-pairs-"));
  dovecot = await startDovecot({ fsync: false });
  for (const kind of SOURCES) seeded.set(kind, await seed(kind, mailbox()));
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

describe.each(SOURCES)("from %s", (from) => {
  it.each(SINKS)(
    "to %s: bytes, folders, flags, keywords and dates arrive, and a second run copies nothing",
    async (to) => {
      const open = seeded.get(from);
      if (open === undefined) throw new Error(`${from} was not seeded`);
      const { sink, read } = await target(to, `target-${from}-${to}`);
      const source = await open();
      const want = await expected(from, source, mailbox());
      const first = await run(source, sink, { stateDirectory: join(root, "state"), prove: true }, signal).finished;
      await source[Symbol.asyncDispose]();
      await sink[Symbol.asyncDispose]();
      const count = [...want.values()].reduce((sum, held) => sum + held.length, 0);
      expect(first).toMatchObject({ outcome: "complete", closes: true, listed: count });
      expect(first.balance.copied).toBe(count);
      expect(first.losses).toEqual([]);

      const reader = await read();
      const got = await contentOf(reader);
      await reader[Symbol.asyncDispose]();
      // Servers make folders of their own (INBOX, parents); what they add is empty.
      for (const [path, held] of got) if (!want.has(path) && held.length === 0) got.delete(path);
      expect(got).toEqual(want);

      const { sink: again } = to === "imap" ? { sink } : await target(to, `target-${from}-${to}`);
      const second = await carry(await open(), again);
      expect(second).toMatchObject({ outcome: "complete", closes: true });
      expect(second.balance).toMatchObject({ copied: 0, "already-copied": count });
    },
  );
});
