// Sizes, durations, dates and counts as they are typed and shown.

import { configError } from "../mail/errors.ts";

export { plural, showCount } from "../core/words.ts";

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 };

/** "25M" (10^6), "25MiB" (2^20), "500kB", "1.5G" or a number of octets. Throws MailError config naming the option. */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt]i?)?b?)$/i.exec(text.trim());
  const factor = SIZE_UNITS[(match?.[2] ?? "").toLowerCase()];
  const octets = match === null || factor === undefined ? Number.NaN : Math.floor(Number(match[1]) * factor);
  if (!Number.isSafeInteger(octets) || octets <= 0)
    throw configError(`${option} "${text}" is no size`, `Write a number with k, M or G: ${option} 25M.`);
  return octets;
}

/** "14d", "2w", "12h" in seconds. Throws MailError config naming the option. */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d{1,6})\s*([smhdwy])$/i.exec(text.trim());
  const factor = SECONDS[match?.[2]?.toLowerCase() ?? ""];
  if (match === null || factor === undefined)
    throw configError(`${option} "${text}" is no duration`, `Write a number with h, d or w: ${option} 14d.`);
  return Number(match[1]) * factor;
}

/**
 * "2024-01-31" (midnight UTC, so that a command means the same everywhere) or "2024-01-31T12:00Z", "…+02:00" in epoch seconds.
 * Throws MailError config naming the option.
 */
export function parseDate(text: string, option: string): number {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text.trim());
  if (match !== null) {
    const [, year, month, day, hour = "0", minute = "0", second = "0", zone = "Z"] = match;
    const [y, m, d, h, min, s] = [year, month, day, hour, minute, second].map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const instant = Date.UTC(y, m - 1, d, h, min, s);
    const shown = new Date(instant);
    // Date.UTC carries 31 February over into March: a day that does not exist is a mistake.
    const exists = shown.getUTCMonth() === m - 1 && shown.getUTCDate() === d && h < 24 && min < 60 && s < 60;
    if (exists && y >= 1) return instant / 1000 - zoneSeconds(zone);
  }
  throw configError(
    `${option} "${text}" is no date`,
    `Write year-month-day, with a time where you need one: ${option} 2024-01-31 or ${option} 2024-01-31T12:00Z.`,
  );
}

function zoneSeconds(zone: string): number {
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (match === null) return 0;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 3600 + Number(match[3]) * 60);
}

/** A whole number within bounds. Throws MailError config naming the option. */
export function parseCount(text: string, option: string, most: number): number {
  const number = /^\d{1,9}$/.test(text.trim()) ? Number(text) : 0;
  if (number < 1 || number > most)
    throw configError(`${option} "${text}" is no number from 1 to ${most}`, `Write for example ${option} 4.`);
  return number;
}

/** Octets as "45.3 MB" (10^6). */
export function showBytes(octets: number): string {
  let value = octets;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5 || (unit === "B" && value < 1000)) return unit === "B" ? `${value} B` : `${short(value)} ${unit}`;
    value /= 1000;
  }
  return `${short(value)} TB`;
}

function short(value: number): string {
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** Seconds as "0.4 s", "12 s", "3 min 05 s", "2 h 07 min". */
export function showSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}
