// Whole jobs over a wire that is cut after any octet, in both directions: nothing lost, nothing twice, and the job recovers.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import { type Run, run } from "../../../src/migrate/run.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import type { Sink } from "../../../src/sinks/sink.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { contentOf, type Held } from "../../kit/content.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { type Direction, type FaultProxy, type ProxyOptions, startProxy } from "../../kit/proxy.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const signal = new AbortController().signal;
const PATIENCE = { attempts: 5, firstDelayMs: 1 };
/** Of each conversation, in each direction. */
const CUTS = 20;
/** Jobs at once. */
const LANES = 4;
/** Octets at each end of a conversation that hold most of its commands. */
const EDGE = 5000;

let dovecot: Dovecot;
let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-cuts-"));
  dovecot = await startDovecot({ fsync: false, users: [] });
});
afterAll(async () => {
  await dovecot?.stop();
  await rm(root, { recursive: true, force: true });
});

/** Twins, flags, a keyword, dates; bodies of every small size, and one that is streamed. */
function* mail(folders: readonly (readonly string[])[]): Generator<Seed> {
  for (const [f, folder] of folders.entries())
    for (let n = 0; n < 8; n++) {
      const id = n === 5 ? 4 : n;
      const text = f === 0 && n === 3 ? "x".repeat(70).concat("\r\n").repeat(4500) : `${"y".repeat(11 * n)}\r\n.\r\n`;
      yield {
        folder,
        bytes: Buffer.from(`Message-ID: <${f}.${id}@example.org>\r\nSubject: ${id}\r\n\r\n${text}`),
        flags: id % 2 === 0 ? ["seen"] : id === 3 ? ["flagged", "answered"] : [],
        keywords: id === 6 ? ["Work"] : [],
        received: { epochSeconds: 1_500_000_000 + id * 60 },
      };
    }
}

async function account(folders: readonly (readonly string[])[]): Promise<string> {
  const user = `user${count++}`;
  await dovecot.addUser(user);
  if (folders.length > 0) seedMaildir(dovecot, user, mail(folders));
  return user;
}

/** In the clear, so that the proxy's octets are those of the conversation. */
function server(kind: "imap" | "pop3", user: string, port: number = dovecot.ports[kind]): ServerOptions {
  const password = async (): Promise<string> => dovecot.password;
  return { host: "127.0.0.1", port, security: "none", user, password, connections: 2 };
}

async function held(source: Promise<Source>): Promise<Map<string, Held[]>> {
  await using open = await source;
  const content = await contentOf(open);
  for (const [path, messages] of content) if (messages.length === 0) content.delete(path);
  return content;
}

interface Ends {
  source(): Promise<Source>;
  sink(): Promise<Sink>;
  before(): Promise<Map<string, Held[]>>;
  after(): Promise<Map<string, Held[]>>;
  /** What the source still has; where it is given, the job removes what was proved. */
  left?(): Promise<Map<string, Held[]>>;
}

interface Job {
  readonly name: string;
  readonly kind: "imap" | "pop3";
  /** Fresh ends, one of them behind the port. */
  begin(port: number): Promise<Ends>;
}

const FOLDERS = [["INBOX"], ["Work", "2024"]];
let from: string;
let drop: string;
/** What every source holds. */
let kept: Record<"imap" | "pop3", Promise<Map<string, Held[]>>>;
beforeAll(async () => {
  from = await account(FOLDERS);
  drop = await account([["INBOX"]]);
  kept = { imap: imapContent(from), pop3: popContent(drop) };
});

const imapContent = (user: string) => held(openImapSource(server("imap", user), signal));
const popContent = (user: string) => held(openPop3Source(server("pop3", user), signal));
const diskContent = (path: string) => held(openMaildirSource({ path }, signal));

const JOBS: readonly Job[] = [
  {
    name: "IMAP to IMAP, the source's wire",
    kind: "imap",
    async begin(port) {
      const to = await account([]);
      return {
        source: () => openImapSource(server("imap", from, port), signal),
        sink: () => openImapSink(server("imap", to), signal),
        before: () => kept.imap,
        after: () => imapContent(to),
      };
    },
  },
  {
    name: "IMAP to IMAP, the target's wire",
    kind: "imap",
    async begin(port) {
      const to = await account([]);
      return {
        source: () => openImapSource(server("imap", from), signal),
        sink: () => openImapSink(server("imap", to, port), signal),
        before: () => kept.imap,
        after: () => imapContent(to),
      };
    },
  },
  {
    name: "IMAP to Maildir",
    kind: "imap",
    async begin(port) {
      const path = join(root, `maildir${count++}`);
      return {
        source: () => openImapSource(server("imap", from, port), signal),
        sink: () => openMaildirSink({ path }, signal),
        before: () => kept.imap,
        after: () => diskContent(path),
      };
    },
  },
  {
    name: "a move from IMAP to Maildir",
    kind: "imap",
    async begin(port) {
      const user = await account(FOLDERS);
      const path = join(root, `maildir${count++}`);
      return {
        source: () => openImapSource(server("imap", user, port), signal),
        sink: () => openMaildirSink({ path }, signal),
        before: () => kept.imap,
        after: () => diskContent(path),
        left: () => imapContent(user),
      };
    },
  },
  {
    name: "POP3 to Maildir",
    kind: "pop3",
    async begin(port) {
      const path = join(root, `maildir${count++}`);
      return {
        source: () => openPop3Source(server("pop3", drop, port), signal),
        sink: () => openMaildirSink({ path }, signal),
        before: () => kept.pop3,
        after: () => diskContent(path),
      };
    },
  },
  {
    name: "a drain from POP3 to Maildir",
    kind: "pop3",
    async begin(port) {
      const user = await account([["INBOX"]]);
      const path = join(root, `maildir${count++}`);
      return {
        source: () => openPop3Source(server("pop3", user, port), signal),
        sink: () => openMaildirSink({ path }, signal),
        before: () => kept.pop3,
        after: () => diskContent(path),
        left: () => popContent(user),
      };
    },
  },
];

/** One run from login to the end; what it threw, or undefined when it completed. */
async function once(ends: Ends, state: string): Promise<unknown> {
  try {
    await using source = await ends.source();
    await using sink = await ends.sink();
    const options = { stateDirectory: state, patience: PATIENCE, ...(ends.left !== undefined ? { remove: {} } : {}) };
    const job: Run = run(source, sink, options, signal);
    const summary = await job.finished;
    expect(summary.closes).toBe(true);
    return summary.outcome === "complete" ? undefined : summary;
  } catch (error) {
    return error;
  }
}

function keys(content: ReadonlyMap<string, readonly Held[]>): string[] {
  return [...content].flatMap(([path, all]) => all.map(({ key }) => `${path} ${key}`)).sort();
}

/** Runs it, and if it did not complete once more; then the target holds what the source held, once, and the source what it shall. */
async function carry(job: Job, proxy: FaultProxy, options: ProxyOptions): Promise<"itself" | "again"> {
  const ends = await job.begin(proxy.port);
  const before = await ends.before();
  const state = join(root, `state${count++}`);
  proxy.configure(options);
  const failure = await once(ends, state);
  if (failure instanceof Error) {
    expect(failure).toBeInstanceOf(MailError);
    expect(failure).toMatchObject({ details: { remedy: "retry" } });
  }
  proxy.configure({});
  if (failure !== undefined) expect(await once(ends, state)).toBeUndefined();
  const after = await ends.after();
  // POP3 tells no traits: there the content alone can be compared.
  if (job.kind === "imap") expect(after).toEqual(before);
  else expect(keys(after)).toEqual(keys(before));
  if (ends.left !== undefined) expect(keys(await ends.left())).toEqual([]);
  return failure === undefined ? "itself" : "again";
}

/** The octets of a whole undisturbed job. */
async function length(job: Job): Promise<Record<Direction, number>> {
  await using proxy = await startProxy(dovecot.ports[job.kind]);
  expect(await carry(job, proxy, {})).toBe("itself");
  return { ...proxy.bytes };
}

/** Most cuts fall where commands and answers are close together, at both ends; the rest into the mail between them. */
function places(total: number): number[] {
  const near = Math.min(EDGE, total / 3);
  return Array.from({ length: CUTS }, (_, n) => {
    const part = (Math.floor(n / 5) * 5 + 2.5) / CUTS;
    const inside = [part * near, part * near + near / CUTS, near + part * (total - 2 * near)];
    const places = [...inside, total - near * (1 - part), total - near * (1 - part) - near / CUTS];
    return Math.max(1, Math.floor(places[n % 5] ?? 1));
  });
}

describe.each(JOBS)("$name", (job) => {
  it.each(["up", "down"] as const)(
    "cut after any octet that goes %s: nothing lost, nothing twice",
    async (direction) => {
      const { [direction]: total } = await length(job);
      const ended = { itself: 0, again: 0 };
      const rest = places(total).entries();
      const lane = async (): Promise<void> => {
        for (const [n, afterBytes] of rest) {
          await using proxy = await startProxy(dovecot.ports[job.kind]);
          try {
            const how = n % 3 === 2 ? "end" : "reset";
            ended[await carry(job, proxy, { cut: { direction, afterBytes, connections: 1, how } })]++;
          } catch (error) {
            throw new Error(`cut after ${afterBytes} of ${total} octets ${direction}`, { cause: error });
          }
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      // A cut during the first login, or while the folders are listed, ends a run; any later one does not.
      expect(ended.itself).toBeGreaterThan(CUTS / 3);
    },
  );
});
