// What still holds of a damaged zip goes into the next one, and the damaged file aside: only what is broken has to come from the source.

import { createHash } from "node:crypto";
import { rename } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../core/files.ts";
import { stage } from "../../mail/body.ts";
import { ioError, MailError } from "../../mail/errors.ts";
import type { ManifestLine, MessageRecord } from "../manifest.ts";
import { asideName } from "../mend.ts";
import { openZip } from "../zip/read.ts";
import { whyBad } from "./bad-zips.ts";
import { openCatalogue, pathKey } from "./catalogue.ts";
import type { Committer } from "./commit.ts";
import { messageAt } from "./content.ts";
import type { ZipFileName } from "./layout.ts";
import { isRebuilt, linesOf } from "./rebuild.ts";
import { placeOf } from "./ref.ts";
import type { Spool } from "./spool.ts";
import type { ZipShelf } from "./zips.ts";

export interface Salvage {
  /** All zips of the archive that can be opened, in their order: later ones say how the traits are now. */
  readonly zips: readonly ZipFileName[];
  readonly bad: ReadonlySet<number>;
  /** Of these, what ordinary runs did not go on with: they fetched again what the source had of it, under whatever name it has now. */
  readonly lesser: ReadonlySet<number>;
  readonly shelf: ZipShelf;
  readonly spool: Spool;
  readonly commits: Committer;
  readonly temporary: string;
}

/** Durable when it resolves: the bad zips have another name then. Killed before, it is begun again, and copies nothing twice. */
export async function salvage(all: Salvage, signal: AbortSignal): Promise<void> {
  const { zips, bad, lesser, shelf, spool, commits, temporary } = all;
  await using catalogue = await openCatalogue(temporary);
  for (const { number, path } of zips) await catalogue.absorb(number, readable(number, path, signal), 0);
  const spooled = new Set<string>();
  for await (const { record } of spool.read(0)) if (record.type === "message") spooled.add(nameOf(record));
  for (const folder of catalogue.folders()) {
    const there = new Set(spooled);
    /** The zips of whole copies by content key: what was rebuilt may have lost the form of its line ends. */
    const later = new Map<string, number[]>();
    // What a run that was killed had carried over may be in a zip by now, or an ordinary one has fetched it again.
    for await (const { zip, record } of catalogue.messages(folder.record.path)) {
      if (bad.has(zip)) continue;
      there.add(nameOf(record));
      later.set(record.key, [...(later.get(record.key) ?? []), zip]);
    }
    const isFetchedAgain = (record: MessageRecord, zip: number): boolean => {
      const copies = later.get(record.key) ?? [];
      const at = isRebuilt(record) || lesser.has(zip) ? copies.findIndex((number) => number > zip) : -1;
      return copies.splice(at, at === -1 ? 0 : 1).length > 0;
    };
    for await (const { zip, record, traits } of catalogue.messages(folder.record.path)) {
      signal.throwIfAborted();
      if (!bad.has(zip) || there.has(nameOf(record)) || isFetchedAgain(record, zip)) continue;
      const place = placeOf(zip, record);
      const entry = { origin: record.origin, traits, size: record.size };
      try {
        await using body = await stage(messageAt(shelf.stored(place, signal), place), temporary);
        if (body.shape.size !== record.size || (await sha256(body.open())) !== record.sha256) continue;
        const { entry: _, ...about } = folder.record;
        await commits.append(spool.folder(about), { entry, traits, body }, signal);
      } catch (error) {
        // That one message cannot be had.
        if (!(error instanceof MailError) || (error.code !== "malformed" && error.code !== "not-found")) throw error;
      }
    }
  }
  // What a bad zip said of the messages in others.
  for (const { number, path } of zips)
    if (bad.has(number))
      for await (const { record } of readable(number, path, signal))
        if (record.type === "update") await commits.update(record, signal);
}

/** Gives the new name. Durable when it resolves. */
export async function setZipAside({ path }: ZipFileName): Promise<string> {
  try {
    const aside = asideName(path);
    await rename(path, aside);
    await syncDirectory(dirname(path));
    return aside;
  } catch (error) {
    throw ioError(`cannot move ${path} aside`, error);
  }
}

function nameOf({ folder, origin, sha256 }: MessageRecord): string {
  return JSON.stringify([pathKey(folder), origin.generation, origin.id, sha256]);
}

/** The lines as far as they can be read, and what can be made of the mboxes without them. */
async function* readable(number: number, path: string, signal: AbortSignal): AsyncGenerator<ManifestLine> {
  try {
    await using zip = await openZip(path);
    yield* linesOf(zip, number, signal, () => undefined);
  } catch (error) {
    whyBad(error);
  }
}

async function sha256(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of content) hash.update(chunk);
  return hash.digest("hex");
}
