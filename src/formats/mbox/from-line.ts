// Reading From_ lines: which lines part two messages, who sent, and when.

import { dateOf, parseZone } from "../../mail/headers.ts";
import type { Received } from "../../mail/model.ts";
import { inDay, looseDate } from "./loose-date.ts";

/** Octets of a line that are looked at; a longer one is not a From_ line (a sender has at most 320, RFC 5321 4.5.3.1). */
export const FROM_LINE_LIMIT = 1000;

export interface FromLine {
  /** The envelope sender as it stands; "" when there is none. */
  readonly sender: string;
  /**
   * Undefined where the line has no date or one that says nothing: the first day of 1970 and everything before it (writers put
   * it where they knew none), and the constant of `git format-patch`.
   */
  readonly received?: Received;
  /** `received` is when a program of Mozilla's put the message into this file, which may be years later. */
  readonly isOfStoring?: true;
}

/**
 * `separator`: it parts two messages. `if-header`: it does when the next line is a header field. `if-mail`: a form that prose may
 * have too, or a date of an unusual make: it does when header fields of mail stand behind it. `no`: a line like any other.
 */
export type Verdict = "separator" | "if-header" | "if-mail" | "no";

const WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const TIME = "(\\d{1,2}:\\d\\d(?::\\d\\d)?)";
const ZONE = "((?:\\s+(?:[A-Z]{1,5}|(?:GMT|UTC)?[+-]\\d\\d:?\\d\\d)){0,2})(?:\\s+\\([^()]{0,40}\\))?";
const REMOTE = "(?:\\s+remote\\s+from\\s+\\S+)?";
/** asctime(3), with a zone before or after the year as some Unix systems and Takeout write it. */
const ASCTIME = new RegExp(
  `(?:^|\\s)${WEEKDAY}\\.?,?\\s+${MONTH}\\s+(\\d{1,2}),?\\s+${TIME}${ZONE}\\s+(\\d{4}|\\d\\d)${ZONE}${REMOTE}$`,
  "i",
);
/** RFC 5322 order: old Thunderbird templates and some exports. */
const MAIL_DATE = new RegExp(
  `(?:^|\\s)${WEEKDAY}\\.?,?\\s+(\\d{1,2})[ -]${MONTH}[ -](\\d{4}|\\d\\d),?\\s+${TIME}${ZONE}${REMOTE}$`,
  "i",
);
/** What nearly every program writes, and what it costs least to read: one word, and asctime(3) without a zone, after 1970. */
const PLAIN =
  /^\S+ (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d (?:19[7-9]\d|2\d\d\d)$/;
/** Octets of the date in such a line: "Thu Jan  4 12:00:00 2024". */
const PLAIN_DATE = 24;
const SPACE = 32;
const TAB = 9;
const COLON = 58;
const ZERO = 48;
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
/** One word, or a quoted local part: what stands before the date when the line was written by a mail program. */
const SENDER = /^(?:"(?:[^"\\]|\\.)*"\S*|\S*)$/;
/** Lines without a date that programs do write: Thunderbird ("From ", "From -"), Takeout ("From 123@xxx"), Eudora. */
const DATELESS = /^(?:-?|\d{1,25}@xxx|\?\?\?@\?\?\?)$/;
/**
 * A sender alone: one word (an address, MAILER-DAEMON, an X.400 name), an address with its display name, or one whose at sign a list
 * archive took away.
 */
const SENDER_ALONE = /^(?:\S{1,320}|[^<>]{0,200}<[^<>\s]{1,320}>|\S{1,64} at \S{1,255})$/;
/** `git format-patch` gives every message this instant (Mon Sep 17 00:00:00 2001), whenever it was made. */
const GIT_CONSTANT = 1_000_684_800;
/** Dates of the first day of 1970 stand for "unknown". */
const FIRST_DAY = 86_400;

/** Judges one line, given without its line end. */
export function judgeFromLine(line: string): { verdict: Verdict; from: FromLine } {
  const none = { verdict: "no", from: { sender: "" } } as const;
  if (line.length > FROM_LINE_LIMIT) return none;
  // Some writers left the space away with everything behind it.
  if (line === "From") return { verdict: "if-mail", from: { sender: "" } };
  if (!line.startsWith("From ")) return none;
  const text = line.slice(5).trim();
  if (PLAIN.test(text)) return { verdict: "separator", from: plainFrom(text) };
  const unix = ASCTIME.exec(text);
  const mail = unix === null ? MAIL_DATE.exec(text) : null;
  const match = unix ?? mail;
  if (match === null)
    return DATELESS.test(text) ? { verdict: "if-header", from: fromOf(text, undefined) } : unusual(text);
  const sender = text.slice(0, match.index).trim();
  const received = unix === null ? mailDate(match) : asctime(match);
  const verdict = SENDER.test(sender) ? "separator" : "if-header";
  return { verdict, from: fromOf(sender, received) };
}

function unusual(text: string): { verdict: Verdict; from: FromLine } {
  const dated = looseDate(text);
  if (dated !== undefined) {
    const { sender, received } = dated;
    const says = received !== undefined && saysSomething(received.epochSeconds);
    return { verdict: "if-mail", from: fromOf(sender, says ? received : undefined) };
  }
  if (!SENDER_ALONE.test(text)) return { verdict: "no", from: { sender: "" } };
  return { verdict: "if-mail", from: { sender: text } };
}

function fromOf(sender: string, received: Received | undefined): FromLine {
  if (received === undefined) return { sender: sender === "-" ? "" : sender };
  return sender === "-" ? { sender: "", received, isOfStoring: true } : { sender, received };
}

/** True when the line at `at` begins like a header field, or like the `>From ` that old gateways put first. */
export function looksLikeField(view: Buffer, at: number): boolean {
  const end = Math.min(view.length, at + 201);
  let colon = at;
  for (; colon < end; colon++) {
    const octet = view[colon] ?? 0;
    if (octet === COLON || octet <= SPACE || octet >= 127) break;
  }
  let after = colon;
  while (view[after] === SPACE || view[after] === TAB) after++;
  if (colon > at && view[after] === COLON) return true;
  return view.toString("latin1", at, at + 6) === ">From ";
}

/** Every part of the date has its place. */
function plainFrom(text: string): FromLine {
  const start = text.length - PLAIN_DATE;
  const word = text.slice(0, start - 1);
  const sender = word === "-" ? "" : word;
  const two = (at: number) => digit(text, start + at) * 10 + digit(text, start + at + 1);
  // A day below ten has a space before it.
  const day = text.charCodeAt(start + 8) === SPACE ? digit(text, start + 9) : two(8);
  const month = MONTHS.indexOf(text.slice(start + 4, start + 7)) / 3;
  const midnight = Date.UTC(two(20) * 100 + two(22), month, day);
  // The 30th of February is no day.
  if (new Date(midnight).getUTCDate() !== day) return { sender };
  const epochSeconds = midnight / 1000 + two(11) * 3600 + two(14) * 60 + two(17);
  if (!saysSomething(epochSeconds)) return { sender };
  const received = { epochSeconds };
  return word === "-" ? { sender, received, isOfStoring: true } : { sender, received };
}

function digit(text: string, at: number): number {
  return text.charCodeAt(at) - ZERO;
}

function saysSomething(epochSeconds: number): boolean {
  return epochSeconds >= FIRST_DAY && epochSeconds !== GIT_CONSTANT;
}

function asctime(match: RegExpExecArray): Received | undefined {
  const [, month = "", day = "", time = "", before = "", year = "", after = ""] = match;
  return sensible(day, month, year, time, before.trim() === "" ? after : before);
}

function mailDate(match: RegExpExecArray): Received | undefined {
  const [, day = "", month = "", year = "", time = "", zone = ""] = match;
  return sensible(day, month, year, time, zone);
}

function sensible(day: string, month: string, year: string, time: string, zone: string): Received | undefined {
  const words = zone.trim().split(/\s+/);
  const clock = inDay(time, words[0]);
  if (clock !== time) words.shift();
  const [name = "", summer] = words;
  const date = dateOf({ day, month, year, time: clock, zone: name.replace(/^(?:GMT|UTC)(?=[+-])/i, "") });
  if (date === undefined || !saysSomething(date.epochSeconds)) return undefined;
  // "MET DST": System V wrote summer time as a second word.
  const hour = summer?.toUpperCase() === "DST" && parseZone(name) !== undefined ? 60 : 0;
  if (hour === 0 || date.zoneMinutes === undefined) return date;
  return { epochSeconds: date.epochSeconds - hour * 60, zoneMinutes: date.zoneMinutes + hour };
}
