// Whole jobs over a bad wire, in process: what is carried, between which ends, and what must hold afterwards.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { EXIT, type ExitCode, exitCodeOf } from "../../../src/cli/exit.ts";
import { MailError } from "../../../src/mail/errors.ts";
import { keyOfBytes } from "../../../src/mail/key.ts";
import type { RunOptions } from "../../../src/migrate/context.ts";
import type { RunSummary } from "../../../src/migrate/events.ts";
import { run } from "../../../src/migrate/run.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { openImapSink } from "../../../src/sinks/imap.ts";
import { openMaildirSink } from "../../../src/sinks/maildir.ts";
import type { Sink } from "../../../src/sinks/sink.ts";
import { openImapSource } from "../../../src/sources/imap.ts";
import { openMaildirSource } from "../../../src/sources/maildir.ts";
import { openPop3Source } from "../../../src/sources/pop3.ts";
import type { Source } from "../../../src/sources/source.ts";
import { contentOf, type Held, inOrder } from "../../kit/content.ts";
import { countCompared } from "../../kit/counts.ts";
import { type Dovecot, type DovecotOptions, startDovecot } from "../../kit/dovecot.ts";
import { connectImap, type Held as HeldInAccount, type Seed } from "../../kit/imap-client.ts";
import { masked, masking, withoutUidplus } from "../../kit/other-servers.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const { signal } = new AbortController();
/** A server that works for many lanes at once commits late. */
const PATIENCE = { attempts: 6, firstDelayMs: 2, settleMs: 500 };

/** A living server on a busy machine answers within that. */
const LIVING_MS = 20_000;

/** A folder with twins (one with another flag and date), flags, a keyword, dots and 8-bit; and one below another. */
export function* smallMail(): Generator<Seed> {
  const text = (id: number): Buffer =>
    Buffer.from(`Message-ID: <${id}@x>\r\n\r\n.\r\n\xe9${"y".repeat(9 * id)}\r\n`, "latin1");
  const received = (id: number) => ({ epochSeconds: 1_500_000_000 + id * 60 });
  yield { folder: ["INBOX"], bytes: text(1), flags: ["seen"], received: received(1) };
  yield { folder: ["INBOX"], bytes: text(2), keywords: ["Work"], received: received(2) };
  yield { folder: ["INBOX"], bytes: text(1), flags: ["seen"], received: received(1) };
  yield { folder: ["INBOX"], bytes: text(1), flags: ["flagged"], received: received(3) };
  yield { folder: ["A", "B"], bytes: text(3), flags: ["answered"], received: received(4) };
}

/** The same; of most messages the header has octets above 127. */
function* eightBitMail(): Generator<Seed> {
  for (const seed of smallMail()) {
    const text = Buffer.from(seed.bytes).toString("latin1");
    const isPlain = text.includes("<2@x>");
    yield isPlain ? seed : { ...seed, bytes: Buffer.from(`Subject: Gr\xfc\xdfe\r\n${text}`, "latin1") };
  }
}

export type Content = ReadonlyMap<string, readonly Held[]>;

/** One case's ends; the wire in question goes to the port given. */
export interface Ends {
  source(): Promise<Source>;
  sink(): Promise<Sink>;
  /** What the target holds. */
  after(): Promise<Content>;
  /** Of a target on the disk. */
  readonly path?: string;
  /** What the source still has; where it is given, the job removes what was proved. */
  left?(): Promise<Content>;
  readonly options?: Partial<RunOptions>;
}

export interface Job {
  readonly name: string;
  readonly kind: "imap" | "pop3";
  /** Opens the end that is behind the port and leaves it: from there on a fault ends no run. */
  open(port: number): Promise<AsyncDisposable>;
  begin(port: number): Promise<Ends>;
}

export interface Yard extends AsyncDisposable {
  readonly dovecot: Dovecot;
  readonly jobs: Readonly<Record<JobName, Job>>;
  /** What every source holds, as IMAP tells it. */
  readonly before: Content;
  /** Runs until complete, at most twice, and once more. Throws where anything is lost, there twice, or changed by the last run. */
  carry(job: Job, port: number, wire: BadWire): Promise<Carried>;
  readonly security: "none" | "tls";
  /** A server on a busy machine may be silent for so long before anything is done to the wire. */
  readonly isImpatient: boolean;
}

/** Called when the ends are ready, and when the first run has ended. */
export interface BadWire {
  fault(): void;
  mended(): void;
  /** That a run may end with. Default: exit 5 alone. */
  readonly exits?: readonly ExitCode[];
}

export interface Carried {
  readonly failure: MailError | undefined;
  readonly first: RunSummary | undefined;
}

export interface YardOptions extends DovecotOptions {
  readonly security?: "none" | "tls";
  /** Silence that is taken for a dead wire, all of its kinds. */
  readonly stallMs?: number;
  readonly mail?: () => Iterable<Seed>;
  /** Default true. */
  readonly uidplus?: boolean;
  /** Half of the mail has octets above 127 in its header, and what is appended by IMAP gets an X for each of them. */
  readonly masks?: boolean;
}

export type JobName = "readImap" | "listImap" | "moveImap" | "readPop" | "drainPop" | "writeImap" | "bothImap";

/** A Dovecot, a source account of each kind, and the jobs between them and the disk. */
export async function openYard(options: YardOptions = {}): Promise<Yard> {
  const { security = "none", stallMs, masks = false, uidplus = true, ...more } = options;
  const { mail = masks ? eightBitMail : smallMail, ...given } = more;
  // In memory where that is possible: thousands of jobs sync their files, and the disk is not what is tested.
  const root = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailferry-wire-"));
  const started = await startDovecot({
    fsync: false,
    users: [],
    ...given,
    // A process a session would be half of the time; they all run as one user.
    extraConfig: `service imap {\n  service_count = 500\n}\nservice pop3 {\n  service_count = 500\n}\n${given.extraConfig ?? ""}`,
  });
  const named = uidplus ? started : await withoutUidplus(started);
  const dovecot = masks ? await masking(named) : named;
  let count = 0;
  const account = async (filled: "all" | "inbox" | "empty"): Promise<string> => {
    // All of one length: places are counted over conversations that name them.
    const user = `user${String(count++).padStart(6, "0")}`;
    await dovecot.addUser(user);
    const seeds = filled === "inbox" ? [...mail()].filter(({ folder }) => folder.join() === "INBOX") : mail();
    if (filled !== "empty") seedMaildir(dovecot, user, seeds);
    return user;
  };
  const server = (kind: "imap" | "pop3", user: string, port?: number): ServerOptions => ({
    ...dovecot.serverOptions(security === "tls" ? `${kind}s` : kind, user),
    ...(security === "tls" ? {} : { host: "127.0.0.1" }),
    security,
    connections: 1,
    ...(port === undefined ? {} : { port }),
  });
  const imapTiming = stallMs === undefined ? {} : { stallMs, loginMs: stallMs };
  const popTiming = stallMs === undefined ? {} : { connectMs: stallMs, inactivityMs: stallMs };
  /** As every command opens it that copies. */
  const imapSource = (user: string, port?: number) =>
    openImapSource(server("imap", user, port), signal, { ...imapTiming, toRead: true });
  const popSource = (user: string, port?: number) => openPop3Source(server("pop3", user, port), signal, popTiming);
  const imapSink = (user: string, port?: number) => openImapSink(server("imap", user, port), signal, imapTiming);
  /** Asked by another client than the one that is tested. */
  async function imapContent(user: string): Promise<Content> {
    await using client = await connectImap(server("imap", user));
    const all = [...(await client.readAll())].filter(([, messages]) => messages.length > 0);
    return new Map(all.map(([path, messages]) => [path, inOrder(messages.map(heldThere))] as const).sort(byPath));
  }

  const from = await account("all");
  const onDisk = await account("all");
  const before = await imapContent(from);

  const disk = (): { path: string; sink(): Promise<Sink>; after(): Promise<Content> } => {
    const path = join(root, `maildir${count++}`);
    return { path, sink: () => openMaildirSink({ path }, signal), after: () => diskContent(path) };
  };
  const jobs: Readonly<Record<JobName, Job>> = {
    readImap: {
      name: "IMAP to Maildir",
      kind: "imap",
      open: (port) => imapSource(from, port),
      begin: async (port) => ({ source: () => imapSource(from, port), ...disk() }),
    },
    listImap: {
      name: "IMAP to Maildir, each folder listed before it is fetched",
      kind: "imap",
      open: (port) => imapSource(from, port),
      // Where a filter is set it is not known beforehand that everything is wanted.
      begin: async (port) => ({ source: () => imapSource(from, port), options: { maxSize: 1 << 30 }, ...disk() }),
    },
    moveImap: {
      name: "a move from IMAP to Maildir",
      kind: "imap",
      open: (port) => imapSource(from, port),
      async begin(port) {
        const user = await account("all");
        return { source: () => imapSource(user, port), left: () => imapContent(user), ...disk() };
      },
    },
    readPop: {
      name: "POP3 to Maildir",
      kind: "pop3",
      open: (port) => popSource(from, port),
      async begin(port) {
        // One session locks the maildrop, and many cases run at once.
        const user = await account("inbox");
        return { source: () => popSource(user, port), ...disk() };
      },
    },
    drainPop: {
      name: "a drain from POP3 to Maildir",
      kind: "pop3",
      open: (port) => popSource(from, port),
      async begin(port) {
        const user = await account("inbox");
        return { source: () => popSource(user, port), left: () => imapContent(user), ...disk() };
      },
    },
    writeImap: {
      name: "Maildir to IMAP",
      kind: "imap",
      open: (port) => imapSink(from, port),
      async begin(port) {
        const user = await account("empty");
        const path = dovecot.maildir(onDisk);
        return {
          source: () => openMaildirSource({ path }, signal),
          sink: () => imapSink(user, port),
          after: () => imapContent(user),
        };
      },
    },
    bothImap: {
      name: "IMAP to IMAP, both wires",
      kind: "imap",
      open: (port) => imapSink(from, port),
      async begin(port) {
        const user = await account("empty");
        return {
          source: () => imapSource(from, port),
          sink: () => imapSink(user, port),
          after: () => imapContent(user),
        };
      },
    },
  };

  async function carry(job: Job, port: number, { fault, mended, exits = [EXIT.temporary] }: BadWire): Promise<Carried> {
    const ends = await job.begin(port);
    const state = join(root, `state${count++}`);
    fault();
    const first = await once(ends, state, mended);
    if (first instanceof Error) {
      if (!(first instanceof MailError)) throw first;
      expect(exits, first.message).toContain(exitCodeOf(first));
    }
    if (first instanceof Error || first.outcome !== "complete") {
      const again = await once(ends, state, mended);
      if (again instanceof Error) throw again;
      expect(again).toMatchObject({ outcome: "complete", closes: true });
    }
    const all = masks ? maskedContent(before, mail()) : before;
    const wanted = job.kind === "pop3" ? inboxOf(all) : all;
    const after = await ends.after();
    countCompared(keys(wanted), keys(after));
    // POP3 tells no traits: there the content alone can be compared.
    if (job.kind === "imap") expect(after).toEqual(wanted);
    else expect(keys(after)).toEqual(keys(wanted));
    if (ends.left !== undefined) expect(keys(await ends.left())).toEqual([]);
    for (const path of [state, ends.path ?? state]) await rm(path, { recursive: true, force: true });
    return first instanceof MailError
      ? { failure: first, first: undefined }
      : { failure: undefined, first: first instanceof Error ? undefined : first };
  }

  const close = async (): Promise<void> => {
    await dovecot.stop();
    await rm(root, { recursive: true, force: true });
  };
  return {
    dovecot,
    jobs,
    before,
    security,
    isImpatient: stallMs !== undefined && stallMs < LIVING_MS,
    carry,
    [Symbol.asyncDispose]: close,
  };
}

/** One run from login to the end; where it completes, the wire is mended and another one must change nothing. */
async function once(ends: Ends, stateDirectory: string, mended: () => void): Promise<RunSummary | Error> {
  try {
    await using source = await ends.source();
    await using sink = await ends.sink();
    const removing = ends.left !== undefined ? { remove: {} } : {};
    const options = { stateDirectory, patience: PATIENCE, ...removing, ...ends.options };
    const summary = await run(source, sink, options, signal).finished;
    mended();
    if (summary.outcome === "complete") await changesNothing(source, sink, stateDirectory);
    return summary;
  } catch (error) {
    mended();
    if (error instanceof Error) return error;
    throw error;
  }
}

async function changesNothing(source: Source, sink: Sink, stateDirectory: string): Promise<void> {
  const summary = await run(source, sink, { stateDirectory, patience: PATIENCE }, signal).finished;
  expect(summary).toMatchObject({ outcome: "complete", closes: true, traitsUpdated: 0, bytes: 0 });
  expect(summary.balance["already-copied"]).toBe(summary.listed);
}

async function diskContent(path: string): Promise<Content> {
  await using source = await openMaildirSource({ path }, signal);
  return new Map([...(await contentOf(source))].filter(([, messages]) => messages.length > 0));
}

function heldThere({ key, flags, keywords, epochSeconds }: HeldInAccount): Held {
  const lower = keywords.map((keyword) => keyword.toLowerCase()).sort();
  return { key, flags: flags.join(" "), keywords: lower.join(" "), labels: "", received: epochSeconds };
}

function byPath([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function inboxOf(content: Content): Content {
  return new Map([...content].filter(([path]) => path === "INBOX"));
}

/** As an account has it that masks. */
function maskedContent(content: Content, mail: Iterable<Seed>): Content {
  const known = new Map<string, Held["key"]>(
    [...mail].map(({ bytes }) => [keyOfBytes(bytes).key, keyOfBytes(masked(bytes)).key]),
  );
  const other = (held: Held): Held => ({ ...held, key: known.get(held.key) ?? held.key });
  return new Map([...content].map(([path, all]) => [path, inOrder(all.map(other))]));
}

function keys(content: Content): string[] {
  return [...content].flatMap(([path, all]) => all.map(({ key }) => `${path} ${key}`)).sort();
}
