// Cutting an mbox into messages: where each begins and ends, and how its lines are quoted, in bounded memory.
//
// A separator is a From_ line of a known form (from-line.ts) at the start of the file or of a line; LF and CRLF may be mixed. Behind a
// blank line a date is enough. Without one, and where the form is unusual, header fields of mail must stand behind it: then it parts,
// since two messages in one are a lost message, and one in two pieces is not; `unsure` tells where the evidence is split. Within a
// MIME part that goes on behind it, it is a line of an attachment (evidence.ts). `blank` parts behind blank lines alone, `every` at
// each line of a known form, and behind a blank line at any that has two fields of mail behind it; with either the file may begin with
// a From_ line of an unknown form. The blank line before a separator, and one at the end of the file, is the format's own and belongs to
// no message: exactly one line end, never more. A `From ` line that is no separator is part of the message.
//
// Content-Length is believed only where it lands exactly: on the end of the file or on a From_ line, with or without the one
// line end between. Anything else is a lie, and the next separator ends the message. `rd` and `o` do not look at it.
//
// What is taken off when reading, by dialect:
//   rd    one `>` from every `^>+From `                     o, cl   the `>` of every line that begins with exactly `>From `
//   cl2   nothing                                           others  per message: nothing where a bare `From ` line stands in
//         it (its writer did not quote at all), else as rd. rd and o differ in `>>From ` alone, which only rd's writers made.

import { HEADER_LIMIT, MEMORY_LIMIT } from "../../mail/body.ts";
import { configError } from "../../mail/errors.ts";
import { beginning, type Cut, cut, type Found, LOOK, skipBlank } from "./cut.ts";
import { OpenParts } from "./evidence.ts";
import type { FromLine } from "./from-line.ts";
import { byLineFeeds, hasBareCrs } from "./line-ends.ts";
import { type Quoting, unquote, unquoteWhole } from "./quote.ts";
import { slab } from "./slab.ts";
import { openWindow, type RandomAccess, type Window } from "./window.ts";

export type Dialect = "auto" | "rd" | "o" | "cl" | "cl2" | "blank" | "every";
export const DIALECTS: readonly Dialect[] = ["auto", "rd", "o", "cl", "cl2", "blank", "every"];

export interface MboxMessage {
  /** Octet at which its From_ line begins. */
  readonly offset: number;
  readonly from: FromLine;
  /** Octets of the content as they lie in the file, before any `>` is taken off. */
  readonly size: number;
  /** The content's first octets as they lie there: the header with its blank line, at most HEADER_LIMIT. A buffer of its own. */
  readonly head: Buffer;
  /** False when `head` has none of the fields that state.ts reads. */
  readonly mayHoldState: boolean;
  /** What is taken off on reading. */
  readonly quoting: Quoting;
  /** Lines in it that look like separators and were not taken for ones: another message may have run into this one. */
  readonly doubtful: number;
  /** Octet at which the first of them begins; -1 where there is none. */
  readonly doubtfulAt: number;
  /** It begins at a separator that is not beyond doubt: it may be a piece of the message before it. */
  readonly unsure: boolean;
  /** The content, unquoted, with `head` in place of the head when one is given. Read at most once, before the next message. */
  content(head?: Uint8Array): AsyncIterable<Uint8Array>;
  /** The same in one piece, where the message is small and all of it at hand; else undefined. Before the next message. */
  bytes(head?: Uint8Array): Buffer | undefined;
}

export interface SplitOptions {
  readonly dialect: Dialect;
  /** Names the file in errors. */
  readonly name: string;
  /** Octets held at once; tests make it small. At least 2,000. */
  readonly windowSize?: number;
  /** Told once, before the first message, where the file does not begin as an mbox does. */
  onDamagedStart?(damage: DamagedStart): void;
}

export interface DamagedStart {
  /** Octets before the first message that belong to none. */
  readonly skipped: number;
  /** The first message has no From_ line. */
  readonly isHeadless: boolean;
}

/** Octets of a file that nobody called an mbox in which a first separator is looked for. */
export const START_REACH = 1 << 20;

/** Up to here a content that is in the window goes out in one piece: most mail does, and pieces cost more than octets. */
const SMALL = MEMORY_LIMIT;
/** Large enough that few messages stand across its end. */
const WINDOW = 4 * HEADER_LIMIT;
const SLAB = 256 * 1024;

/**
 * The messages in their order. Empty for a file that is empty or holds blank lines alone. Where the file does not begin with a
 * From_ line (after a byte order mark and blank lines), it is read from the first separator on. Throws MailError config when there
 * is none, and what the file's `read` throws.
 */
export async function* splitMbox(given: RandomAccess, options: SplitOptions): AsyncGenerator<MboxMessage> {
  const { dialect } = options;
  const file = (await hasBareCrs(given)) ? byLineFeeds(given) : given;
  const window = openWindow(file, options.windowSize ?? WINDOW);
  const headLimit = Math.min(HEADER_LIMIT, options.windowSize ?? HEADER_LIMIT);
  const room = slab(SLAB);
  const start = await window.run(skipBlank(window));
  if (start === window.size) return;
  const first = await window.run(beginning(window, start, Number.POSITIVE_INFINITY, isForced(dialect)));
  if (first === undefined)
    throw configError(notMbox(options.name), "Give the mbox file itself, or the folder it is in.");
  if (first.skipped > 0 || first.isHeadless) options.onDamagedStart?.(first);
  let found: Found | undefined = first.found;
  const parts = new OpenParts();
  let unsure = false;
  while (found !== undefined) {
    const pending: Cut | Promise<Cut> = window.run(cut(window, found, dialect, headLimit, parts));
    // Most of the time it is at hand: no turn of the event loop for each message.
    const extent: Cut = pending instanceof Promise ? await pending : pending;
    const message = new Content(window, room, found, extent, quotingOf(dialect, extent.bare > 0), unsure);
    yield message;
    message.pass();
    found = extent.next;
    unsure = extent.unsure;
  }
}

class Content implements MboxMessage {
  readonly offset: number;
  readonly from: FromLine;
  readonly size: number;
  readonly head: Buffer;
  readonly mayHoldState: boolean;
  readonly quoting: Quoting;
  readonly doubtful: number;
  readonly doubtfulAt: number;
  readonly unsure: boolean;
  readonly #window: Window;
  readonly #room: (length: number) => Buffer;
  /** Where it begins in the file. */
  readonly #start: number;
  #isPassed = false;

  constructor(
    window: Window,
    room: (length: number) => Buffer,
    found: Found,
    extent: Cut,
    quoting: Quoting,
    unsure: boolean,
  ) {
    this.offset = found.offset;
    this.from = found.from;
    this.size = extent.end - found.content;
    this.head = extent.head;
    this.mayHoldState = extent.mayHoldState;
    this.quoting = quoting;
    this.doubtful = extent.doubtful;
    this.doubtfulAt = extent.doubtfulAt;
    this.unsure = unsure;
    this.#window = window;
    this.#room = room;
    this.#start = found.content;
  }

  /** The next one is asked for: the window may be elsewhere from now on. */
  pass(): void {
    this.#isPassed = true;
  }

  bytes(head: Uint8Array = this.head): Buffer | undefined {
    this.#demandInTime();
    const rest = this.size - this.head.length;
    const length = head.length + rest;
    const held = length <= SMALL ? this.#window.peek(this.#start + this.head.length, rest) : undefined;
    if (held === undefined) return undefined;
    const whole = this.#room(length);
    whole.set(head, 0);
    held.copy(whole, head.length, 0, rest);
    return unquoteWhole(whole, this.quoting);
  }

  content(head: Uint8Array = this.head): AsyncIterable<Uint8Array> {
    const whole = this.bytes(head);
    return whole === undefined ? unquote(this.#pieces(head), this.quoting) : once(whole);
  }

  async *#pieces(head: Uint8Array): AsyncGenerator<Uint8Array> {
    if (head.length > 0) yield head;
    for await (const piece of this.#window.copy(this.#start + this.head.length, this.#start + this.size)) {
      this.#demandInTime();
      yield piece;
    }
  }

  #demandInTime(): void {
    if (this.#isPassed) throw new Error("a message of an mbox was read after the next one was asked for");
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/** True when a file is an mbox: nothing but blank lines, or a From_ line at its beginning; or a separator within `reach`. */
export async function looksLikeMbox(given: RandomAccess, reach = START_REACH, dialect?: Dialect): Promise<boolean> {
  const file = (await hasBareCrs(given)) ? byLineFeeds(given) : given;
  const window = openWindow(file, 8 * LOOK);
  const start = await window.run(skipBlank(window));
  return start === window.size || (await window.run(beginning(window, start, reach, isForced(dialect)))) !== undefined;
}

function isForced(dialect: Dialect | undefined): boolean {
  return dialect === "every" || dialect === "blank";
}

export function notMbox(name: string): string {
  return `${name} is not an mbox: it has no From_ line ("From sender date") with a header behind it`;
}

function quotingOf(dialect: Dialect, bare: boolean): Quoting {
  if (dialect === "rd") return "rd";
  if (dialect === "o" || dialect === "cl") return "o";
  return dialect === "cl2" || bare ? "none" : "rd";
}
