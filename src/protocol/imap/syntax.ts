// What goes into commands: strings that cannot inject, flag lists, dates, and UID sets that fit into a command line.

import { parseZone } from "../../mail/headers.ts";
import type { Received, SystemFlag, TraitChange, Traits } from "../../mail/model.ts";
import { protocolError } from "./errors.ts";
import { type Value, valueText } from "./parse.ts";

/** Octets that go as a literal; `chunks` must give exactly `size` of them. */
export interface Literal {
  readonly size: number;
  chunks(): AsyncIterable<Uint8Array>;
  /** Present where they are at hand: all of them at once, asked for when they are written. */
  whole?(): Uint8Array;
}

/** A command in parts, without tag and line end: text (latin1, an octet a char, never with CR, LF or NUL) and literals. */
export type CommandPart = string | Literal;

/** Octets of a UID set in one command. Exchange takes lines of 10,240 octets, others 8,000 (RFC 7162 4). */
const MAX_SET = 6_000;

/** A literal of octets at hand. */
export function literalOf(bytes: Uint8Array): Literal {
  return {
    size: bytes.length,
    whole: () => bytes,
    async *chunks() {
      if (bytes.length > 0) yield bytes;
    },
  };
}

/** A name or other string (latin1): quoted where that is legal, else a literal (RFC 3501 4.3). */
export function stringPart(text: string): CommandPart {
  return /^[\x20-\x7e]*$/.test(text) ? `"${text.replace(/[\\"]/g, "\\$&")}"` : literalOf(Buffer.from(text, "latin1"));
}

const SYSTEM: Readonly<Record<SystemFlag, string>> = {
  seen: "\\Seen",
  answered: "\\Answered",
  flagged: "\\Flagged",
  deleted: "\\Deleted",
  draft: "\\Draft",
};
const BY_NAME: ReadonlyMap<string, SystemFlag> = new Map(
  Object.entries(SYSTEM).map(([flag, name]) => [name.toLowerCase(), flag as SystemFlag]),
);

/** RFC 3501 9: an atom; nothing that ends a list, opens a literal or a wildcard. */
const KEYWORD = /^[^\x00-\x20\x7f-\uffff(){%*"\\\]]{1,255}$/;

export function isKeyword(name: string): boolean {
  return KEYWORD.test(name);
}

export function flagName(flag: SystemFlag): string {
  return SYSTEM[flag];
}

/** Traits as the names of a flag list; keywords that IMAP cannot write are in `refused`. */
export function flagNames(traits: Pick<Traits, "flags" | "keywords">): { names: string[]; refused: string[] } {
  const names = [...traits.flags].map((flag) => SYSTEM[flag]);
  const refused: string[] = [];
  for (const keyword of traits.keywords) (isKeyword(keyword) ? names : refused).push(keyword);
  return { names, refused };
}

/** Flags and keywords of one message or folder; servers with a limit have some hundred a folder. */
export const MAX_FLAGS = 4096;

/** The flags of one message; shared by all messages that have the same, so nobody changes them. */
export interface Flags {
  readonly flags: ReadonlySet<SystemFlag>;
  readonly keywords: ReadonlySet<string>;
  /** System flags that are nobody's but this server's, as it spells them. Left out where there are none. */
  readonly foreign?: ReadonlySet<string>;
}

/** Not in RFC 3501, and a word for what has a registered keyword (RFC 5788). */
const REGISTERED: ReadonlyMap<string, string> = new Map([["\\forwarded", "$Forwarded"]]);

/** By the text of the list: a folder of many thousand messages has a handful of them. */
const knownFlags = new Map<string, Flags>();
const MAX_KNOWN = 512;

/** The same for a list as it stands between its parentheses, without literals and quoted strings. */
export function flagsOfList(text: string): Flags {
  const known = knownFlags.get(text);
  if (known !== undefined) return known;
  const parsed = parseFlags(text === "" ? [] : text.split(" "));
  if (knownFlags.size >= MAX_KNOWN) knownFlags.clear();
  knownFlags.set(text, parsed);
  return parsed;
}

/** A server's flag list as flags and keywords; \Recent is no one's to copy. */
export function parseFlags(value: Value | undefined): Flags {
  const flags = new Set<SystemFlag>();
  const keywords = new Set<string>();
  const foreign = new Set<string>();
  const items = Array.isArray(value) ? value : [];
  if (items.length > MAX_FLAGS) throw protocolError(`the server gives a message more than ${MAX_FLAGS} flags`);
  for (const item of items) {
    // A keyword called NIL is legal and looks like nothing.
    const name = item === null ? "NIL" : valueText(item);
    if (name === null || name === "") continue;
    const folded = name.toLowerCase();
    const system = BY_NAME.get(folded);
    const registered = REGISTERED.get(folded);
    if (system !== undefined) flags.add(system);
    else if (registered !== undefined) keywords.add(registered);
    else if (!name.startsWith("\\")) keywords.add(name);
    else if (folded !== "\\recent") foreign.add(name);
  }
  return foreign.size === 0 ? { flags, keywords } : { flags, keywords, foreign };
}

/** The key under which changes are the same. */
export function changeKey(change: TraitChange): string {
  return JSON.stringify([change.add, change.remove].map((side) => [[...side.flags].sort(), [...side.keywords].sort()]));
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const INTERNALDATE = /^ ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2})(?: ([+-]\d{4}))?$/;

/** Days before the first of each month, in a year that begins in March: so the leap day is the last one of its year. */
const DAYS_BEFORE = [306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275];

const DAYS_IN = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Epoch seconds of its midnight in UTC, for any year of the Gregorian calendar; undefined for a day that there is not. */
function midnightOf(day: number, name: string, year: number): number | undefined {
  const month = MONTHS.indexOf(name) === -1 ? MONTHS.indexOf(titled(name)) : MONTHS.indexOf(name);
  if (month === -1 || day < 1 || day > (DAYS_IN[month] ?? 0)) return undefined;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (month === 1 && day === 29 && !isLeap) return undefined;
  const from = month < 2 ? year - 1 : year;
  const leapDays = Math.floor(from / 4) - Math.floor(from / 100) + Math.floor(from / 400);
  // 719,469 days lie between the first of March of the year 0 and the epoch's first day, which is itself a first.
  return (from * 365 + leapDays + (DAYS_BEFORE[month] ?? 0) + day - 719_469) * 86_400;
}

function titled(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1).toLowerCase();
}

/** Two digits at this place of a text; NaN where there are none. A space stands for a leading zero (RFC 9051 9, date-day-fixed). */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at);
  const high = tens === 32 && at === 0 ? 0 : tens - 48;
  const low = text.charCodeAt(at + 1) - 48;
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : Number.NaN;
}

/** Seconds of the day; NaN for a time that there is not. A leap second counts as the next one. */
function timeOf(hour: number, minute: number, second: number): number {
  return hour > 23 || minute > 59 || second > 60 ? Number.NaN : hour * 3600 + minute * 60 + second;
}

/** The length of `01-Jan-2024 12:00:00 +0000`, which is what servers send. */
const USUAL_DATE = 26;
const SEPARATORS = /^..-[A-Za-z]{3}-.... ..:..:.. [+-]....$/;

/** The usual form, without a piece of text for each number; undefined for any other. */
function usualDate(text: string): Received | undefined {
  if (text.length !== USUAL_DATE || !SEPARATORS.test(text)) return undefined;
  const time = timeOf(twoDigits(text, 12), twoDigits(text, 15), twoDigits(text, 18));
  const zone = twoDigits(text, 22) * 60 + twoDigits(text, 24);
  const day = twoDigits(text, 0);
  const year = twoDigits(text, 7) * 100 + twoDigits(text, 9);
  if (Number.isNaN(time + zone + day + year) || zone >= 1440 || twoDigits(text, 24) > 59) return undefined;
  const midnight = midnightOf(day, text.slice(3, 6), year);
  if (midnight === undefined) return undefined;
  const zoneMinutes = text.charCodeAt(21) === 45 && zone > 0 ? -zone : zone;
  return { epochSeconds: midnight + time - zoneMinutes * 60, zoneMinutes };
}

/** INTERNALDATE with its zone kept; undefined for what is none. */
export function parseInternalDate(text: string): Received | undefined {
  const usual = usualDate(text);
  if (usual !== undefined) return usual;
  const match = INTERNALDATE.exec(text);
  if (match === null) return undefined;
  const [, day, name = "", year, hour, minute, second, zone] = match;
  const midnight = midnightOf(Number(day), name, Number(year));
  if (midnight === undefined) return undefined;
  const seconds = midnight + timeOf(Number(hour), Number(minute), Number(second));
  if (Number.isNaN(seconds)) return undefined;
  const zoneMinutes = zone === undefined ? undefined : parseZone(zone);
  const epochSeconds = seconds - (zoneMinutes ?? 0) * 60;
  return zoneMinutes === undefined ? { epochSeconds } : { epochSeconds, zoneMinutes };
}

/** "00" to "99". */
const TWO: readonly string[] = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, "0"));
const two = (value: number): string => TWO[value] ?? String(value);

/** As APPEND wants it, quotes included; undefined where the year does not have four digits. */
export function formatInternalDate({ epochSeconds, zoneMinutes = 0 }: Received): string | undefined {
  const local = new Date((epochSeconds + zoneMinutes * 60) * 1000);
  const year = local.getUTCFullYear();
  if (!(year >= 1 && year <= 9999)) return undefined;
  const zone = Math.abs(zoneMinutes);
  const day = `${two(local.getUTCDate())}-${MONTHS[local.getUTCMonth()]}-${year < 1000 ? String(year).padStart(4, "0") : year}`;
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
  return `"${day} ${time} ${zoneMinutes < 0 ? "-" : "+"}${two(Math.floor(zone / 60))}${two(zone % 60)}"`;
}

/**
 * A UID set of as many of these (ascending) UIDs from `from` on as fit into one command line, runs written as ranges; at most
 * `limit` of them. `next` is the index behind the last one taken.
 */
export function uidSet(uids: ArrayLike<number>, from: number, limit: number): { set: string; next: number } {
  const end = Math.min(uids.length, from + limit);
  let set = "";
  let at = from;
  while (at < end) {
    const first = uids[at] ?? 0;
    let last = first;
    let next = at + 1;
    while (next < end && uids[next] === last + 1) last = uids[next++] ?? 0;
    const item = first === last ? `${first}` : `${first}:${last}`;
    if (set.length + item.length + 1 > MAX_SET) break;
    set += set === "" ? item : `,${item}`;
    at = next;
  }
  return { set, next: at };
}

/** The numbers of a UID set such as "3,5:7" in its order (a COPYUID or APPENDUID), at most `limit`; undefined if it is none. */
export function expandSet(set: string, limit: number): number[] | undefined {
  const uids: number[] = [];
  for (const item of set.split(",")) {
    const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(item);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    for (let uid = Math.min(first, last); uid <= Math.max(first, last); uid++) {
      if (uids.length >= limit) return undefined;
      uids.push(uid);
    }
  }
  return uids;
}
