// Refs: how a message of an mboxzip is named, with all that is needed to find its bytes without the manifest.

import { crc32 } from "node:zlib";
import type { LineEndRule } from "../../mail/lineends.ts";
import type { MessageRecord } from "./record.ts";

/** Where a message lies, and how its original is had back. */
export interface Place {
  /** The number of the zip in its archive. */
  readonly zip: number;
  readonly entry: string;
  /** Of the From_ line. */
  readonly offset: number;
  /** Octets up to the end of the separating blank line. */
  readonly length: number;
  /** Octets before the message's own first one: the From_ line and the added lines. */
  readonly head: number;
  readonly lines: LineEndRule;
  readonly newline: boolean;
  /** Fields of its header stand under other names (formats/mbox/own-fields.ts). */
  readonly hides: boolean;
}

/**
 * `0001/INBOX.mbox@1234:567:89:ln:0a1b2c3d`: zip, entry, offset, length, head, "l" or "a" (line ends), "n" (a newline was
 * added), "h" (fields have other names), and the CRC-32 of all that: a ref that was never given names nothing, rather than some octets in the middle.
 */
export function formatRef(place: Place): string {
  const form = `${place.lines === "lf" ? "l" : "a"}${place.newline ? "n" : ""}${place.hides ? "h" : ""}`;
  const text = `${zipNumber(place.zip)}/${place.entry}@${place.offset}:${place.length}:${place.head}:${form}`;
  return `${text}:${checksum(text)}`;
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

const REF = /^((\d{4,9})\/(.+)@(\d{1,16}):(\d{1,16}):(\d{1,16}):([la])(n?)(h?)):([0-9a-f]{8})$/s;

/** Undefined for a text that is no ref. */
export function parseRef(ref: string): Place | undefined {
  const match = REF.exec(ref);
  if (match === null) return undefined;
  const [, text = "", zip = "", entry = "", offset = "", length = "", head = "", lines, newline, hides, crc] = match;
  if (checksum(text) !== crc) return undefined;
  const place: Place = {
    zip: Number(zip),
    entry,
    offset: Number(offset),
    length: Number(length),
    head: Number(head),
    lines: lines === "l" ? "lf" : "as-is",
    newline: newline === "n",
    hides: hides === "h",
  };
  const sane = Number.isSafeInteger(place.offset + place.length) && contentLength(place) >= 0;
  return sane ? place : undefined;
}

/** Octets of the message as it is stored (quoted, perhaps with LF line ends). */
export function contentLength({ length, head, newline }: Pick<Place, "length" | "head" | "newline">): number {
  return length - head - 1 - (newline ? 1 : 0);
}

/** The place that a manifest line speaks of. */
export function placeOf(zip: number, record: MessageRecord): Place {
  const { entry, offset, length, added, lines, newline, hides = false } = record;
  return { zip, entry, offset, length, head: added[1] - offset, lines, newline, hides };
}

/** The number as it stands in file names and refs: at least four digits, so that names sort by it. */
export function zipNumber(zip: number): string {
  return String(zip).padStart(4, "0");
}
