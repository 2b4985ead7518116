// Folding line ends: every run of CR before LF becomes LF. By WebAssembly, sixteen octets at a time (fold.wat); where a machine has
// none, by one native search a line. A JavaScript string of a large message would cost ten times as much, since it gets pages of
// its own.

import { FOLD_CODE } from "./fold-code.ts";

const CR = 13;
const LF = 10;

/** What folding found. */
export interface Folds {
  /** Octets written. */
  readonly length: number;
  /** Every LF. */
  readonly lines: number;
  /** LFs with a CR directly before them. */
  readonly crlf: number;
  /** CRs that were folded away beyond the one directly before its LF. */
  readonly doubled: number;
  /** CRs that stayed. */
  readonly stray: number;
  readonly hasNul: boolean;
}

/**
 * Writes the folded form of `from` into `to`, which has at least as many octets; undefined: only tells what it would find. A CR at
 * its end stays where it is. `most`: so many CRs of a run go; all of them, if nothing else is said.
 */
export function foldInto(to: Buffer | undefined, from: Buffer, most = ALL): Folds {
  vectors ??= openVectors();
  if (vectors === "none") return foldByLines(to ?? Buffer.allocUnsafe(from.length), from, most);
  return from.length <= FOLD_WINDOW ? foldWindow(vectors, to, 0, from, most) : foldWindows(vectors, to, from, most);
}

const ALL = 2 ** 32 - 1;
/** Octets that are folded at once: both forms stay in a processor's own cache. */
export const FOLD_WINDOW = 64 * 1024;
/** Where things lie in its memory: what it found, the octets, the folded ones. Each has a vector of room behind it. */
const FROM = 64;
const TO = FROM + FOLD_WINDOW + 64;

/** What fold.wat exports. Its result: length, lines, crlf, doubled, stray, and other than 0 where there was a NUL. */
interface Vectors {
  readonly memory: Buffer;
  readonly result: Uint32Array;
  fold(from: number, end: number, to: number, most: number, result: number): void;
}

/** Only this much of the standard's interface: Node's types have none of it. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => { readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly fold: Vectors["fold"] } };
};

let vectors: Vectors | "none" | undefined;

function openVectors(): Vectors | "none" {
  try {
    const module = new WebAssembly.Module(Buffer.from(FOLD_CODE, "base64"));
    const { memory, fold } = new WebAssembly.Instance(module).exports;
    return { memory: Buffer.from(memory.buffer), result: new Uint32Array(memory.buffer, 0, 6), fold };
  } catch {
    // Switched off (--jitless), or a processor without vectors.
    return "none";
  }
}

/**
 * Where the window that begins at `start` ends: before a run of CRs that goes on or may be folded with what is behind it. `start`
 * itself: the run is as long as a window.
 */
export function windowEnd(bytes: Uint8Array, start: number): number {
  let end = Math.min(start + FOLD_WINDOW, bytes.length);
  while (end < bytes.length && end > start && bytes[end - 1] === CR) end--;
  return end;
}

function foldWindow(
  { memory, result, fold }: Vectors,
  to: Buffer | undefined,
  at: number,
  from: Buffer,
  most: number,
): Folds {
  memory.set(from, FROM);
  fold(FROM, FROM + from.length, TO, most, 0);
  const length = result[0] ?? 0;
  if (to !== undefined) memory.copy(to, at, TO, TO + length);
  return {
    length,
    lines: result[1] ?? 0,
    crlf: result[2] ?? 0,
    doubled: result[3] ?? 0,
    stray: result[4] ?? 0,
    hasNul: result[5] !== 0,
  };
}

function foldWindows(vectors: Vectors, to: Buffer | undefined, from: Buffer, most: number): Folds {
  const all = { length: 0, lines: 0, crlf: 0, doubled: 0, stray: 0, hasNul: false };
  for (let start = 0; start < from.length; ) {
    const end = windowEnd(from, start);
    if (end === start) return foldByLines(to ?? Buffer.allocUnsafe(from.length), from, most);
    const found = foldWindow(vectors, to, all.length, from.subarray(start, end), most);
    all.length += found.length;
    all.lines += found.lines;
    all.crlf += found.crlf;
    all.doubled += found.doubled;
    all.stray += found.stray;
    all.hasNul ||= found.hasNul;
    start = end;
  }
  return all;
}

/** The same without WebAssembly, and for a run of CRs that is longer than a window. */
export function foldByLines(to: Buffer, from: Buffer, most = ALL): Folds {
  // Moved within `to`: a view for each line would cost as much as all the rest.
  to.set(from);
  let length = 0;
  let lines = 0;
  let crlf = 0;
  let doubled = 0;
  /** What was not copied yet begins here. */
  let start = 0;
  for (let at = from.indexOf(LF); at !== -1; at = from.indexOf(LF, at + 1)) {
    lines++;
    if (from[at - 1] !== CR) continue;
    crlf++;
    let end = at - 1;
    while (end > start && at - end < most && from[end - 1] === CR) end--;
    doubled += at - 1 - end;
    if (start > length) to.copyWithin(length, start, end);
    length += end - start;
    start = at;
  }
  if (start > length) to.copyWithin(length, start, from.length);
  length += from.length - start;
  return { length, lines, crlf, doubled, stray: count(to.subarray(0, length), CR), hasNul: from.includes(0) };
}

function count(bytes: Buffer, value: number): number {
  let found = 0;
  for (let at = bytes.indexOf(value); at !== -1; at = bytes.indexOf(value, at + 1)) found++;
  return found;
}
