// Whole jobs with scripted servers: run until complete, once more, and then the target holds what the source held, once.

import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { EXIT, type ExitCode, exitCodeOf } from "../../src/cli/exit.ts";
import { MailError } from "../../src/mail/errors.ts";
import { keyOf } from "../../src/mail/key.ts";
import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import type { Source } from "../../src/sources/source.ts";
import { contentOf, keysOf } from "../kit/content.ts";
import { count } from "../kit/counts.ts";
import { expectSame } from "./contents.ts";
import type { ScriptedAccount } from "./imap-account.ts";

export const { signal } = new AbortController();

export interface Bench extends AsyncDisposable {
  /** A new path below one temporary folder. */
  place(name: string): string;
}

export async function openBench(): Promise<Bench> {
  const root = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailferry-scripted-"));
  let places = 0;
  return {
    place: (name) => join(root, `${name}${places++}`),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** Twins, of which one has a flag of its own; sizes that differ. */
export const MAIL: readonly string[] = [1, 2, 3, 1, 4, 1].map(
  (id) => `Message-ID: <${id}@example.org>\r\nSubject: ${id}\r\n\r\n${"z".repeat(id * 11)}\r\n`,
);

/** A Maildir with these messages in its inbox; each second one was seen. */
export function makeMaildir(path: string, mail: readonly string[] = MAIL): void {
  for (const name of ["cur", "new", "tmp"]) mkdirSync(join(path, name), { recursive: true });
  for (const [n, text] of mail.entries()) {
    const file = join(path, "cur", `${1_500_000_000 + n}.M${n}P1.h:2,${n % 2 === 0 ? "" : "S"}`);
    writeFileSync(file, text.replaceAll("\r\n", "\n"), "latin1");
    utimesSync(file, 1_500_000_000 + n, 1_500_000_000 + n);
  }
}

export interface Job {
  source(): Promise<Source>;
  sink(): Promise<Sink>;
  /** Content keys by folder. */
  wanted(): Promise<Map<string, string[]>>;
  arrived(): Promise<Map<string, string[]>>;
  readonly state: string;
}

/** From a Maildir to the account. */
export function intoAccount(bench: Bench, account: ScriptedAccount, mail: readonly string[] = MAIL): Job {
  const path = bench.place("source");
  makeMaildir(path, mail);
  const source = () => openMaildirSource({ path }, signal);
  return {
    source,
    sink: () => openImapSink(account.server(), signal),
    wanted: async () => new Map([["INBOX", (await Promise.all(mail.map(keyOfText))).sort()]]),
    arrived: () => account.keys(),
    state: bench.place("state"),
  };
}

/** From the account, or another source, to a Maildir. */
export function intoMaildir(bench: Bench, from: ScriptedAccount | (() => Promise<Source>)): Job {
  const path = bench.place("target");
  const source = typeof from === "function" ? from : () => openImapSource(from.server(), signal);
  const wanted = typeof from === "function" ? () => keysIn(from()) : () => from.keys();
  return {
    source,
    sink: () => openMaildirSink({ path }, signal),
    wanted,
    arrived: () => keysIn(openMaildirSource({ path }, signal)),
    state: bench.place("state"),
  };
}

async function keyOfText(text: string): Promise<string> {
  async function* content(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text, "latin1");
  }
  return (await keyOf(content())).key;
}

export async function keysIn(opening: Promise<Source>): Promise<Map<string, string[]>> {
  await using source = await opening;
  return new Map([...keysOf(await contentOf(source))].filter(([, keys]) => keys.length > 0));
}

export interface Ran {
  readonly summary: RunSummary | undefined;
  readonly failure: MailError | undefined;
  readonly events: readonly MigrationEvent[];
}

/** Waits for nothing, and remembers how long it was to wait. */
export function impatient(attempts = 4): { patience: NonNullable<RunOptions["patience"]>; waits: number[] } {
  const waits: number[] = [];
  const wait = async (ms: number): Promise<void> => void waits.push(ms);
  return { patience: { attempts, firstDelayMs: 1000, random: () => 0, wait }, waits };
}

/** One run; only a MailError may end it. `seen` is called with each event. */
export async function once(
  job: Job,
  options: Partial<RunOptions> = {},
  seen?: (event: MigrationEvent) => void,
): Promise<Ran> {
  const events: MigrationEvent[] = [];
  let failure: unknown;
  let summary: RunSummary | undefined;
  try {
    await using source = await job.source();
    await using sink = await job.sink();
    const going = run(source, sink, { stateDirectory: job.state, ...impatient(), ...options }, signal);
    for await (const event of going) {
      events.push(event);
      seen?.(event);
      if (event.type === "run-finished") summary = event.summary;
    }
    await going.finished;
  } catch (error) {
    failure = error;
  }
  if (failure !== undefined && !(failure instanceof MailError)) throw failure;
  return { summary, failure, events };
}

export interface Carry {
  readonly options?: Partial<RunOptions>;
  /** Of runs that fail. Default: exit 5 alone. */
  readonly exits?: readonly ExitCode[];
  /** Called after the first run: the server behaves from here on. */
  readonly mended?: () => void;
}

/** Runs until complete, at most three times, and once more, which changes nothing. Then all is there once. */
export async function carry(job: Job, { options = {}, exits = [EXIT.temporary], mended }: Carry = {}): Promise<Ran> {
  count("scripted cases");
  const first = await once(job, options);
  mended?.();
  let last = first;
  for (let more = 0; more < 2 && last.summary?.outcome !== "complete"; more++) {
    if (last.failure !== undefined) expect(exits, String(last.failure)).toContain(exitCodeOf(last.failure));
    last = await once(job, options);
  }
  expect(last.failure).toBeUndefined();
  expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
  const further = await once(job, options);
  expect(further.summary).toMatchObject({ outcome: "complete", closes: true, bytes: 0, traitsUpdated: 0 });
  expect(further.summary?.balance["already-copied"]).toBe(further.summary?.listed);
  expectSame(await job.wanted(), await job.arrived());
  return first;
}
