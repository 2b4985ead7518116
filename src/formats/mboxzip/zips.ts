// The zips of one archive as readers use them: opened when needed, few at a time, each checked to be of this archive.

import { MailError } from "../../mail/errors.ts";
import { MAX_FOLDERS } from "../../mail/model.ts";
import { type HeaderRecord, MANIFEST_NAME, type ManifestLine, readManifest } from "../manifest.ts";
import { type RangeReader, rangeReader } from "../zip/ranges.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { damagedZip } from "../zip/seal.ts";
import { tooManyFolders, type ZipFileName } from "./layout.ts";
import type { Place } from "./ref.ts";

/** Readers that stay open: each holds the state of an inflater. */
const OPEN_READERS = 12;
/** Zips that stay open unused. */
const OPEN_ZIPS = 4;
/** Our manifests deflate to a quarter; one that grows by more than this is a bomb. */
const MANIFEST_RATIO = 200;
const SMALL_MANIFEST = 64 * 1024 * 1024;

/** The manifest of an open zip, checked line by line and by its CRC. `onBad`: as readManifest's. Throws MailError malformed or config. */
export function manifestOf(zip: Zip, onBad?: (error: MailError) => void): AsyncGenerator<ManifestLine> {
  const entry = zip.entries.get(MANIFEST_NAME);
  if (entry === undefined)
    throw new MailError("malformed", `${zip.path} has no ${MANIFEST_NAME}: it was not written by mailferry`, {
      scope: "account",
      remedy: "give-up",
      hint: "To read mbox files in a zip of another program, unpack it and name the folder as mbox:DIR.",
    });
  if (entry.size > SMALL_MANIFEST && entry.size > entry.packedSize * MANIFEST_RATIO)
    throw damagedZip(zip.path, `${MANIFEST_NAME} unpacks to ${entry.size} bytes, far more than it can be`);
  return readManifest(zip.read(MANIFEST_NAME, "account"), `${zip.path}: ${MANIFEST_NAME}`, "whole", onBad);
}

/** The header, and the folder lines, which stand before all others in a zip: cheap, whatever the zip holds. */
export async function manifestHead(zip: Zip): Promise<{ header: HeaderRecord; folders: ManifestLine[] }> {
  let header: HeaderRecord | undefined;
  const folders: ManifestLine[] = [];
  for await (const line of manifestOf(zip)) {
    if (line.record.type === "header") header = line.record;
    else if (line.record.type !== "folder") break;
    else if (folders.push(line) > MAX_FOLDERS) throw tooManyFolders(zip.path);
  }
  if (header === undefined) throw damagedZip(zip.path, `${MANIFEST_NAME} has no header`);
  return { header, folders };
}

/** Refuses a zip that belongs elsewhere. */
export function demandSame(file: ZipFileName, header: HeaderRecord, archive: string): void {
  if (header.archive === archive && header.zip === file.number) return;
  const what = header.archive === archive ? `is number ${header.zip} by its manifest` : "belongs to another archive";
  throw new MailError("malformed", `${file.path} ${what}`, {
    scope: "account",
    remedy: "give-up",
    hint: "Move it elsewhere, or put it back where it was written.",
  });
}

/** Open zips, shared: reading the directory of one with thousands of entries is not done again for each of them. */
export interface ZipPool extends AsyncDisposable {
  /** The zip with this number. Give it back with `release`, once, also when this fails. Scope message in its errors. */
  take(number: number): Promise<Zip>;
  release(number: number): Promise<void>;
}

/** `fileOf` gives the path of the zip with a number, or undefined when there is none. */
export function zipPool(fileOf: (number: number) => string | undefined): ZipPool {
  // In the order of their last use.
  const pool = new Map<number, { readonly opened: Promise<Zip>; users: number }>();
  const open = async (number: number): Promise<Zip> => {
    const path = fileOf(number);
    if (path !== undefined) return await openZip(path);
    throw new MailError("not-found", `the archive has no zip with the number ${number}`, {
      scope: "message",
      remedy: "give-up",
    });
  };
  const close = async (opened: Promise<Zip>): Promise<void> => {
    await (await opened.catch(() => undefined))?.[Symbol.asyncDispose]();
  };
  return {
    take(number) {
      const pooled = pool.get(number) ?? { opened: open(number), users: 0 };
      pool.delete(number);
      pool.set(number, pooled);
      pooled.users++;
      return pooled.opened;
    },
    async release(number) {
      const pooled = pool.get(number);
      if (pooled === undefined) return;
      pooled.users--;
      // One that cannot be opened is tried again by the next.
      if (pooled.users === 0) pooled.opened.catch(() => pool.delete(number));
      for (const [other, { opened, users }] of pool) {
        if (pool.size <= OPEN_ZIPS) break;
        if (users > 0) continue;
        pool.delete(other);
        await close(opened);
      }
    },
    async [Symbol.asyncDispose]() {
      const all = [...pool.values()];
      pool.clear();
      for (const { opened } of all) await close(opened);
    },
  };
}

export interface ZipShelf extends AsyncDisposable {
  /** All octets of a message's place, from its From_ line to its blank line. Scope message in its errors. */
  stored(place: Place, signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

interface Shelved {
  readonly zip: number;
  readonly reader: Promise<RangeReader>;
  /** Calls that use it now: it must not be closed under them. */
  users: number;
}

/** Readers of entries that go on where they were; `keep` of them stay open unused. */
export function zipShelf(pool: ZipPool, keep = OPEN_READERS): ZipShelf {
  // In the order of their last use.
  const shelf = new Map<string, Shelved>();
  const open = async ({ zip, entry }: Place): Promise<RangeReader> => rangeReader(await pool.take(zip), entry);
  const close = async ({ zip, reader }: Shelved): Promise<void> => {
    await (await reader.catch(() => undefined))?.close();
    await pool.release(zip);
  };
  return {
    async *stored(place, signal) {
      const name = `${place.zip}/${place.entry}`;
      const shelved = shelf.get(name) ?? { zip: place.zip, reader: open(place), users: 0 };
      // Told to whoever awaits it below; until then nobody does.
      shelved.reader.catch(() => undefined);
      shelf.delete(name);
      shelf.set(name, shelved);
      shelved.users++;
      try {
        for (const [other, old] of shelf) {
          if (shelf.size <= keep) break;
          if (old.users > 0) continue;
          shelf.delete(other);
          await close(old);
        }
        yield* (await shelved.reader).read(place.offset, place.length, signal);
      } catch (error) {
        // A zip that could not be opened is tried again by the next call.
        const opened = await shelved.reader.catch(() => undefined);
        if (opened === undefined && shelf.get(name) === shelved) {
          shelf.delete(name);
          await pool.release(place.zip);
        }
        throw error;
      } finally {
        shelved.users--;
      }
    },
    async [Symbol.asyncDispose]() {
      const all = [...shelf.values()];
      shelf.clear();
      for (const shelved of all) await close(shelved);
    },
  };
}
