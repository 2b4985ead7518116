// What tells that a message begins, or goes on, at a From_ line: header fields behind it, and MIME parts that are still open.

import type { Lookup, Window } from "./window.ts";

const CR = 13;
const LF = 10;
const COLON = 58;
const DASH = 45;
const QUOTE = 34;
const EQUALS = 61;
const SEMICOLON = 59;
/** More than the closing delimiter of a multipart and some blank lines behind it have. */
const LAST_LINE = 256;

/** Octets behind a From_ line in which header fields are looked for: enough for a long Received field and some others. */
export const FIELDS_LOOK = 4096;
/** Octets before a From_ line in which a closing delimiter is looked for first: all but a long epilogue is shorter. */
const CLOSED_NEARBY = 4096;
/** Octets behind it in which the next delimiter of an open part is looked for, and after so many times in vain. */
const PART_REACH = 1 << 20;
const SHORT_REACH = 4096;
const PATIENCE = 16;

/** Fields that stand in nearly every message, or that mail programs put first into their mboxes; in lower case. */
const FIELDS_OF_MAIL = new Set(
  (
    "from to cc bcc subject date message-id received return-path reply-to sender delivered-to in-reply-to references " +
    "mime-version content-type content-transfer-encoding content-length status x-status x-keywords x-uid x-uidl x-imap x-imapbase " +
    "x-mozilla-status x-mozilla-status2 x-mozilla-keys x-account-key x-evolution x-gm-thrid x-gmail-labels dkim-signature " +
    "authentication-results received-spf x-mailer user-agent organization errors-to lines newsgroups xref list-id precedence " +
    "resent-from resent-to resent-date resent-message-id apparently-to envelope-to x-original-to x-envelope-from x-envelope-to " +
    "x-priority importance thread-topic thread-index x-persona x-pmrqc x-pmflags"
  ).split(" "),
);

/** How many different fields of mail stand in the lines from `at` on, up to a line that is none, and no further than `enough`. */
export function fieldsOfMail(view: Buffer, at: number, enough: number): number {
  const seen = new Set<string>();
  const limit = Math.min(view.length, at + FIELDS_LOOK);
  for (let line = at; line < limit; ) {
    const first = view[line];
    const lf = view.indexOf(LF, line);
    const end = lf === -1 || lf > limit ? limit : lf;
    if (first === LF || first === CR) break;
    // A folded line belongs to the field before it; before the first one it is none.
    if (first === 32 || first === 9) {
      if (line === at) break;
    } else {
      const name = nameAt(view, line, end);
      // Old gateways left the From_ line of another hop in front.
      if (name === undefined && view.toString("latin1", line, line + 6) !== ">From ") break;
      if (name !== undefined && FIELDS_OF_MAIL.has(name)) seen.add(name);
      if (seen.size >= enough) break;
    }
    line = end + 1;
  }
  return seen.size;
}

/** The lower-case name of the field that begins the line; undefined where none does. */
function nameAt(view: Buffer, line: number, end: number): string | undefined {
  let colon = line;
  const most = Math.min(end, line + 80);
  while (colon < most && (view[colon] ?? 0) > 32 && (view[colon] ?? 0) < 127 && view[colon] !== COLON) colon++;
  let after = colon;
  while (after < most && (view[after] === 32 || view[after] === 9)) after++;
  return colon === line || view[after] !== COLON ? undefined : view.toString("latin1", line, colon).toLowerCase();
}

const USUAL_WORD = Buffer.from("oundary=");

/** The boundary that the Content-Type field at this offset of a header declares; undefined where it declares none. */
function boundaryIn(head: Buffer, field: number): string | undefined {
  // Nearly all write it so, and then the text before it need not be read.
  const usual = head.indexOf(USUAL_WORD, field);
  const isUsual = usual !== -1 && usual < field + 1000;
  const text = isUsual ? head.toString("latin1", usual - 1, usual + 250) : head.toString("latin1", field, field + 1000);
  const [, quoted, bare] = /\bboundary\s*=\s*(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))/i.exec(text) ?? [];
  return quoted ?? bare;
}

/** A header, and the offset of a Content-Type field of a multipart in it. */
export interface Multipart {
  readonly head: Buffer;
  readonly field: number;
}

/** Whether the last line before the blank ones that end at `at` is a closing delimiter of the very boundary that the field declares. */
function endsWithPart(view: Buffer, at: number, head: Buffer, field: number): boolean {
  let end = at;
  while (end > 0 && (view[end - 1] === LF || view[end - 1] === CR)) end--;
  if (view[end - 1] !== DASH || view[end - 2] !== DASH) return false;
  const line = view.lastIndexOf(LF, end - 1) + 1;
  if (line === 0 || end - line < 5 || view[line] !== DASH || view[line + 1] !== DASH) return false;
  const boundary = view.subarray(line + 2, end - 2);
  const there = head.indexOf(boundary, field);
  if (there === -1) return false;
  const before = head[there - 1];
  const behind = head[there + boundary.length];
  return (
    (before === QUOTE && behind === QUOTE) ||
    (before === EQUALS && (behind === LF || behind === CR || behind === SEMICOLON))
  );
}

/**
 * Whether separators lie in an attachment. One for a file: it looks far ahead only where that is not in vain each time, as it is in
 * files whose messages end long after their last part, or in the middle of one.
 */
export class OpenParts {
  #vain = 0;

  /**
   * Whether the line at `at` lies in a multipart whose parts go on behind it: its end was not seen just before, and its delimiter comes
   * once more, before anything declares the same boundary anew (a second message of the same make).
   */
  *goOn(window: Window, content: number, at: number, { head, field }: Multipart, keep: number): Lookup<boolean> {
    const near = Math.max(content, at - LAST_LINE);
    const end = window.peek(near, at - near) ?? (yield { position: near, length: at - near, keep: near });
    if (endsWithPart(end, at - near, head, field)) return false;
    const boundary = boundaryIn(head, field);
    if (boundary === undefined) return false;
    const from = Math.max(content, at - Math.min(CLOSED_NEARBY, window.capacity >> 2));
    const before = window.peek(from, at - from) ?? (yield { position: from, length: at - from, keep: from });
    if (before.subarray(0, at - from).includes(`--${boundary}--`, 0, "latin1")) return false;
    const reach = Math.min(this.#vain < PATIENCE ? PART_REACH : SHORT_REACH, window.capacity >> 2);
    const behind = window.peek(at, reach) ?? (yield { position: at, length: reach, keep });
    const next = behind.subarray(0, reach).indexOf(boundary, 0, "latin1");
    const goesOn = next >= 3 && behind[next - 3] === LF && behind.toString("latin1", next - 2, next) === "--";
    this.#vain = goesOn ? 0 : this.#vain + 1;
    return goesOn;
  }
}
