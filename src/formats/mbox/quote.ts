// Writing mboxrd: From_ lines, the quoting of lines that look like one, and the lines that keep a message's state.

import type { Received, Traits } from "../../mail/model.ts";

const GT = 62;
const LF = 10;
const FROM = Buffer.from("From ");
const QUOTED = Buffer.from(">From ");
const QUOTE = Buffer.from(">");
const NOTHING = Buffer.alloc(0);

/**
 * mboxrd: every line that matches `^>*From ` gets one more `>`. A line begins at the start and after each LF, whether or not a
 * CR stands before it. Exact at any chunk boundary; holds at most five octets between chunks.
 */
export function quoteFrom(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return rewrite(content, "quote");
}

/** The inverse of quoteFrom: every line that matches `^>+From ` loses one `>`. */
export function unquoteFrom(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return rewrite(content, "unquote");
}

/** mboxo: only `From ` itself was quoted, so only a line that begins with exactly `>From ` loses its `>`. */
export function unquoteFromOnce(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return rewrite(content, "unquote-once");
}

/** How an mbox quotes: "rd" as unquoteFrom undoes it, "o" as unquoteFromOnce does, or not at all. */
export type Quoting = "rd" | "o" | "none";

export function unquote(content: AsyncIterable<Uint8Array>, quoting: Quoting): AsyncIterable<Uint8Array> {
  return quoting === "none" ? content : rewrite(content, quoting === "rd" ? "unquote" : "unquote-once");
}

/** The same for a content in one piece; the very same buffer when there is nothing to take off. */
export function unquoteWhole(content: Buffer, quoting: Quoting): Buffer {
  if (quoting === "none" || !content.includes(QUOTED)) return content;
  const { feed, rest } = rewriter(quoting === "rd" ? "unquote" : "unquote-once");
  return Buffer.concat([feed(content), rest()]);
}

type Mode = "quote" | "unquote" | "unquote-once";

async function* rewrite(content: AsyncIterable<Uint8Array>, mode: Mode): AsyncGenerator<Uint8Array> {
  const { feed, rest } = rewriter(mode);
  for await (const chunk of content) {
    if (chunk.length === 0) continue;
    const rewritten = feed(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (rewritten.length > 0) yield rewritten;
  }
  const last = rest();
  if (last.length > 0) yield last;
}

/** Chunk by chunk; what `feed` keeps back comes with the next chunk, or with `rest` after the last one. */
function rewriter(mode: Mode): { feed(chunk: Buffer): Buffer; rest(): Buffer } {
  // What may still become a quoted From_ line: the last `>` of a run (when unquoting) and the beginning of "From ".
  let held = NOTHING;
  // The `>` that stand between the line's start and `held`; -1 when anything else stands there. One `>` can be taken from, or
  // put into, any place of a run with the same outcome, so the rest of a run is never held.
  let before = 0;
  // When unquoting, the last mark of a run is always held along with what follows it.
  const needle = mode === "quote" ? FROM : QUOTED;

  function feed(chunk: Buffer): Buffer {
    const buffer = held.length === 0 ? chunk : Buffer.concat([held, chunk]);

    /** Length of the run of `>` before `at` that begins its line, or -1. */
    const run = (at: number): number => {
      let start = at;
      while (start > 0 && buffer[start - 1] === GT) start--;
      if (start > 0) return buffer[start - 1] === LF ? at - start : -1;
      return before === -1 ? -1 : before + at;
    };

    const parts: Buffer[] = [];
    let from = 0;
    for (let hit = buffer.indexOf(needle); hit !== -1; hit = buffer.indexOf(needle, hit + needle.length)) {
      const at = hit + needle.length - FROM.length;
      const marks = run(at);
      if (mode === "quote" ? marks < 0 : mode === "unquote" ? marks < 1 : marks !== 1) continue;
      if (mode === "quote") parts.push(buffer.subarray(from, at), QUOTE);
      else parts.push(buffer.subarray(from, at - 1));
      from = at;
    }

    let end = buffer.length - startOfFrom(buffer);
    const marks = run(end);
    if (marks === -1) end = buffer.length;
    else if (marks > 0 && mode !== "quote") end--;
    before = marks > 0 && mode !== "quote" ? marks - 1 : marks;
    held = end === buffer.length ? NOTHING : Buffer.from(buffer.subarray(end));
    if (parts.length === 0) return buffer.subarray(0, end);
    parts.push(buffer.subarray(from, end));
    return Buffer.concat(parts);
  }

  return { feed, rest: () => held };
}

/** How many octets at the end are the beginning of "From " and no more (0 to 4). */
function startOfFrom(buffer: Buffer): number {
  for (let length = Math.min(4, buffer.length); length > 0; length--)
    if (buffer.compare(FROM, 0, length, buffer.length - length) === 0) return length;
  return 0;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** Seconds of 9999-12-31T23:59:59Z: asctime has four digits for the year. */
const LAST_SECOND = 253_402_300_799;
/** Seconds of 0000-01-01T00:00:00Z. */
const FIRST_SECOND = -62_167_219_200;

/**
 * `From sender Www Mmm dd hh:mm:ss yyyy\n`, the time in UTC as asctime writes it (RFC 4155). A sender that is empty or could
 * not be told from the rest of the line (spaces, controls, 8-bit, over 320 octets) becomes MAILER-DAEMON; an absent date
 * becomes the epoch.
 */
export function fromLine(sender: string, received: Received | undefined): string {
  const bare = sender.trim().replace(/^<(.*)>$/, "$1");
  const safe = /^[\x21-\x3b\x3d\x3f-\x7e]{1,320}$/.test(bare) ? bare : "MAILER-DAEMON";
  const seconds = Math.trunc(Math.min(LAST_SECOND, Math.max(FIRST_SECOND, received?.epochSeconds ?? 0)));
  const date = new Date((Number.isFinite(seconds) ? seconds : 0) * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const day = String(date.getUTCDate()).padStart(2, " ");
  const year = String(date.getUTCFullYear()).padStart(4, "0");
  return `From ${safe} ${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${day} ${time} ${year}\n`;
}

/** True for a keyword that `X-Keywords` can hold: words parted by spaces, so printable ASCII without any space. */
export function keepsKeyword(keyword: string): boolean {
  return /^[\x21-\x7e]{1,200}$/.test(keyword);
}

/** As Thunderbird keeps what was deleted and is still in the file; it would show it as if it were not. */
function mozillaStatus(flags: Traits["flags"]): string {
  const bits = 8 + (flags.has("seen") ? 1 : 0) + (flags.has("answered") ? 2 : 0) + (flags.has("flagged") ? 4 : 0);
  return bits.toString(16).padStart(4, "0");
}

/**
 * The state lines as mutt, Dovecot, Alpine and Python's mailbox read them, each ending in LF: `Status` (R seen, O not recent)
 * always, `X-Status` (A answered, F flagged, D deleted, T draft) and `X-Keywords` where there is something to say; of a deleted message
 * `X-Mozilla-Status`, as Thunderbird reads no other. Keywords for which `keepsKeyword` is false are left out.
 */
export function statusLines(traits: Traits): string {
  const { flags } = traits;
  let lines = `Status: ${flags.has("seen") ? "RO" : "O"}\n`;
  const letters = [
    flags.has("answered") ? "A" : "",
    flags.has("flagged") ? "F" : "",
    flags.has("deleted") ? "D" : "",
    flags.has("draft") ? "T" : "",
  ].join("");
  if (letters !== "") lines += `X-Status: ${letters}\n`;
  if (flags.has("deleted")) lines += `X-Mozilla-Status: ${mozillaStatus(flags)}\n`;
  const keywords = [...traits.keywords].filter(keepsKeyword);
  if (keywords.length > 0) lines += `X-Keywords: ${keywords.join(" ")}\n`;
  return lines;
}
