// Looking into a header block without parsing the message: where it ends, one field's value, and dates as mail writes them.

import { isAscii, isUtf8 } from "node:buffer";
import { HEADER_LIMIT } from "./body.ts";
import type { Received } from "./model.ts";

const CR = 13;
const LF = 10;

/**
 * The header block of a message's first octets: up to and with the line end before the blank line, at most HEADER_LIMIT. All
 * of `head` (capped) when there is no blank line in it.
 */
export function headerBlock(head: Uint8Array): Uint8Array {
  const end = headerEnd(head);
  return head.subarray(0, end === -1 ? Math.min(head.length, HEADER_LIMIT) : end);
}

/** The offset at which the blank line begins that ends the header, or -1 when none begins within HEADER_LIMIT. */
export function headerEnd(head: Uint8Array): number {
  const buffer = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, HEADER_LIMIT));
  if (blankAt(buffer, 0)) return 0;
  for (let at = buffer.indexOf(LF); at !== -1; at = buffer.indexOf(LF, at + 1))
    if (blankAt(buffer, at + 1)) return at + 1;
  return -1;
}

function blankAt(buffer: Buffer, at: number): boolean {
  return buffer[at] === LF || (buffer[at] === CR && buffer[at + 1] === LF);
}

/** Whether an octet above 127 stands in its header, which RFC 5322 does not allow and some servers replace. */
export function hasEightBitHeader(head: Uint8Array): boolean {
  // Most mail has none at all, and that is told at once.
  return !isAscii(head) && !isAscii(headerBlock(head));
}

/** The octets of a header as text: UTF-8 where it is valid (RFC 6532), else Latin-1, so that nothing is ever lost to U+FFFD. */
export function headerText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString(isUtf8(buffer) ? "utf8" : "latin1");
}

/**
 * Every value of a field, topmost first: unfolded (RFC 5322 2.2.3: the line end goes, the white space stays), trimmed, and
 * not decoded. `head` may be a whole message or its first octets; the name compares without case.
 */
export function headerValues(head: Uint8Array, name: string): string[] {
  const block = headerBlock(head);
  const buffer = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  const wanted = name.toLowerCase();
  const values: string[] = [];
  let at = 0;
  while (at < buffer.length) {
    const end = fieldEnd(buffer, at);
    if (mayBe(buffer, at, wanted) && fieldName(buffer, at, end) === wanted) {
      const text = headerText(buffer.subarray(buffer.indexOf(58, at) + 1, end));
      values.push(text.replace(/(?<!\r)\r*\n(?=[ \t])/g, "").trim());
    }
    at = end;
  }
  return values;
}

/** A cheap look that spares most fields the copy of their name: same first letter, and the name ends where it should. */
function mayBe(buffer: Buffer, at: number, wanted: string): boolean {
  const after = buffer[at + wanted.length];
  return (after === 58 || after === 32 || after === 9) && ((buffer[at] ?? 0) | 32) === (wanted.charCodeAt(0) | 32);
}

/** The topmost value of a field as headerValues gives it; undefined when the field is not there. */
export function headerValue(head: Uint8Array, name: string): string | undefined {
  return headerValues(head, name)[0];
}

/** The offset behind the field that begins at `at`, with its folded lines and their line ends. */
export function fieldEnd(buffer: Buffer, at: number): number {
  let end = at;
  do {
    const line = buffer.indexOf(LF, end);
    if (line === -1) return buffer.length;
    end = line + 1;
  } while (buffer[end] === 32 || buffer[end] === 9);
  return end;
}

/** The lower-case name of the field that lies at `at` up to `end`; undefined where no field stands there. */
export function fieldName(buffer: Buffer, at: number, end: number): string | undefined {
  // No field name that anybody looks for is longer; RFC 5322 has printable ASCII without the colon.
  const limit = Math.min(end, at + 80);
  let colon = at;
  while (colon < limit && (buffer[colon] ?? 0) > 32 && buffer[colon] !== 58 && (buffer[colon] ?? 0) < 127) colon++;
  let after = colon;
  // Obsolete syntax (RFC 5322 4.5) lets white space stand before the colon.
  while (after < limit && (buffer[after] === 32 || buffer[after] === 9)) after++;
  if (colon === at || buffer[after] !== 58) return undefined;
  return buffer.toString("latin1", at, colon).toLowerCase();
}

/** The Message-ID with its angle brackets and no white space in it; undefined when there is none. */
export function messageIdOf(head: Uint8Array): string | undefined {
  const value = headerValue(head, "message-id");
  if (value === undefined) return undefined;
  const id = /<[^<>]*>/.exec(value)?.[0] ?? value;
  const bare = id.replace(/\s+/g, "");
  if (bare === "" || bare === "<>") return undefined;
  return bare.startsWith("<") ? bare : `<${bare}>`;
}

/** Behind the zeros of other calendars: 1601, 1858, 1899, 1904. */
const EARLIEST = Date.UTC(1905, 0, 1) / 1000;
/** The last second that 32 bits can count to, which is what stores make of any later one. */
const LATEST = 2 ** 31 - 1;
const DAY = 86_400;

/** Whether mail can have been received then. What it says of the future holds once that is near. */
export function isPlausible({ epochSeconds }: Received): boolean {
  if (epochSeconds < EARLIEST) return false;
  return epochSeconds < LATEST || epochSeconds < Date.now() / 1000 + DAY;
}

/**
 * When the message arrived as its own header says: the date of the topmost Received field that has one, else Date.
 * Undefined when neither holds a date that can be one.
 */
export function receivedFromHeader(head: Uint8Array): Received | undefined {
  for (const value of headerValues(head, "received")) {
    // RFC 5321 4.4: the date is what follows the last semicolon.
    const date = parseMailDate(value.slice(value.lastIndexOf(";") + 1));
    if (date !== undefined && isPlausible(date)) return date;
  }
  for (const value of headerValues(head, "date")) {
    const date = parseMailDate(value);
    if (date !== undefined && isPlausible(date)) return date;
  }
  return undefined;
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** RFC 5322 4.3, in minutes east of UTC, and those that old Unix mail wrote into From_ lines. */
const ZONES: Readonly<Record<string, number>> = {
  ut: 0,
  utc: 0,
  gmt: 0,
  z: 0,
  wet: 0,
  west: 60,
  bst: 60,
  cet: 60,
  met: 60,
  mez: 60,
  cest: 120,
  mest: 120,
  mesz: 120,
  eet: 120,
  eest: 180,
  msk: 180,
  jst: 540,
  est: -300,
  edt: -240,
  cst: -360,
  cdt: -300,
  mst: -420,
  mdt: -360,
  pst: -480,
  pdt: -420,
};

/** Minutes east of UTC of "+0200", "-07:00" or a zone's name; undefined for what nobody knows, which RFC 5322 takes as -0000. */
export function parseZone(text: string): number | undefined {
  const numeric = /^([+-])(\d\d):?(\d\d)$/.exec(text);
  if (numeric === null) return ZONES[text.toLowerCase()];
  const minutes = Number(numeric[2]) * 60 + Number(numeric[3]);
  if (minutes >= 24 * 60 || Number(numeric[3]) > 59) return undefined;
  return numeric[1] === "-" && minutes > 0 ? -minutes : minutes;
}

/** RFC 5322 4.3: years of two digits are 2000 to 2049 and 1950 to 1999, of three digits 1900 is added. */
function yearOf(digits: string): number {
  const year = Number(digits);
  if (digits.length === 2) return year < 50 ? year + 2000 : year + 1900;
  return digits.length === 3 ? year + 1900 : year;
}

export interface DateParts {
  readonly day: string;
  readonly month: string;
  readonly year: string;
  /** "hh:mm" or "hh:mm:ss", also with dots. */
  readonly time: string;
  readonly zone?: string | undefined;
}

/** An instant from the words of a date; undefined when they name none. Without a known zone the time is taken as UTC. */
export function dateOf({ day, month, year, time, zone }: DateParts): Received | undefined {
  const monthIndex = MONTHS.indexOf(month.slice(0, 3).toLowerCase());
  const [hour = 0, minute = 0, second = 0] = time.split(/[:.]/).map(Number);
  const dayNumber = Number(day);
  if (monthIndex === -1 || dayNumber < 1 || hour > 24 || minute > 59 || second > 60) return undefined;
  const fullYear = yearOf(year);
  // Date.UTC takes lesser ones for years of the twentieth century.
  if (fullYear < 100) return undefined;
  const midnight = Date.UTC(fullYear, monthIndex, dayNumber);
  if (new Date(midnight).getUTCDate() !== dayNumber) return undefined;
  const zoneMinutes = zone === undefined ? undefined : parseZone(zone);
  // A leap second counts as the next one, as POSIX time has none.
  const epochSeconds = midnight / 1000 + hour * 3600 + (minute - (zoneMinutes ?? 0)) * 60 + second;
  return zoneMinutes === undefined ? { epochSeconds } : { epochSeconds, zoneMinutes };
}

/**
 * A date as mail has it: RFC 5322 with its obsolete zones and years, comments, a missing or wrong weekday, missing seconds,
 * `-` between the words (IMAP's INTERNALDATE), or asctime order (`Sat Jan  3 01:05:34 2015`). Undefined for anything else.
 */
export function parseMailDate(text: string): Received | undefined {
  if (text.length > 1000) return undefined;
  let plain = text;
  for (let last = ""; last !== plain; ) {
    last = plain;
    plain = plain.replace(/\([^()]*\)/g, " ");
  }
  plain = plain.replace(/["\s]+/g, " ").trim();
  const usual =
    /^(?:\p{L}{2,10}\.?,? ?)?(\d{1,2})[ -]([A-Za-z]{3,9})\.?,?[ -](\d{2,4}),? (\d{1,2} ?[:.] ?\d{2}(?: ?[:.] ?\d{2})?)(?:[.,]\d+)?(?: ?([+-]\d\d:?\d\d|[A-Za-z]{1,5}(?:[+-]\d\d:?\d\d)?))?(?: |$)/u.exec(
      plain,
    );
  if (usual !== null) {
    const [, day = "", month = "", year = "", time = "", zone] = usual;
    return dateOf({ day, month, year, time: time.replaceAll(" ", ""), zone: zone?.replace(/^[A-Za-z]+(?=[+-])/, "") });
  }
  const unix =
    /^(?:[A-Za-z]{3,9},? )?([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{1,2}:\d{2}(?::\d{2})?)(?: ([+-]\d{4}|[A-Za-z]{1,5}))?,? (\d{4})(?: ([+-]\d{4}|[A-Za-z]{1,5}))?(?: |$)/.exec(
      plain,
    );
  if (unix === null) return undefined;
  const [, month = "", day = "", time = "", zoneBefore, year = "", zoneAfter] = unix;
  return dateOf({ day, month, year, time, zone: zoneBefore ?? zoneAfter });
}
