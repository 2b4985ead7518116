// Cutting an mbox into messages: where each begins and ends, and how its lines are quoted, in bounded memory.
//
// A separator is a From_ line (from-line.ts says which are plausible) at the start of the file or after a blank line; LF and
// CRLF may be mixed. The blank line before a separator, and one at the end of the file, is the format's own and belongs to no
// message: exactly one line end, never more. A `From ` line that is no separator is part of the message.
//
// Content-Length is believed only where it lands exactly: on the end of the file or on a From_ line, with or without the one
// line end between. Anything else is a lie, and the next separator ends the message. `rd` and `o` do not look at it.
//
// What is taken off when reading, by dialect:
//   rd    one `>` from every `^>+From `                     o, cl   the `>` of every line that begins with exactly `>From `
//   cl2   nothing                                           auto    per message: nothing where a bare `From ` line stands in
//         it (its writer did not quote at all), else as rd. rd and o differ in `>>From ` alone, which only rd's writers made.

import { HEADER_LIMIT } from "../../mail/body.ts";
import { configError } from "../../mail/errors.ts";
import { headerEnd, headerValue } from "../../mail/headers.ts";
import { FROM_LINE_LIMIT, type FromLine, judgeFromLine, looksLikeField } from "./from-line.ts";
import { unquoteFrom, unquoteFromOnce } from "./quote.ts";
import { openWindow, type RandomAccess, type Window } from "./window.ts";

export type Dialect = "auto" | "rd" | "o" | "cl" | "cl2";
export const DIALECTS: readonly Dialect[] = ["auto", "rd", "o", "cl", "cl2"];

export interface MboxMessage {
  /** Octet at which its From_ line begins. */
  readonly offset: number;
  readonly from: FromLine;
  /** Octets of the content as they lie in the file, before any `>` is taken off. */
  readonly size: number;
  /** The content's first octets as they lie there: the header with its blank line, at most HEADER_LIMIT. A buffer of its own. */
  readonly head: Buffer;
  /** What is taken off on reading. */
  readonly quoting: "rd" | "o" | "none";
  /** Lines in it that would be separators if a blank line stood before them: another message may have run into this one. */
  readonly doubtful: number;
  /** The content, unquoted, with `head` in place of the head when one is given. Read at most once, before the next message. */
  content(head?: Uint8Array): AsyncIterable<Uint8Array>;
}

export interface SplitOptions {
  readonly dialect: Dialect;
  /** Names the file in errors. */
  readonly name: string;
  /** Octets held at once; tests make it small. At least 2,000. */
  readonly windowSize?: number;
}

const NEEDLE = Buffer.from("\nFrom ");
const FROM = NEEDLE.subarray(1);
const QUOTED = Buffer.from(">From ");
const LF = 10;
const CR = 13;
/** A From_ line, and enough of the next line to see whether it is a header field. */
const LOOK = FROM_LINE_LIMIT + 258;
/** Up to here a content that is in the window goes out in one piece: most mail does, and pieces cost more than octets. */
const SMALL = 256 * 1024;
const WINDOW = HEADER_LIMIT + 256 * 1024;

interface Found {
  /** Where the From_ line begins. */
  readonly offset: number;
  readonly from: FromLine;
  /** The octet behind the From_ line's line end. */
  readonly content: number;
}

/** Where a content ends, and the From_ line behind it; none at the end of the file. */
interface Extent {
  readonly end: number;
  readonly next?: Found;
}

interface Scanned extends Extent {
  readonly bare: number;
  readonly doubtful: number;
}

/**
 * The messages in their order. Empty for a file that is empty or holds blank lines alone. Throws MailError config when the
 * file begins with anything but a From_ line (after a byte order mark and blank lines), and what the file's `read` throws.
 */
export async function* splitMbox(file: RandomAccess, options: SplitOptions): AsyncGenerator<MboxMessage> {
  const { dialect } = options;
  const window = openWindow(file, options.windowSize ?? WINDOW);
  const headLimit = Math.min(HEADER_LIMIT, options.windowSize ?? HEADER_LIMIT);
  const start = await skipBlank(window);
  if (start === window.size) return;
  const at = start;
  let found = await fromLineAt(window, at, at);
  if (found === undefined)
    throw configError(notMbox(options.name), "Give the mbox file itself, or the folder it is in.");
  while (found !== undefined) {
    const { offset, from, content }: Found = found;
    const wholeHead = await readHead(window, offset, content, headLimit);
    const landing: Extent | undefined =
      dialect === "rd" || dialect === "o" ? undefined : await land(window, offset, content, wholeHead);
    // What Content-Length spans is looked through only where the quoting depends on it.
    const scanned: Scanned =
      landing !== undefined && dialect !== "auto"
        ? { ...landing, bare: 0, doubtful: 0 }
        : await scan(window, offset, content, landing);
    const { end, next } = scanned;
    const head = wholeHead.subarray(0, end - content);
    const quoting = quotingOf(dialect, scanned.bare > 0);
    let passed = false;
    const body = async function* (first: Uint8Array): AsyncGenerator<Uint8Array> {
      if (first.length > 0) yield first;
      for await (const piece of window.copy(content + head.length, end)) {
        if (passed) throw new Error("a message of an mbox was read after the next one was asked for");
        yield piece;
      }
    };
    yield {
      offset,
      from,
      size: end - content,
      head,
      quoting,
      doubtful: scanned.doubtful,
      content(first = head) {
        if (passed) throw new Error("a message of an mbox was read after the next one was asked for");
        const rest = end - content - head.length;
        const held = rest <= SMALL ? window.peek(content + head.length, rest) : undefined;
        const whole = held === undefined ? undefined : Buffer.concat([first, held.subarray(0, rest)]);
        const bytes = whole === undefined ? body(first) : once(whole);
        if (whole?.includes(QUOTED) === false) return bytes;
        return quoting === "rd" ? unquoteFrom(bytes) : quoting === "o" ? unquoteFromOnce(bytes) : bytes;
      },
    };
    passed = true;
    found = next;
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/** True when these first octets of a file are an mbox's: nothing but blank lines, or a From_ line. */
export async function looksLikeMbox(file: RandomAccess): Promise<boolean> {
  const window = openWindow(file, 4 * LOOK);
  const start = await skipBlank(window);
  return start === window.size || (await fromLineAt(window, start, start)) !== undefined;
}

export function notMbox(name: string): string {
  return `${name} is not an mbox: it does not begin with a From_ line ("From sender date")`;
}

function quotingOf(dialect: Dialect, bare: boolean): "rd" | "o" | "none" {
  if (dialect === "rd") return "rd";
  if (dialect === "o" || dialect === "cl") return "o";
  return dialect === "cl2" || bare ? "none" : "rd";
}

/** The first octet that is neither a byte order mark nor part of a blank line. */
async function skipBlank(window: Window): Promise<number> {
  let at = 0;
  const first = await window.view(0, 3);
  if (first[0] === 0xef && first[1] === 0xbb && first[2] === 0xbf) at = 3;
  while (at < window.size) {
    const view = await window.view(at, 2);
    if (view[0] === LF) at++;
    else if (view[0] === CR && view[1] === LF) at += 2;
    else break;
  }
  return at;
}

/** The From_ line that begins at `at`, which begins a line; undefined when none plausible stands there. */
async function fromLineAt(window: Window, at: number, keep: number): Promise<Found | undefined> {
  const view = await window.view(at, LOOK, keep);
  // A view at the end of the file may be shorter than the word.
  if (!view.subarray(0, NEEDLE.length - 1).equals(FROM)) return undefined;
  const lf = view.subarray(0, FROM_LINE_LIMIT + 2).indexOf(LF);
  if (lf === -1 && at + view.length < window.size) return undefined;
  const end = lf === -1 ? view.length : lf;
  const { verdict, from } = judgeFromLine(view.toString("latin1", 0, view[end - 1] === CR ? end - 1 : end));
  if (verdict === "no") return undefined;
  if (verdict === "if-header" && !looksLikeField(view.toString("latin1", end + 1, end + 257))) return undefined;
  return { offset: at, from, content: at + (lf === -1 ? end : lf + 1) };
}

/** The header block with its blank line, as far as the limit, copied. */
async function readHead(window: Window, offset: number, content: number, limit: number): Promise<Buffer> {
  for (const length of [Math.min(16 * 1024, limit), limit]) {
    const view = (await window.view(content, length, offset)).subarray(0, limit);
    const end = headerEnd(view);
    if (end !== -1) return Buffer.from(view.subarray(0, end + (view[end] === CR ? 2 : 1)));
    if (length === limit || content + view.length >= window.size) return Buffer.from(view);
  }
  return Buffer.alloc(0);
}

/** Where Content-Length says that the message ends, if that is exactly an end. */
async function land(window: Window, offset: number, content: number, head: Buffer): Promise<Extent | undefined> {
  const value = headerValue(head, "content-length");
  if (value === undefined || !/^\d{1,15}$/.test(value) || headerEnd(head) === -1) return undefined;
  const end = content + head.length + Number(value);
  if (end > window.size) return undefined;
  if (end === window.size) return { end };
  const from = Math.max(content - 1, end - 3);
  const view = await window.view(from, 5, offset);
  const here = end - from;
  const lineEnd = view[here] === LF ? 1 : view[here] === CR && view[here + 1] === LF ? 2 : 0;
  const atLineStart = view[here - 1] === LF;
  const blank = blankBefore(view, here);
  if (lineEnd > 0) {
    if (end + lineEnd === window.size) return { end };
    const next = await fromLineAt(window, end + lineEnd, offset);
    if (next !== undefined) return { end, next };
  }
  const next = atLineStart ? await fromLineAt(window, end, offset) : undefined;
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
async function scan(window: Window, offset: number, content: number, landing: Extent | undefined): Promise<Scanned> {
  const limit = landing?.end ?? window.size;
  let bare = 0;
  let doubtful = 0;
  // Every line of the content has an LF before it: the first one that of the From_ line.
  let at = content - 1;
  while (at + NEEDLE.length <= limit) {
    const base = Math.max(content - 1, at - 2);
    const view = await window.view(base, 16, offset);
    const hit = view.indexOf(NEEDLE, at - base);
    if (hit === -1) {
      at = base + view.length - NEEDLE.length + 1;
      continue;
    }
    const lf = base + hit;
    if (lf + NEEDLE.length > limit) break;
    const blank = lf < content ? 0 : blankBefore(view, hit + 1);
    const next = await fromLineAt(window, lf + 1, offset);
    if (landing === undefined && next !== undefined && blank > 0) return { end: lf + 1 - blank, next, bare, doubtful };
    bare++;
    if (landing === undefined && next !== undefined) doubtful++;
    at = lf + 1;
  }
  if (landing !== undefined) return { ...landing, bare, doubtful };
  return { end: await endOfFile(window, content), bare, doubtful };
}

/** The end of the last message: one blank line at the end of the file is the format's. */
async function endOfFile(window: Window, content: number): Promise<number> {
  const { size } = window;
  if (content >= size) return size;
  const base = Math.max(content - 1, size - 3);
  const view = await window.view(base, 3);
  return size - blankBefore(view, view.length);
}
