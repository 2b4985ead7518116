// One message of an mbox: where it ends and the next begins, looked up in a window of the file.

import { headerValue } from "../../mail/headers.ts";
import { FROM_LINE_LIMIT, type FromLine, judgeFromLine, looksLikeField } from "./from-line.ts";
import { lookAtHead } from "./head.ts";
import type { Dialect } from "./split.ts";
import type { Lookup, Window } from "./window.ts";

const FROM = Buffer.from("From ");
const NEEDLE = Buffer.from("\nFrom ");
const LF = 10;
const CR = 13;
/** A From_ line, and enough of the next line to see whether it is a header field. */
export const LOOK = FROM_LINE_LIMIT + 258;
/** Nearly every header ends sooner. */
const HEAD_LOOK = 16 * 1024;

export interface Found {
  /** Where the From_ line begins. */
  readonly offset: number;
  readonly from: FromLine;
  /** The octet behind the From_ line's line end. */
  readonly content: number;
}

/** Where a content ends, and the From_ line behind it; none at the end of the file. */
interface Extent {
  readonly end: number;
  readonly next?: Found | undefined;
}

interface Scanned extends Extent {
  /** `From ` lines in it that are no separators, and those of them that would be one behind a blank line. */
  readonly bare: number;
  readonly doubtful: number;
}

interface Head {
  /** The header with its blank line, as far as the limit; a buffer of its own. */
  readonly head: Buffer;
  readonly isWhole: boolean;
  readonly mayHoldState: boolean;
}

export interface Cut extends Scanned {
  readonly head: Buffer;
  readonly mayHoldState: boolean;
}

/** The message whose From_ line was found. */
export function* cut(window: Window, found: Found, dialect: Dialect, headLimit: number): Lookup<Cut> {
  const { offset, content } = found;
  const { head, isWhole, mayHoldState } = yield* readHead(window, offset, content, headLimit);
  const landing =
    dialect === "rd" || dialect === "o" || !isWhole || !mayHoldState
      ? undefined
      : yield* land(window, offset, content, head);
  // What Content-Length spans is looked through only where the quoting depends on it.
  const { end, next, bare, doubtful }: Scanned =
    landing !== undefined && dialect !== "auto"
      ? { ...landing, bare: 0, doubtful: 0 }
      : yield* scan(window, offset, content, landing);
  // A separator may stand within what looked like the header.
  const own = head.length > end - content ? head.subarray(0, end - content) : head;
  return { end, next, bare, doubtful, head: own, mayHoldState };
}

/** The first octet that is neither a byte order mark nor part of a blank line. */
export function* skipBlank(window: Window): Lookup<number> {
  let at = 0;
  const first = window.peek(0, 3) ?? (yield { position: 0, length: 3, keep: 0 });
  if (first[0] === 0xef && first[1] === 0xbb && first[2] === 0xbf) at = 3;
  while (at < window.size) {
    const view = window.peek(at, 2) ?? (yield { position: at, length: 2, keep: at });
    if (view[0] === LF) at++;
    else if (view[0] === CR && view[1] === LF) at += 2;
    else break;
  }
  return at;
}

/** The From_ line that begins at `at`, which begins a line; undefined when none plausible stands there. */
export function* fromLineAt(window: Window, at: number, keep: number): Lookup<Found | undefined> {
  const view = window.peek(at, LOOK) ?? (yield { position: at, length: LOOK, keep });
  // A view at the end of the file may be shorter than the word.
  if (view.length < FROM.length || view.compare(FROM, 0, FROM.length, 0, FROM.length) !== 0) return undefined;
  const lf = view.indexOf(LF);
  if (lf > FROM_LINE_LIMIT + 1 || (lf === -1 && at + view.length < window.size)) return undefined;
  const end = lf === -1 ? view.length : lf;
  const { verdict, from } = judgeFromLine(view.toString("latin1", 0, view[end - 1] === CR ? end - 1 : end));
  if (verdict === "no") return undefined;
  if (verdict === "if-header" && !looksLikeField(view.toString("latin1", end + 1, end + 257))) return undefined;
  return { offset: at, from, content: at + (lf === -1 ? end : lf + 1) };
}

function* readHead(window: Window, offset: number, content: number, limit: number): Lookup<Head> {
  for (let length = Math.min(HEAD_LOOK, limit); ; length = limit) {
    const there = window.peek(content, length) ?? (yield { position: content, length, keep: offset });
    const view = there.subarray(0, length);
    const { end, mayHoldState } = lookAtHead(view);
    if (end !== -1) {
      const head = Buffer.from(view.subarray(0, end + (view[end] === CR ? 2 : 1)));
      return { head, isWhole: true, mayHoldState };
    }
    if (length === limit || content + view.length >= window.size)
      return { head: Buffer.from(view), isWhole: false, mayHoldState };
  }
}

/** Where Content-Length says that the message ends, if that is exactly an end. */
function* land(window: Window, offset: number, content: number, head: Buffer): Lookup<Extent | undefined> {
  const value = headerValue(head, "content-length");
  if (value === undefined || !/^\d{1,15}$/.test(value)) return undefined;
  const end = content + head.length + Number(value);
  if (end > window.size) return undefined;
  if (end === window.size) return { end };
  const from = Math.max(content - 1, end - 3);
  const view = window.peek(from, 5) ?? (yield { position: from, length: 5, keep: offset });
  const here = end - from;
  const lineEnd = view[here] === LF ? 1 : view[here] === CR && view[here + 1] === LF ? 2 : 0;
  const atLineStart = view[here - 1] === LF;
  const blank = blankBefore(view, here);
  if (lineEnd > 0) {
    if (end + lineEnd === window.size) return { end };
    const next = yield* fromLineAt(window, end + lineEnd, offset);
    if (next !== undefined) return { end, next };
  }
  const next = atLineStart ? yield* fromLineAt(window, end, offset) : undefined;
  // Some writers counted the separator's blank line in.
  return next === undefined ? undefined : { end: end - blank, next };
}

/** Octets of the blank line that ends at `at`; 0 when there is none, or when the view does not reach the line before it. */
function blankBefore(view: Buffer, at: number): number {
  if (view[at - 1] !== LF) return 0;
  const line = view[at - 2] === CR ? 2 : 1;
  return view[at - line - 1] === LF ? line : 0;
}

/**
 * Looks through the content up to its end: the next separator or the end of the file, or where `landing` says. Counts the
 * `From ` lines in it that are no separators, and of these the doubtful ones.
 */
function* scan(window: Window, offset: number, content: number, landing: Extent | undefined): Lookup<Scanned> {
  const limit = landing?.end ?? window.size;
  let bare = 0;
  let doubtful = 0;
  // Every line of the content has an LF before it: the first one that of the From_ line. Looking for it along with the word is
  // faster than for the word alone, whose first letter is as frequent in base64 as line ends are.
  let at = content;
  while (at + FROM.length <= limit) {
    // Three octets more, to see a blank line before it. The From_ line ends before the content: there is no earlier one.
    const base = Math.max(content - 1, at - 3);
    const view = window.peek(base, 16) ?? (yield { position: base, length: 16, keep: offset });
    const hit = view.indexOf(NEEDLE, at - 1 - base) + 1;
    if (hit === 0) {
      at = Math.max(at, base + view.length - FROM.length + 1);
      continue;
    }
    at = base + hit;
    if (at + FROM.length > limit) break;
    // The From_ line's own line end ends no blank line.
    const blank = at === content ? 0 : blankBefore(view, hit);
    const next = yield* fromLineAt(window, at, offset);
    if (landing === undefined && next !== undefined && blank > 0) return { end: at - blank, next, bare, doubtful };
    bare++;
    if (landing === undefined && next !== undefined) doubtful++;
    at++;
  }
  if (landing !== undefined) return { ...landing, bare, doubtful };
  return { end: yield* endOfFile(window, content), bare, doubtful };
}

/** The end of the last message: one blank line at the end of the file is the format's. */
function* endOfFile(window: Window, content: number): Lookup<number> {
  const { size } = window;
  if (content >= size) return size;
  const base = Math.max(content - 1, size - 3);
  const view = window.peek(base, 3) ?? (yield { position: base, length: 3, keep: base });
  return size - blankBefore(view, view.length);
}
