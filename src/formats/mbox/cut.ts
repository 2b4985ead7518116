// One message of an mbox: where it ends and the next begins, looked up in a window of the file.

import { headerValue } from "../../mail/headers.ts";
import { FIELDS_LOOK, fieldsOfMail, type Multipart, type OpenParts } from "./evidence.ts";
import { FROM_LINE_LIMIT, type FromLine, judgeFromLine, looksLikeField, type Verdict } from "./from-line.ts";
import { lookAtHead } from "./head.ts";
import type { Dialect } from "./split.ts";
import type { Lookup, Window } from "./window.ts";

const FROM = Buffer.from("From");
const NEEDLE = Buffer.from("\nFrom");
const SPACE = 32;
const LF = 10;
const CR = 13;
/** A From_ line, and enough of the next line to see whether it is a header field. */
export const LOOK = FROM_LINE_LIMIT + 258;
/** The same where several header fields are looked for. */
const LONG_LOOK = FROM_LINE_LIMIT + FIELDS_LOOK;
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
  /** `From ` lines in it that are no separators, and those of them that look like one all the same. */
  readonly bare: number;
  readonly doubtful: number;
  /** Where the first doubtful one begins; -1 where there is none. */
  readonly doubtfulAt: number;
  /** The separator behind it is not beyond doubt: no blank line before it, or nothing like a header behind it. */
  readonly unsure: boolean;
}

interface Head {
  /** The header with its blank line, as far as the limit; a buffer of its own. */
  readonly head: Buffer;
  readonly isWhole: boolean;
  readonly mayHoldState: boolean;
  readonly multipart: number;
  readonly hasFromLine: boolean;
}

export interface Cut extends Scanned {
  readonly head: Buffer;
  readonly mayHoldState: boolean;
}

/** The message whose From_ line was found. */
export function* cut(window: Window, found: Found, dialect: Dialect, headLimit: number, parts: OpenParts): Lookup<Cut> {
  const { offset, content } = found;
  const { head, isWhole, mayHoldState, multipart, hasFromLine } = yield* readHead(window, offset, content, headLimit);
  const landing =
    dialect === "rd" || dialect === "o" || !isWhole || !mayHoldState
      ? undefined
      : yield* land(window, offset, content, head);
  const isForced = dialect === "every" || dialect === "blank";
  const declared = multipart === -1 || isForced ? undefined : { head, field: multipart };
  // What Content-Length spans is looked through only where the quoting depends on it.
  const { end, next, bare, doubtful, doubtfulAt, unsure }: Scanned =
    landing !== undefined && dialect !== "auto"
      ? { ...landing, bare: 0, doubtful: 0, doubtfulAt: -1, unsure: false }
      : yield* scan(
          window,
          offset,
          content,
          landing,
          dialect,
          declared,
          parts,
          isWhole && !hasFromLine ? head.length : 0,
        );
  // A separator may stand within what looked like the header.
  const own = head.length > end - content ? head.subarray(0, end - content) : head;
  return { end, next, bare, doubtful, doubtfulAt, unsure, head: own, mayHoldState };
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

/** A line that begins with "From", read. */
interface Line extends Found {
  readonly verdict: Verdict;
  /** Whether the next line begins like a header field. */
  readonly hasField: boolean;
  /** Whether the next line is blank, or there is none. */
  readonly isBare: boolean;
}

/** The From_ line that begins at `at`, which begins a line; undefined when none plausible stands there. */
export function* fromLineAt(window: Window, at: number, keep: number): Lookup<Found | undefined> {
  const line = yield* lineAt(window, at, keep);
  if (line === undefined || line.verdict === "no") return undefined;
  if (line.verdict === "if-header" && !line.hasField) return undefined;
  if (line.verdict === "if-mail" && (yield* fieldsBehind(window, line, keep)) < 2) return undefined;
  return line;
}

/** Undefined where the line is longer than any From_ line, or begins with another word. */
function* lineAt(window: Window, at: number, keep: number): Lookup<Line | undefined> {
  const view = window.peek(at, LOOK) ?? (yield { position: at, length: LOOK, keep });
  // A view at the end of the file may be shorter than the word.
  if (view.length < FROM.length || view.compare(FROM, 0, FROM.length, 0, FROM.length) !== 0) return undefined;
  const lf = view.indexOf(LF);
  if (lf > FROM_LINE_LIMIT + 1 || (lf === -1 && at + view.length < window.size)) return undefined;
  const end = lf === -1 ? view.length : lf;
  const { verdict, from } = judgeFromLine(view.toString("latin1", 0, view[end - 1] === CR ? end - 1 : end));
  const content = at + (lf === -1 ? end : lf + 1);
  const hasField = verdict !== "no" && looksLikeField(view, end + 1);
  const isBare = end + 1 >= view.length || view[end + 1] === LF || view[end + 1] === CR;
  return { offset: at, from, content, verdict, hasField, isBare };
}

function* fieldsBehind(window: Window, { offset, content }: Found, keep: number): Lookup<number> {
  const length = Math.min(LONG_LOOK, window.capacity);
  const view = window.peek(offset, length) ?? (yield { position: offset, length, keep });
  return fieldsOfMail(view, content - offset, 2);
}

/** Where a file begins to be read as an mbox. */
export interface Beginning {
  readonly found: Found;
  /** Octets before it that belong to no message, but for a byte order mark and blank lines. */
  readonly skipped: number;
  /** Its From_ line is gone: the file begins with the header of its first message. */
  readonly isHeadless: boolean;
}

/**
 * The first message. Where the file does not begin with a From_ line, the next one with header fields of mail behind it is looked for,
 * up to `reach`; what stands before that is a message too if it begins with a header. Undefined where there is none. `isForced`: who reads
 * it said where its messages part, so that it begins at a From_ line of any form.
 */
export function* beginning(
  window: Window,
  start: number,
  reach: number,
  isForced = false,
): Lookup<Beginning | undefined> {
  const first = (yield* fromLineAt(window, start, start)) ?? (isForced ? yield* odd(window, start) : undefined);
  if (first !== undefined) return { found: first, skipped: 0, isHeadless: false };
  const limit = Math.min(window.size, reach);
  for (let at = start; at + FROM.length < limit; ) {
    const view = window.peek(at, LOOK) ?? (yield { position: at, length: LOOK, keep: at });
    const lf = view.indexOf(NEEDLE);
    // A sector of NULs may have taken the line end with it.
    const nul = at === start && view[0] === 0 ? endOfNuls(view) : 0;
    if (nul > 0) {
      const found = yield* fromLineAt(window, at + nul, at);
      if (found !== undefined && (yield* fieldsBehind(window, found, at)) > 0)
        return { found, skipped: nul, isHeadless: false };
      if (nul === view.length) {
        at += nul;
        continue;
      }
    }
    if (lf === -1) {
      at = Math.max(at + 1, at + view.length - FROM.length);
      continue;
    }
    const found = yield* fromLineAt(window, at + lf + 1, at);
    if (found !== undefined && (yield* fieldsBehind(window, found, at)) > 0)
      return yield* withHead(window, start, found);
    at += lf + 1;
  }
  return undefined;
}

/** A first line of no known form, where all but the form says that it is one. */
function* odd(window: Window, start: number): Lookup<Found | undefined> {
  const line = yield* lineAt(window, start, start);
  return line !== undefined && (yield* fieldsBehind(window, line, start)) > 1 ? line : undefined;
}

function* withHead(window: Window, start: number, found: Found): Lookup<Beginning> {
  const head = { offset: start, from: { sender: "" }, content: start };
  if ((yield* fieldsBehind(window, head, start)) < 2)
    return { found, skipped: found.offset - start, isHeadless: false };
  return { found: head, skipped: 0, isHeadless: true };
}

function endOfNuls(view: Buffer): number {
  let at = 0;
  while (at < view.length && view[at] === 0) at++;
  return at;
}

function* readHead(window: Window, offset: number, content: number, limit: number): Lookup<Head> {
  for (let length = Math.min(HEAD_LOOK, limit); ; length = limit) {
    const there = window.peek(content, length) ?? (yield { position: content, length, keep: offset });
    const view = there.subarray(0, length);
    const { end, mayHoldState, multipart, hasFromLine } = lookAtHead(view);
    if (end !== -1) {
      const head = Buffer.from(view.subarray(0, end + (view[end] === CR ? 2 : 1)));
      return { head, isWhole: true, mayHoldState, multipart, hasFromLine };
    }
    if (length === limit || content + view.length >= window.size)
      return { head: Buffer.from(view), isWhole: false, mayHoldState, multipart, hasFromLine };
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

/** What a line that begins with "From" is: where `doubtful`, it looks like a separator and was not taken for one. */
interface Judged {
  readonly next?: Found;
  readonly unsure: boolean;
  readonly doubtful: boolean;
}

const TEXT: Judged = { unsure: false, doubtful: false };
const DOUBTFUL: Judged = { unsure: false, doubtful: true };

/**
 * Judges the line at `at` by all that is there: its own form, a blank line before it, header fields behind it. Where these do not
 * agree, the reading that loses no message is taken: a piece too many can be put together again, two messages in one are not seen.
 */
function* judge(window: Window, line: Line, keep: number, place: Place, dialect: Dialect): Lookup<Judged> {
  const { verdict, hasField, isBare } = line;
  if (dialect === "every") {
    // One of no known form too, where all but the form says that it is one.
    const isOne = verdict !== "no" || (place === "behind-blank" && (yield* fieldsBehind(window, line, keep)) > 1);
    return place === "top" || !isOne ? TEXT : { next: line, unsure: false, doubtful: false };
  }
  if (place === "behind-blank") {
    if (verdict === "separator") return { next: line, unsure: !hasField && !isBare, doubtful: false };
    if (verdict === "if-header" && hasField)
      return { next: line, unsure: (yield* fieldsBehind(window, line, keep)) === 0, doubtful: false };
  }
  // A second From_ line directly behind the first is some other host's.
  if (place === "top" || (verdict === "no" ? place === "bare" : !hasField)) return TEXT;
  const fields = yield* fieldsBehind(window, line, keep);
  const isMail = verdict === "separator" ? fields > 0 : verdict !== "no" && fields > 1;
  if (isMail && (dialect !== "blank" || (place === "behind-blank" && verdict !== "if-mail")))
    return { next: line, unsure: place === "bare", doubtful: false };
  if (verdict === "no") return fields > 1 ? DOUBTFUL : TEXT;
  return verdict === "if-mail" && fields < 2 ? TEXT : DOUBTFUL;
}

/** Where the line stands: first of its content, behind a blank line, or behind any other. */
type Place = "top" | "behind-blank" | "bare";

/**
 * Looks through the content up to its end: the next separator or the end of the file, or where `landing` says. Counts the
 * `From ` lines in it that are no separators, and of these the doubtful ones. In the first `known` octets of it, whole lines, there is
 * none.
 */
function* scan(
  window: Window,
  offset: number,
  content: number,
  landing: Extent | undefined,
  dialect: Dialect,
  declared: Multipart | undefined,
  parts: OpenParts,
  known: number,
): Lookup<Scanned> {
  const limit = landing?.end ?? window.size;
  let bare = 0;
  let doubtful = 0;
  let doubtfulAt = -1;
  // Every line of the content has an LF before it: the first one that of the From_ line. Looking for it along with the word is
  // faster than for the word alone, whose first letter is as frequent in base64 as line ends are.
  let at = content + known;
  while (at + FROM.length < limit) {
    // Three octets more, to see a blank line before it. The From_ line ends before the content: there is no earlier one.
    const base = Math.max(0, content - 1, at - 3);
    const view = window.peek(base, 16) ?? (yield { position: base, length: 16, keep: offset });
    const hit = view.indexOf(NEEDLE, Math.max(0, at - 1 - base)) + 1;
    if (hit === 0) {
      at = Math.max(at, base + view.length - FROM.length + 1);
      continue;
    }
    at = base + hit;
    if (at + FROM.length >= limit) break;
    const after =
      hit + FROM.length < view.length ? view[hit + FROM.length] : yield* octetAt(window, at + FROM.length, offset);
    // Every header has a "From:".
    if (after !== SPACE && after !== LF && after !== CR) {
      at++;
      continue;
    }
    // The From_ line's own line end ends no blank line.
    const blank = at === content ? 0 : blankBefore(view, hit);
    if (landing === undefined) {
      const place = blank > 0 ? "behind-blank" : at === content ? "top" : "bare";
      const line = yield* lineAt(window, at, offset);
      const judged = line === undefined ? TEXT : yield* judge(window, line, offset, place, dialect);
      const { next, unsure } = judged;
      // What looks like a separator may be a line of an attachment.
      const isPart =
        next !== undefined && declared !== undefined && (yield* parts.goOn(window, content, at, declared, offset));
      if (next !== undefined && !isPart) return { end: at - blank, next, bare, doubtful, doubtfulAt, unsure };
      if (judged.doubtful && doubtful++ === 0) doubtfulAt = at;
    }
    if (after === SPACE) bare++;
    at++;
  }
  if (landing !== undefined) return { ...landing, bare, doubtful, doubtfulAt, unsure: false };
  return { end: yield* endOfFile(window, content), bare, doubtful, doubtfulAt, unsure: false };
}

function* octetAt(window: Window, at: number, keep: number): Lookup<number | undefined> {
  return (window.peek(at, 1) ?? (yield { position: at, length: 1, keep }))[0];
}

/** The end of the last message: one blank line at the end of the file is the format's. */
function* endOfFile(window: Window, content: number): Lookup<number> {
  const { size } = window;
  if (content >= size) return size;
  const base = Math.max(0, content - 1, size - 3);
  const view = window.peek(base, 3) ?? (yield { position: base, length: 3, keep: base });
  return size - blankBefore(view, view.length);
}
