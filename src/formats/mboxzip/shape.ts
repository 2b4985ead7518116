// How a zip of a growing archive was when it was written, by its directory alone: so one that another program packed again is told unread.

import { crc32 } from "node:zlib";
import { MailError } from "../../mail/errors.ts";
import { type Inventory, readInventory, type Stated, zipStateName } from "../inventory.ts";
import { MANIFEST_NAME } from "../manifest.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { looksSealed } from "../zip/seal.ts";
import type { ZipFileName } from "./layout.ts";
import { manifestOf } from "./zips.ts";

/** The comment holds a hash of the whole file, and is kept by programs that take an entry out: so entries count by themselves. */
export function shapeOf({ size, comment, entries }: Zip): Stated {
  let sum = crc32(comment);
  for (const { name, size, packedSize, crc } of entries.values())
    sum = crc32(JSON.stringify([name, size, packedSize, crc]), sum);
  return { size, sum };
}

/**
 * Octets that the manifest's lines speak of, by entry, while they pass: then what the directory has less than that. A damaged manifest says
 * nothing here.
 */
export function tallyOf(zip: Zip): { take(entry: string, end: number): void; lack(): string | undefined } {
  const ends = new Map<string, number>();
  return {
    take: (entry, end) => void ends.set(entry, Math.max(end, ends.get(entry) ?? 0)),
    lack() {
      for (const [name, end] of ends) {
        const size = zip.entries.get(name)?.size;
        if (size === undefined) return `the entry ${JSON.stringify(name)} is missing`;
        if (size < end) return `the entry ${JSON.stringify(name)} lacks its end (${size} bytes are left of ${end})`;
      }
      return undefined;
    },
  };
}

/** What a zip lacks of what its own manifest lists, by the sizes alone. */
async function lackOf(zip: Zip, signal: AbortSignal): Promise<string | undefined> {
  const tally = tallyOf(zip);
  try {
    for await (const { record } of manifestOf(zip, () => undefined)) {
      signal.throwIfAborted();
      if (record.type === "message") tally.take(record.entry, record.offset + record.length);
    }
  } catch (error) {
    // Told where it is read.
    if (!(error instanceof MailError) || error.code !== "malformed") throw error;
  }
  return tally.lack();
}

/** Why a zip is not the one that was written, in words; undefined where nothing speaks against it. */
export async function whyRepacked(
  zip: Zip,
  stated: Stated | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (stated !== undefined) {
    const { size, sum } = shapeOf(zip);
    if (size === stated.size && sum === stated.sum) return undefined;
  }
  const lack = zip.entries.has(MANIFEST_NAME) ? await lackOf(zip, signal) : undefined;
  if (stated === undefined && lack === undefined && looksSealed(zip.comment)) return undefined;
  return repacked(zip, lack);
}

export function repacked({ path }: Zip, lack: string | undefined): string {
  return `${path}: it is not as it was written, as if another program had packed it again${lack === undefined ? "" : `: ${lack}`}`;
}

const NEVER = new AbortController().signal;

/** For sortZips: looks at each zip that can be read, and gives to `onRepacked` what speaks against it. */
export async function repackedIn(
  home: string,
  signal: AbortSignal,
  onRepacked: (why: string) => void,
): Promise<(zip: Zip, file: ZipFileName) => Promise<void>> {
  const inventory = await readInventory(home).catch(() => undefined);
  return async (zip, { number }) => {
    const why = await whyRepacked(zip, inventory?.files.get(zipStateName(number)), signal);
    if (why !== undefined) onRepacked(why);
  };
}

/**
 * What a run states anew of the archive's zips. `anew`: every octet of them was looked at. `written`: numbers from there on are of zips that
 * this run wrote.
 */
export async function stateZips(
  zips: readonly ZipFileName[],
  before: Inventory | undefined,
  { anew, written }: { readonly anew: boolean; readonly written: number },
): Promise<Map<string, Stated>> {
  const states = new Map<string, Stated>();
  for (const file of zips) {
    const name = zipStateName(file.number);
    const stated = before?.files.get(name);
    if (stated !== undefined && !anew) continue;
    try {
      await using zip = await openZip(file.path);
      // What an earlier version wrote is looked at once: what lacks something now is told by every run.
      if (anew || file.number >= written || (await whyRepacked(zip, undefined, NEVER)) === undefined)
        states.set(name, shapeOf(zip));
    } catch (error) {
      if (!(error instanceof MailError) || error.code !== "malformed") throw error;
    }
  }
  return states;
}
