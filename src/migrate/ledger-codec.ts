// The lines of a journal: records and marks to JSON and back.

import type { Loss } from "../mail/fidelity.ts";
import type { ContentKey } from "../mail/key.ts";
import { type FolderPath, type Origin, SYSTEM_FLAGS, type SystemFlag, type Traits } from "../mail/model.ts";
import type { Stood } from "../sinks/sink.ts";
import type { Alteration, DoneRecord, Head, LedgerRecord } from "./ledger.ts";

/** The version of this format (decision 0015). */
export const JOURNAL_VERSION = 2;
/** The oldest one that is read, and written on as the newest; a file of any other is left alone. */
export const OLDEST_VERSION = 1;

/** The first line of every journal. */
export interface Header {
  readonly v: number;
  readonly source: string;
  readonly sink: string;
  readonly folder: string;
}

/** Whom a line is about: folder, generation, id. */
interface Named {
  readonly f: FolderPath;
  readonly g: string;
  readonly i: string;
}

/** By whom and when a record was written. Only with a number is the rest of version 2 known of it. */
interface Stamped {
  /** The run's number. */
  readonly u?: number;
  /** Epoch seconds; absent where they are those of `c`. */
  readonly a?: number;
}

/** A done or altered record. Letters, since a million of them are read at a time. */
export interface DoneLine extends Named, Stamped {
  readonly s: "done" | "altered";
  /** Content key, size in octets, receipt. */
  readonly k: string;
  readonly n: number;
  readonly r?: string;
  /** Flags as letters, keywords (w), labels. */
  readonly t?: string;
  readonly w?: readonly string[];
  readonly l?: readonly string[];
  /** Received date in epoch seconds, its zone in minutes. */
  readonly d?: number;
  readonly z?: number;
  /** First seen, epoch seconds. */
  readonly c: number;
  /** Proved. */
  readonly p?: 1;
  /** Marked: its removal at the source was begun. */
  readonly m?: 1;
  /** Vanished: its copy was deleted from the archive. */
  readonly v?: 1;
  /** The origin from which this record was taken over, which holds nothing from here on. */
  readonly o?: Named;
  /** Losses. */
  readonly x?: readonly Loss[];
  /** Octets announced; absent where they are `n`, null where nothing was announced. */
  readonly b?: number | null;
  /** How the copy was altered: kind, octets. */
  readonly y?: { readonly k: string; readonly n?: number };
}

export type JournalLine =
  | DoneLine
  | (Named & Stamped & { readonly s: "removed" })
  | (Named & Stamped & { readonly s: "failed"; readonly e: string })
  /** What is left of a forgotten record: the day it was first seen. */
  | (Named & { readonly s: "seen"; readonly c: number })
  | { readonly s: "forget" }
  /** A run began (its number, the sink folder's generation). */
  | { readonly s: "open"; readonly n: number; readonly g?: string }
  | CloseLine;

/** A run ended with every copy recorded: number, generation, position, heads, records held. */
export interface CloseLine {
  readonly s: "close";
  readonly n: number;
  readonly g?: string;
  readonly p?: string;
  readonly h: readonly { readonly f: FolderPath; readonly g: string; readonly n: number; readonly s?: string }[];
  /** Where the sink folder stood, in its own words; records held; the newest copies (receipt, content key, octets, received date). */
  readonly q?: string;
  readonly c?: number;
  readonly w?: readonly WitnessLine[];
  /** The run that wrote it. */
  readonly u?: number;
}

export interface WitnessLine {
  readonly r: string;
  readonly k: string;
  readonly n: number;
  readonly d?: number;
}

const LETTERS: Readonly<Record<SystemFlag, string>> = {
  seen: "S",
  answered: "R",
  flagged: "F",
  deleted: "T",
  draft: "D",
};

/** The bit of each letter, by character code. */
const BITS = new Uint8Array(128);
for (const [bit, flag] of SYSTEM_FLAGS.entries()) BITS[LETTERS[flag].charCodeAt(0)] = 1 << bit;

/** The system flags as five bits. */
export function flagBits(flags: ReadonlySet<SystemFlag>): number {
  let bits = 0;
  for (const flag of flags) bits |= 1 << SYSTEM_FLAGS.indexOf(flag);
  return bits;
}

export function letterBits(letters: string | undefined): number {
  let bits = 0;
  for (let i = 0; i < (letters?.length ?? 0); i++) bits |= BITS[letters?.charCodeAt(i) ?? 0] ?? 0;
  return bits;
}

/** Who writes a record, and when. */
export interface Stamp {
  readonly run: number;
  /** Epoch seconds. */
  readonly now: number;
}

export function recordLine(record: LedgerRecord, stamp: Stamp | undefined, from?: Origin): JournalLine {
  const { folder: f, generation: g, id: i } = record.origin;
  const by = stamp === undefined ? {} : { u: stamp.run, a: stamp.now };
  if (record.state === "removed") return { s: "removed", f, g, i, ...by };
  if (record.state === "failed") return { s: "failed", f, g, i, e: record.code, ...by };
  const { flags, keywords, labels, received } = record.traits;
  // Field by field: one is written for every message.
  const line: Growing<DoneLine> = { s: record.state, f, g, i, k: record.key, n: record.size, c: record.firstSeen };
  if (record.receipt !== undefined) line.r = record.receipt.ref;
  if (flags.size > 0) line.t = lettersOf(flags);
  if (keywords.size > 0) line.w = [...keywords];
  if (labels.size > 0) line.l = [...labels];
  if (received !== undefined) {
    line.d = received.epochSeconds;
    if (received.zoneMinutes !== undefined) line.z = received.zoneMinutes;
  }
  if (record.proved) line.p = 1;
  if (record.marked === true) line.m = 1;
  if (record.gone === true) line.v = 1;
  if (record.losses !== undefined && record.losses.length > 0) line.x = record.losses;
  if (record.announced !== record.size) line.b = record.announced ?? null;
  if (record.alteration !== undefined) line.y = alterationLine(record.alteration);
  if (stamp !== undefined) {
    line.u = stamp.run;
    if (stamp.now !== record.firstSeen) line.a = stamp.now;
  }
  if (from !== undefined) line.o = { f: from.folder, g: from.generation, i: from.id };
  return line;
}

function alterationLine({ kind, size }: Alteration): NonNullable<DoneLine["y"]> {
  return { k: kind, ...(size === undefined ? {} : { n: size }) };
}

type Growing<T> = { -readonly [K in keyof T]: T[K] };

function lettersOf(flags: ReadonlySet<SystemFlag>): string {
  let letters = "";
  for (const flag of flags) letters += LETTERS[flag];
  return letters;
}

/** The same record with an earlier day. */
export function seenFirst(line: DoneLine, day: number): DoneLine {
  return { ...line, ...(line.u === undefined ? {} : { a: line.a ?? line.c }), c: day };
}

export function doneRecord(line: DoneLine): DoneRecord {
  const flags = new Set(SYSTEM_FLAGS.filter((flag) => line.t?.includes(LETTERS[flag])));
  const received =
    line.d === undefined
      ? {}
      : { received: { epochSeconds: line.d, ...(line.z === undefined ? {} : { zoneMinutes: line.z }) } };
  const traits: Traits = { flags, keywords: new Set(line.w), labels: new Set(line.l), ...received };
  return {
    state: line.s,
    origin: { folder: line.f, generation: line.g, id: line.i },
    key: line.k as ContentKey,
    size: line.n,
    ...(line.r === undefined ? {} : { receipt: { ref: line.r } }),
    traits,
    firstSeen: line.c,
    proved: line.p === 1,
    ...(line.m === 1 ? { marked: true as const } : {}),
    ...(line.v === 1 ? { gone: true as const } : {}),
    ...inVersion2(line),
  };
}

/** Undefined where nothing was announced, or nobody knows. */
export function announcedIn({ u, n, b }: DoneLine): number | undefined {
  return (b === undefined && u !== undefined ? n : b) ?? undefined;
}

function inVersion2(line: DoneLine): Partial<DoneRecord> {
  const { u, a, c, x, y } = line;
  const announced = announcedIn(line);
  return {
    ...(u === undefined ? {} : { run: u, at: a ?? c, losses: x ?? [] }),
    ...(x === undefined ? {} : { losses: x }),
    ...(typeof announced === "number" ? { announced } : {}),
    ...(y === undefined ? {} : { alteration: { kind: y.k, ...(y.n === undefined ? {} : { size: y.n }) } }),
  };
}

/** What a closing mark says beside its number. */
export interface Closing {
  readonly generation: string | undefined;
  readonly position: string | undefined;
  readonly heads: Iterable<{ readonly source: FolderPath; readonly head: Head }>;
  readonly stand: string | undefined;
  readonly recorded: number;
  readonly newest: readonly WitnessLine[];
  readonly by: number | undefined;
}

export function closeLine(run: number, closing: Closing): CloseLine {
  const { generation, position, heads, stand, recorded, newest, by } = closing;
  return {
    s: "close",
    n: run,
    ...(generation === undefined ? {} : { g: generation }),
    ...(position === undefined ? {} : { p: position }),
    h: [...heads].map(({ source, head }) => ({
      f: source,
      g: head.generation,
      n: head.listed,
      ...(head.sourceState === undefined ? {} : { s: head.sourceState }),
    })),
    ...(stand === undefined ? {} : { q: stand }),
    ...(newest.length === 0 ? {} : { c: recorded, w: newest.map(witnessLine) }),
    ...(by === undefined ? {} : { u: by }),
  };
}

function witnessLine({ r, k, n, d }: WitnessLine): WitnessLine {
  return { r, k, n, ...(d === undefined ? {} : { d }) };
}

/** The copies that say later whether the store is still the one that was written. */
export function stoodOf(stand: string | undefined, recorded: number, newest: readonly WitnessLine[]): Stood {
  return {
    ...(stand === undefined ? {} : { at: stand }),
    recorded,
    newest: newest.map(({ r, k, n, d }) => ({
      receipt: { ref: r },
      key: k as ContentKey,
      size: n,
      ...(d === undefined ? {} : { received: d }),
    })),
  };
}

export function headsOf(line: CloseLine): { source: FolderPath; head: Head }[] {
  return line.h.map(({ f, g, n, s }) => ({
    source: f,
    head: { generation: g, listed: n, ...(s === undefined ? {} : { sourceState: s }) },
  }));
}

/** A line read back; undefined when it is none of ours (then it counts as damage, whatever its checksum says). */
export function decode(text: string): JournalLine | undefined {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isObject(line) && isLine(line) ? (line as unknown as JournalLine) : undefined;
}

export type Fields = Partial<Record<string, unknown>>;

/** Every field, whatever the checksum says: a state file may come with an archive from anywhere. */
function isLine(line: Fields): boolean {
  switch (line.s) {
    case "done":
    case "altered":
      return (
        isNamed(line) &&
        isKey(line.k) &&
        isWhole(line.n) &&
        isWhole(line.c) &&
        hasTraits(line) &&
        isFrom(line.o) &&
        isStamped(line) &&
        isOfVersion2(line)
      );
    case "removed":
      return isNamed(line) && isStamped(line);
    case "failed":
      return isNamed(line) && isText(line.e) && isStamped(line);
    case "seen":
      return isNamed(line) && isWhole(line.c);
    case "forget":
      return true;
    case "open":
      return isWhole(line.n) && maybe(line.g, isText);
    case "close":
      return (
        isWhole(line.n) && maybe(line.g, isText) && maybe(line.p, isText) && isListOf(line.h, isHead) && isStood(line)
      );
    default:
      return false;
  }
}

function hasTraits({ r, t, w, l, d, z }: Fields): boolean {
  const texts = (value: unknown): boolean => isListOf(value, isText);
  return (
    maybe(r, isText) &&
    maybe(t, isText) &&
    maybe(w, texts) &&
    maybe(l, texts) &&
    maybe(d, Number.isSafeInteger) &&
    maybe(z, Number.isSafeInteger)
  );
}

function isStamped({ u, a }: Fields): boolean {
  return maybe(u, isWhole) && maybe(a, isWhole);
}

function isOfVersion2({ x, b, y }: Fields): boolean {
  return (
    maybe(x, (losses) => isListOf(losses, isLoss)) &&
    (b === null || maybe(b, isWhole)) &&
    maybe(y, (how) => isObject(how) && isText(how.k) && maybe(how.n, isWhole))
  );
}

/** Of any kind: which there are is no matter of this file. */
function isLoss(loss: unknown): boolean {
  return isObject(loss) && isText(loss.kind) && maybe(loss.name, isText);
}

function isFrom(origin: unknown): boolean {
  return maybe(origin, (value) => isObject(value) && isNamed(value));
}

function maybe(value: unknown, isRight: (value: unknown) => boolean): boolean {
  return value === undefined || isRight(value);
}

function isStood({ q, c, w, u }: Fields): boolean {
  return maybe(q, isText) && maybe(c, isWhole) && maybe(w, (all) => isListOf(all, isWitness)) && maybe(u, isWhole);
}

function isWitness(line: unknown): boolean {
  return isObject(line) && isText(line.r) && isKey(line.k) && isWhole(line.n) && maybe(line.d, Number.isSafeInteger);
}

function isHead(head: unknown): boolean {
  return isObject(head) && isListOf(head.f, isText) && isText(head.g) && isWhole(head.n) && maybe(head.s, isText);
}

function isNamed({ f, g, i }: Fields): boolean {
  return isListOf(f, isText) && isText(g) && isText(i);
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function isKey(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

export function isText(value: unknown): boolean {
  return typeof value === "string";
}

export function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isListOf(value: unknown, isOne: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}
