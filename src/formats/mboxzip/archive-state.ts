// An mboxzip that is being written: its finished zips, the spool of the next one, and how the one becomes the other.

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { acquireLock, type Lock } from "../../core/lock.ts";
import { configError, errno, ioError } from "../../mail/errors.ts";
import type { Message } from "../../mail/message.ts";
import type { FolderPath } from "../../mail/model.ts";
import { openArchive } from "../archive.ts";
import type { FolderRecord, UpdateRecord } from "../manifest.ts";
import { openZip } from "../zip/read.ts";
import { type Catalogue, type CatalogueMessage, mergeFolder, openCatalogue, pathKey } from "./catalogue.ts";
import { type Committer, committer } from "./commit.ts";
import { clearParts, type FoundArchive, rescueQuarantine, spoolDirectory, writerLock } from "./find.ts";
import { listZips, zipFileName } from "./layout.ts";
import { knownNumbers, writeNumbers } from "./numbers.ts";
import { packSpool } from "./pack.ts";
import { linesOf } from "./rebuild.ts";
import { formatRef, type Place, placeOf, zipNumber } from "./ref.ts";
import { salvage, setZipAside } from "./salvage.ts";
import { openSpool } from "./spool.ts";
import { demandSame, manifestHead, zipPool, zipShelf } from "./zips.ts";

export interface ArchiveState extends AsyncDisposable {
  /** Says that the archive has this folder, and how it is; written in the background, failures come out in `seal`. */
  declare(folder: Omit<FolderRecord, "entry">): { readonly created: boolean };
  append(path: FolderPath, message: Message, signal: AbortSignal): Promise<string>;
  update(record: UpdateRecord, signal: AbortSignal): Promise<void>;
  /** Where the next message will be. */
  position(): { readonly zip: number; readonly index: number };
  /** Its zip is not there. */
  lacks(place: Place): boolean;
  /** The messages of one folder, of the zips from this number on, with their traits as they are now. */
  messages(
    path: FolderPath,
    fromZip: number,
    signal: AbortSignal,
  ): AsyncGenerator<CatalogueMessage & { readonly ref: string }>;
  stored(place: Place, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Packs what is new. Harmless when called again. A FILE.zip keeps the number of messages that failed. */
  seal(signal: AbortSignal, failed?: number): Promise<void>;
}

interface Listing {
  readonly catalogue: Catalogue;
  readonly fromZip: number;
  /** How far the spool was taken in. */
  spoolEnd: number;
  index: number;
}

/** Makes what is missing, takes the lock, and repairs what a crash left. Throws MailError locked, malformed, config, io, quota. */
export async function openArchiveState(
  found: FoundArchive,
  job: string,
  store: boolean,
  signal: AbortSignal,
  salvages = false,
): Promise<ArchiveState> {
  const { id, home } = await openArchive(found.root, "mboxzip", found.id);
  if (id !== found.id) throw configError(`${found.root} was made by another run just now`, "Run the command again.");
  const lock = await acquireLock(writerLock(home), `the archive ${found.single ?? found.root}`, { signal });
  try {
    return await openLocked(found, job, store, home, lock, salvages ? signal : undefined);
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

async function openLocked(
  found: FoundArchive,
  job: string,
  store: boolean,
  home: string,
  lock: Lock,
  salvaging: AbortSignal | undefined,
): Promise<ArchiveState> {
  const { id } = found;
  // Looked at again: what was found may be of a time when another run held the lock.
  const zips = found.single === undefined ? await listZips(found.root) : [];
  if (found.single !== undefined && (await isThere(found.single)))
    throw configError(`${found.single} was finished by another run just now`, "Run the command again.");
  const files = new Map(zips.map(({ number, path }) => [number, path]));
  const last = zips.at(-1)?.number ?? 0;
  const numbers = found.single === undefined ? await knownNumbers(home) : { highest: 0, forgiven: [] };
  const number = await nextNumber(home, last, numbers.highest);
  const spoolPath = spoolDirectory(home, zipNumber(number));
  const created = new Date();
  created.setMilliseconds(0);
  const known = new Map<string, FolderRecord>();
  const bad = new Set(found.bad?.map(({ path }) => path));
  for (const file of zips) {
    // The others are gone on with; that it cannot be read was said.
    if (bad.has(file.path)) {
      files.delete(file.number);
      continue;
    }
    await using zip = await openZip(file.path);
    const { header, folders } = await manifestHead(zip);
    demandSame(file, header, id);
    for (const { record } of folders)
      if (record.type === "folder")
        known.set(pathKey(record.path), mergeFolder(known.get(pathKey(record.path)), record));
  }
  await removeLeftovers(home, last);
  const header = { type: "header", archive: id, job, created: created.toISOString(), zip: number } as const;
  const spool = await openSpool(spoolPath, header);
  const temporary = join(home, "tmp");
  const commits: Committer = committer(spool, lock.hold);
  const pool = zipPool((wanted) => files.get(wanted));
  const shelf = zipShelf(pool);
  if (salvaging !== undefined && bad.size > 0) {
    const broken = zips.filter(({ path }) => bad.has(path));
    const all = new Map(zips.map(({ number, path }) => [number, path]));
    await using everything = zipPool((wanted) => all.get(wanted));
    await using read = zipShelf(everything);
    const numbers = new Set(broken.map((file) => file.number));
    const lesser = new Set(found.bad?.flatMap(({ number, isLesser }) => (isLesser === true ? [number] : [])));
    await salvage({ zips, bad: numbers, lesser, shelf: read, spool, commits, temporary }, salvaging);
    for (const file of broken) await setZipAside(file);
  }
  for (const [key, { record }] of spool.folders) known.set(key, mergeFolder(known.get(key), record));
  let listing: Listing | undefined;
  const retired: Catalogue[] = [];
  let turn: Promise<unknown> = Promise.resolve();
  let background: unknown;
  let sealed = false;
  let disposed = false;

  /** The catalogue from a zip on, with everything that the spool holds by now; one caller at a time brings it up to date. */
  const listed = (fromZip: number, signal: AbortSignal): Promise<Catalogue> => {
    const result = turn.then(async () => {
      if (listing === undefined || listing.fromZip > fromZip) {
        if (listing !== undefined) retired.push(listing.catalogue);
        listing = undefined;
        const catalogue = await openCatalogue(temporary);
        retired.push(catalogue);
        for (const [wanted, path] of files) {
          signal.throwIfAborted();
          if (wanted < fromZip) continue;
          await using zip = await openZip(path);
          await catalogue.absorb(
            wanted,
            linesOf(zip, wanted, signal, (why) => found.damaged?.push(why)),
            0,
          );
        }
        listing = { catalogue, fromZip, spoolEnd: 0, index: 0 };
      }
      if (!sealed) {
        const end = spool.manifestEnd;
        listing.index = await listing.catalogue.absorb(number, spool.read(listing.spoolEnd), listing.index);
        listing.spoolEnd = end;
      }
      return listing.catalogue;
    });
    turn = result.catch(() => undefined);
    return result;
  };
  const seal = async (signal: AbortSignal, failed = 0): Promise<void> => {
    await commits.idle();
    if (background !== undefined) throw background;
    if (sealed) return;
    const target = found.single ?? join(found.root, zipFileName(number, created));
    if (spool.lines > 0 || found.single !== undefined) {
      const part = `${spoolPath}.zip.part`;
      const lacks = found.single === undefined || failed === 0 ? {} : { failed };
      // Before the zip has its name: whatever becomes of it, its number is not given again.
      if (found.single === undefined) await writeNumbers(home, { ...numbers, highest: number });
      await packSpool(spool, { target, part, temporary, store, ...lacks, hold: lock.hold }, signal);
      files.set(number, target);
    }
    // Killed here, or no longer the holder: the next one finds the spool of a zip that is there, and removes it.
    lock.hold(true);
    sealed = true;
    listing = undefined;
    await spool[Symbol.asyncDispose]();
    await rm(spoolPath, { recursive: true, force: true });
    if (found.single !== undefined) await rescueQuarantine(found.single, home);
  };

  return {
    declare(folder) {
      const key = pathKey(folder.path);
      const before = known.get(key);
      const now = mergeFolder(before, { ...folder, entry: before?.entry ?? "" });
      known.set(key, now);
      if (!sealed && !sameFolder(before, now)) {
        const { entry: _entry, ...record } = now;
        commits.list(spool.folder(record)).catch((error: unknown) => {
          background ??= error;
        });
      }
      return { created: before === undefined };
    },
    async append(path, message, signal) {
      if (sealed) throw configError(`${found.single ?? found.root} is sealed`);
      const { entry: _entry, ...record } = known.get(pathKey(path)) ?? {
        type: "folder" as const,
        path,
        selectable: true,
        entry: "",
      };
      return commits.append(spool.folder(record), message, signal);
    },
    async update(record, signal) {
      if (sealed) throw configError(`${found.single ?? found.root} is sealed`);
      await commits.update(record, signal);
    },
    position: () => ({ zip: number, index: spool.messages }),
    lacks: ({ zip }) => zip !== number && !files.has(zip),
    async *messages(path, fromZip, signal) {
      const catalogue = await listed(fromZip, signal);
      for await (const message of catalogue.messages(path)) {
        signal.throwIfAborted();
        yield { ...message, ref: formatRef(placeOf(message.zip, message.record)) };
      }
    },
    stored: (place, signal) =>
      place.zip === number && !sealed ? spool.stored(place, signal) : shelf.stored(place, signal),
    seal,
    async [Symbol.asyncDispose]() {
      if (disposed) return;
      disposed = true;
      await commits.idle();
      await turn;
      for (const catalogue of retired) await catalogue[Symbol.asyncDispose]();
      await shelf[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
      if (!sealed) await spool[Symbol.asyncDispose]();
      if (sealed && found.single !== undefined && isHeld(lock)) await clearParts(found.single, home, lock);
      else await lock[Symbol.asyncDispose]();
    },
  };
}

function isHeld(lock: Lock): boolean {
  try {
    lock.hold(true);
    return true;
  } catch {
    return false;
  }
}

function sameFolder(a: FolderRecord | undefined, b: FolderRecord): boolean {
  return a !== undefined && a.selectable === b.selectable && a.use === b.use && a.subscribed === b.subscribed;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** After the last zip that ever was; or the number of a spool that a dead run left, and that has no zip yet. */
async function nextNumber(home: string, last: number, highest: number): Promise<number> {
  const spools = (await spoolNames(home)).filter((name) => /^\d+$/.test(name)).map(Number);
  const left = Math.max(0, ...spools);
  return left > last ? left : Math.max(last, highest) + 1;
}

/** Spools whose zip is finished, half-written zips, and temporary files: all of dead runs, since the lock is ours. */
async function removeLeftovers(home: string, last: number): Promise<void> {
  try {
    await rm(join(home, "tmp"), { recursive: true, force: true });
    for (const name of await spoolNames(home))
      if (name.endsWith(".part") || Number(name) <= last)
        await rm(join(home, "spool", name), { recursive: true, force: true });
  } catch (error) {
    throw ioError(`cannot tidy ${home}`, error);
  }
}

async function spoolNames(home: string): Promise<string[]> {
  try {
    return await readdir(join(home, "spool"));
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw ioError(`cannot read ${home}`, error);
  }
}
