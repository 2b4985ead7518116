// The zips of one archive as readers use them: opened when needed, few at a time, each checked to be of this archive.

import { MailError } from "../../mail/errors.ts";
import { type HeaderRecord, MANIFEST_NAME, type ManifestLine, readManifest } from "../manifest.ts";
import { type RangeReader, rangeReader } from "../zip/ranges.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { damagedZip } from "../zip/seal.ts";
import type { ZipFileName } from "./layout.ts";
import type { Place } from "./ref.ts";

/** Readers that stay open: each holds a file and the state of an inflater. */
const OPEN_READERS = 12;
/** Our manifests deflate to a quarter; one that grows by more than this is a bomb. */
const MANIFEST_RATIO = 200;
const SMALL_MANIFEST = 64 * 1024 * 1024;

/** The manifest of an open zip, checked line by line and by its CRC. Throws MailError malformed or config. */
export function manifestOf(zip: Zip): AsyncGenerator<ManifestLine> {
  const entry = zip.entries.get(MANIFEST_NAME);
  if (entry === undefined)
    throw new MailError("malformed", `${zip.path} has no ${MANIFEST_NAME}: it was not written by mailferry`, {
      scope: "account",
      remedy: "give-up",
      hint: "To read mbox files in a zip of another program, unpack it and name the folder as mbox:DIR.",
    });
  if (entry.size > SMALL_MANIFEST && entry.size > entry.packedSize * MANIFEST_RATIO)
    throw damagedZip(zip.path, `${MANIFEST_NAME} unpacks to ${entry.size} bytes, far more than it can be`);
  return readManifest(zip.read(MANIFEST_NAME, "account"), `${zip.path}: ${MANIFEST_NAME}`);
}

/** The header, and the folder lines, which stand before all others in a zip: cheap, whatever the zip holds. */
export async function manifestHead(zip: Zip): Promise<{ header: HeaderRecord; folders: ManifestLine[] }> {
  let header: HeaderRecord | undefined;
  const folders: ManifestLine[] = [];
  for await (const line of manifestOf(zip)) {
    if (line.record.type === "header") header = line.record;
    else if (line.record.type === "folder") folders.push(line);
    else break;
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

export interface ZipShelf extends AsyncDisposable {
  /** All octets of a message's place, from its From_ line to its blank line. Scope message in its errors. */
  stored(place: Place, signal: AbortSignal): AsyncGenerator<Uint8Array>;
}

interface Shelved {
  readonly opened: Promise<{ readonly zip: Zip; readonly reader: RangeReader }>;
  /** Calls that use it now: it must not be closed under them. */
  users: number;
}

/** `fileOf` gives the path of the zip with a number, or undefined when there is none; `keep` readers stay open unused. */
export function zipShelf(fileOf: (number: number) => string | undefined, keep = OPEN_READERS): ZipShelf {
  // In the order of their last use. A reader has its own zip: the directory is read again, but no two closings meet.
  const shelf = new Map<string, Shelved>();

  /** Counts the caller as a user at once: `users` must go down again. */
  const take = (place: Place): Shelved => {
    const name = `${place.zip}/${place.entry}`;
    const known = shelf.get(name);
    const shelved = known ?? { opened: open(place), users: 0 };
    shelf.delete(name);
    shelf.set(name, shelved);
    if (known === undefined) shelved.opened.catch(() => shelf.delete(name));
    shelved.users++;
    return shelved;
  };
  const open = async (place: Place) => {
    const path = fileOf(place.zip);
    if (path === undefined)
      throw new MailError("not-found", `the archive has no zip with the number ${place.zip}`, {
        scope: "message",
        remedy: "give-up",
      });
    const zip = await openZip(path);
    return { zip, reader: rangeReader(zip, place.entry) };
  };
  const close = async ({ opened }: Shelved): Promise<void> => {
    const open = await opened.catch(() => undefined);
    await open?.reader.close();
    await open?.zip[Symbol.asyncDispose]();
  };

  return {
    async *stored(place, signal) {
      const shelved = take(place);
      try {
        for (const [name, other] of shelf) {
          if (shelf.size <= keep) break;
          if (other.users > 0) continue;
          shelf.delete(name);
          await close(other);
        }
        const { reader } = await shelved.opened;
        yield* reader.read(place.offset, place.length, signal);
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
