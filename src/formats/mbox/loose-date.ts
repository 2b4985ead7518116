// Dates of From_ lines beyond asctime(3): other languages, ISO 8601, twelve hours, numbers, zones by name.

import { dateOf, headerText, parseZone } from "../../mail/headers.ts";
import type { Received } from "../../mail/model.ts";

export interface LooseDate {
  /** What stands before the date, trimmed. */
  readonly sender: string;
  /** Undefined where the words are a date that cannot be told exactly (a month of an unknown language, the 31st of February). */
  readonly received: Received | undefined;
}

const ENGLISH = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;
/** The first three letters, without accents, of the months' names in the languages that mail programs were seen to write. */
const MONTH_STARTS: ReadonlyMap<string, number> = new Map(
  [
    "jan ene gen led sty",
    "feb fev uno lut hel",
    "mar mrz maa mae bre",
    "apr avr abr dub kwi huh",
    "may mai mei mag maj kve",
    "jun giu cer cze kes",
    "jul lug lip hei",
    "aug ago aou srp sie elo",
    "sep set zar wrz syy",
    "oct okt ott out rij paz lok",
    "nov lis",
    "dec dez dic des pro gru jou",
  ].flatMap((names, month) => names.split(" ").map((name) => [name, month] as const)),
);

const TIME = /^(\d{1,2}[:.]\d\d(?:[:.]\d\d)?)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?$/i;
const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?)?$/i;
const NUMERIC = /^(\d{1,2})([./-])(\d{1,2})\2(\d{4}),?$/;
const YEAR = /^(?:19|20)\d\d,?$/;
const DAY = /^(\d{1,2})(?:st|nd|rd|th)?[.,]?$/i;
const WORD = /^\p{L}{2,20}[.,]{0,2}$/u;
const EPOCH = /^\d{9,10}$/;
const ZONE = /^(?:GMT|UTC)?[+-]\d\d:?\d\d$|^[A-Z]{1,6}$/i;
/** Words of a From_ line; more are prose. */
const MOST_WORDS = 24;

/**
 * The text behind "From ", as Latin-1; undefined where no date with a time of day stands in it. Tolerant: whoever asks must have
 * other evidence that the line parts two messages.
 */
export function looseDate(latin1: string): LooseDate | undefined {
  const words = headerText(Buffer.from(latin1, "latin1")).trim().split(/\s+/);
  if (words.length > MOST_WORDS || words[0] === "") return undefined;
  const last = words.at(-1) ?? "";
  if (EPOCH.test(last)) return { sender: words.slice(0, -1).join(" "), received: { epochSeconds: Number(last) } };
  const iso = words.findIndex((word) => ISO.test(word));
  const timeAt = words.findIndex((word, at) => at !== iso && TIME.test(word));
  const parts = ISO.exec(words[iso] ?? "");
  const clock = TIME.exec(words[timeAt] ?? "");
  if (parts !== null && (parts[4] !== undefined || timeAt > iso)) {
    const [, year = "", month = "", day = "", time = clock?.[1] ?? "", zone = clock?.[2]] = parts;
    const date = { day, month: ENGLISH[Number(month) - 1] ?? "", year, time };
    return {
      sender: before(words, iso),
      received: dateOf({
        ...date,
        zone: zone === undefined ? zoneOf(words, timeAt === -1 ? iso : timeAt) : zoneName(zone),
      }),
    };
  }
  if (clock === null) return undefined;
  return wordy(words, timeAt, clock[1] ?? "", clock[2]);
}

/** A time, and around it a year with the names or numbers of day and month. */
function wordy(
  words: readonly string[],
  timeAt: number,
  time: string,
  glued: string | undefined,
): LooseDate | undefined {
  const numeric = words.findIndex((word, at) => at < timeAt && NUMERIC.test(word));
  const zone = glued === undefined ? zoneOf(words, timeAt) : zoneName(glued);
  const clock = inDay(time, words[timeAt + 1]);
  if (numeric !== -1) {
    const [, first = "", mark = "", second = "", year = ""] = NUMERIC.exec(words[numeric] ?? "") ?? [];
    // Slashes are American, unless that gives a thirteenth month.
    const isAmerican = mark === "/" && Number(first) <= 12;
    const [month, day] = isAmerican ? [first, second] : [second, first];
    const received = dateOf({ day, month: ENGLISH[Number(month) - 1] ?? "", year, time: clock, zone });
    return { sender: before(words, numeric), received };
  }
  // After the time as in asctime(3), else before it as in RFC 5322.
  const after = words.findIndex((word, at) => at > timeAt && YEAR.test(word));
  const year = after === -1 ? words.findIndex((word, at) => at < timeAt && YEAR.test(word)) : after;
  if (year === -1) return undefined;
  const end = Math.min(year, timeAt);
  const day = lastBefore(words, end, (word) => DAY.test(word));
  if (day === -1) return undefined;
  const month = lastBefore(words, end, (word) => monthOf(word) !== undefined && WORD.test(word));
  const start = month === -1 ? day : Math.min(day, month);
  if (end - start > 3) return undefined;
  const received = dateOf({
    day: DAY.exec(words[day] ?? "")?.[1] ?? "",
    month: ENGLISH[monthOf(words[month] ?? "") ?? -1] ?? "",
    year: (words[year] ?? "").replace(",", ""),
    time: clock,
    zone,
  });
  return { sender: before(words, start), received };
}

/** The sender: everything before the date, but for the weekday's name. */
function before(words: readonly string[], at: number): string {
  const end = at > 0 && WORD.test(words[at - 1] ?? "") && at > 1 ? at - 1 : at;
  return words.slice(0, end).join(" ");
}

function lastBefore(words: readonly string[], end: number, fits: (word: string) => boolean): number {
  for (let at = end - 1; at >= Math.max(0, end - 4); at--) if (fits(words[at] ?? "")) return at;
  return -1;
}

function monthOf(word: string): number | undefined {
  const plain = word
    .normalize("NFD")
    .replace(/[^\p{L}]/gu, "")
    .toLowerCase();
  if (plain.startsWith("juin")) return 5;
  if (plain.startsWith("juil")) return 6;
  return plain.length < 3 ? undefined : MONTH_STARTS.get(plain.slice(0, 3));
}

/** "3:00:00" with "PM" behind it is 15:00:00; without AM or PM the very same text. */
export function inDay(time: string, behind: string | undefined): string {
  const half = /^([AP])\.?M\.?,?$/i.exec(behind ?? "")?.[1]?.toUpperCase();
  const hour = Number(/^\d+/.exec(time)?.[0]);
  if (half === undefined || hour > 12) return time;
  return time.replace(/^\d+/, String((hour % 12) + (half === "P" ? 12 : 0)));
}

/** The first word behind the time that is a known zone. */
function zoneOf(words: readonly string[], timeAt: number): string | undefined {
  for (const word of words.slice(timeAt + 1)) {
    if (!ZONE.test(word)) continue;
    const name = zoneName(word);
    if (parseZone(name) !== undefined) return name;
  }
  return undefined;
}

function zoneName(word: string): string {
  // Summer time in one word: the zone's name, an hour ahead.
  if (/^METDST$/i.test(word)) return "MEST";
  return word.replace(/^(?:GMT|UTC)(?=[+-])/i, "");
}
