// File names in a Maildir: unique names that sort in the order of writing, and the flags behind ":2,".

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { LineEndRule } from "../../mail/lineends.ts";
import type { SystemFlag } from "../../mail/model.ts";

/** https://cr.yp.to/proto/maildir.html; P is "passed": resent, forwarded or bounced. */
const LETTERS: Readonly<Record<string, SystemFlag>> = {
  D: "draft",
  F: "flagged",
  R: "answered",
  S: "seen",
  T: "deleted",
};
const FLAG_LETTERS = new Map(Object.entries(LETTERS).map(([letter, flag]) => [flag, letter]));

export interface FileName {
  /** What names the message for ever: everything before ":". */
  readonly base: string;
  /** Every letter of the info part, as found: flags, P, keyword letters a to z, and any that we do not know. */
  readonly letters: string;
}

const PACKED = /\.(?:gz|bz2|xz|zst|lz4)$/;

/**
 * What stands for ":" where a disk or a service cannot hold it: Windows programs, then what Samba, WSL and Cygwin (U+F03A), phones and cloud
 * folders (U+A789, U+FF1A), and those that encode make of it. Names are octets here (paths.ts).
 */
const OTHER_COLON =
  /(?:[;!_+-]|[%=]3a|\xef\x80\xba|\xea\x9e\x89|\xef\xbc\x9a)2,([A-Za-z]*)(?:\.(?:gz|bz2|xz|zst|lz4))?$/i;

/** Reads any file name; one without an info part has no letters. */
export function parseFileName(name: string): FileName {
  const colon = name.indexOf(":");
  if (colon !== -1) {
    const info = name.slice(colon);
    // What a file was packed by, by hand, is no letter.
    return { base: name.slice(0, colon), letters: info.startsWith(":2,") ? info.slice(3).replace(PACKED, "") : "" };
  }
  const other = OTHER_COLON.exec(name);
  return other === null ? { base: name, letters: "" } : { base: name.slice(0, other.index), letters: other[1] ?? "" };
}

/** The info part of letters that came before: a folder has a handful of them. */
const knownInfos = new Map<string, string>();
const MAX_KNOWN = 512;

/** The info part, its letters once each and in ASCII order as the convention demands. */
export function infoOf(letters: string): string {
  const known = knownInfos.get(letters);
  if (known !== undefined) return known;
  const info = `:2,${[...new Set(letters)].sort().join("")}`;
  if (knownInfos.size >= MAX_KNOWN) knownInfos.clear();
  knownInfos.set(letters, info);
  return info;
}

export function flagsOf(letters: string): Set<SystemFlag> {
  const flags = new Set<SystemFlag>();
  for (const letter of letters) {
    const flag = LETTERS[letter];
    if (flag !== undefined) flags.add(flag);
  }
  return flags;
}

export function letterOf(flag: SystemFlag): string {
  return FLAG_LETTERS.get(flag) ?? "";
}

/** What a name that we made says of its message beside the flags. */
export interface OwnName {
  readonly pid: number;
  readonly host: string;
  /** The received date, and its minutes east of UTC. */
  readonly epochSeconds?: number;
  readonly zoneMinutes?: number;
  /** How the bytes lie in the file. */
  readonly rule: LineEndRule;
}

const OWN = /^\d+\.M\d+P(\d+)Q\d+R[0-9a-f]{8}(?:D(-?\d{1,12}))?(?:Z(-?\d{1,4}))?(A?)\.([^,:]*)(?:,|$)/;

/** Undefined for a name that another program made. */
export function parseOwn(base: string): OwnName | undefined {
  const match = OWN.exec(base);
  if (match === null) return undefined;
  const [, pid = "", received, zone, as, host = ""] = match;
  return {
    pid: Number(pid),
    host,
    rule: as === "A" ? "as-is" : "lf",
    ...(received === undefined ? {} : { epochSeconds: Number(received) }),
    ...(zone === undefined ? {} : { zoneMinutes: Number(zone) }),
  };
}

export interface NewName {
  /** Epoch seconds of the received date. */
  readonly received?: number | undefined;
  readonly zoneMinutes?: number | undefined;
  readonly rule: LineEndRule;
  /** Octets of the file. */
  readonly size: number;
  /** Octets with CRLF line ends. */
  readonly wireSize: number;
}

/** A slash or a colon must not come in (the convention), nor what reads as the start of a size field. */
export function safeHost(host: string): string {
  return host.replace(/[^A-Za-z0-9.-]/g, "_").slice(0, 64) || "localhost";
}

// Seconds and microseconds only ever grow within a process, so names sort as they were made; the random part keeps two
// processes apart whose pids mean nothing to each other (containers).
let lastMicros = 0;
let counter = 0;
const RANDOM = randomBytes(4).toString("hex");
const HOST = safeHost(hostname());

/**
 * A base name that no other call anywhere gives. `S=` and `W=` are as Dovecot reads them; both are exact. The received date (D; the
 * file's time has it too, and is lost by whoever copies files without it), its zone (Z) and the rule of the line ends (A for as they
 * are) lie in the part that the convention leaves to the writer: so they cost no file of their own, and no program changes them.
 */
export function uniqueName(about: NewName): string {
  lastMicros = Math.max(lastMicros + 1, Date.now() * 1000);
  const seconds = Math.floor(lastMicros / 1_000_000);
  const micros = lastMicros % 1_000_000;
  const { received, zoneMinutes: zone, rule, size, wireSize } = about;
  const d = received !== undefined && Number.isInteger(received) && Math.abs(received) < 1e12 ? `D${received}` : "";
  const z = zone !== undefined && Number.isInteger(zone) && Math.abs(zone) <= 1440 ? `Z${zone}` : "";
  const own = `M${micros}P${process.pid}Q${++counter}R${RANDOM}${d}${z}${rule === "as-is" ? "A" : ""}`;
  return `${seconds}.${own}.${HOST},S=${size},W=${wireSize}`;
}

/** Our own host as it stands in names. */
export function ownHost(): string {
  return HOST;
}

/** The octets that the name announces; never trusted. */
export function announcedSize(base: string): number | undefined {
  const match = /,S=(\d{1,15})(?=,|$)/.exec(base);
  return match === null ? undefined : Number(match[1]);
}

/** The octets with CRLF line ends that the name announces; never trusted. */
export function announcedWireSize(base: string): number | undefined {
  const match = /,W=(\d{1,15})(?=,|$)/.exec(base);
  return match === null ? undefined : Number(match[1]);
}

/** A number that sorts names in the order in which their messages were delivered: microseconds, 0 where the name says nothing. */
export function deliveryOrder(base: string): number {
  // Thunderbird counts in milliseconds.
  const mozilla = /^(\d{13})(?:-\d+)?\.eml$/.exec(base);
  if (mozilla !== null) return Number(mozilla[1]) * 1000;
  const match = /^(\d{1,10})(?:\.(?:[^,:]*?M(\d{1,6})(?!\d))?)?/.exec(base);
  if (match === null) return 0;
  return Number(match[1]) * 1_000_000 + Number(match[2] ?? 0);
}
