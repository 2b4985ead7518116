// A Maildir as a source: our own archives, any Maildir++, and nested trees of Maildirs.

import { realpath, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { syncDirectory } from "../core/files.ts";
import { mapOrdered } from "../core/pool.ts";
import { ARCHIVE_HOME, readArchiveId } from "../formats/archive.ts";
import { type Disk, insteadOf, openDisk } from "../formats/disk/disk.ts";
import { shellWord } from "../formats/disk/foreign.ts";
import { type DiskFolder, unreadable } from "../formats/disk/tree.ts";
import { messageContent, smallContent } from "../formats/maildir/content.ts";
import { hasLostTime, hasOtherTime, type RecordedDates, recoveredDate } from "../formats/maildir/dates.ts";
import { countFolder, type FileInfo, folderId, type MailFolder, openMailFolder } from "../formats/maildir/folder.ts";
import { FOLDER_MAP, readFolderMap } from "../formats/maildir/folder-map.ts";
import { pathOfDirectory } from "../formats/maildir/folder-name.ts";
import { type Listing, listFolder, nameIn, type OnOdd, PLACES } from "../formats/maildir/listing.ts";
import { locatorOf } from "../formats/maildir/locate.ts";
import { isMozillaFile, mozillaState, mozillaTraits, withoutMozillaFields } from "../formats/maildir/mozilla.ts";
import { announcedSize, parseFileName, parseOwn } from "../formats/maildir/names.ts";
import { type BytePath, fsPath, showBytes, toBytes } from "../formats/maildir/paths.ts";
import { readSubscriptions } from "../formats/maildir/subscriptions.ts";
import { expungedText } from "../formats/mbox/withheld.ts";
import { configError, errno, ioError, isAbort, MailError } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import { type LeftOut, LeftOuts } from "../mail/left-out.ts";
import { type Entry, type Folder, type FolderPath, type Origin, showPath, type Traits } from "../mail/model.ts";
import type { Incoming, ReadOptions, Source } from "./source.ts";

/** Unique names are for ever, so a folder that no mailferry made has one generation. */
const FOREIGN_GENERATION = "maildir";
const SESSIONS = 4;
/** Messages that are read before they are asked for, and how large they may be: 8 MiB in memory at the most. */
const READ_AHEAD = 32;
const READ_AHEAD_SIZE = 256 * 1024;
/** Files deleted between two fsyncs of their directory. */
const REMOVE_BATCH = 256;

interface Place {
  readonly path: FolderPath;
  /** Undefined for a folder that only holds folders. */
  readonly directory?: BytePath;
  readonly folder: Omit<Folder, "messages" | "bytes">;
}

export interface MaildirSourceOptions {
  readonly path: string;
  /** What the ledgers in an archive's `mailferry/` say of its dates: asked where files of ours lost their time. */
  readonly recordedDates?: (home: string) => Promise<RecordedDates>;
  /** Told what is uncertain, once a reading. */
  readonly onNotice?: (text: string) => void;
  /** Whoever reads asks for what its program deleted and has not compacted away; it is told as that. */
  readonly withExpunged?: boolean;
  /** What lies in it, where another source reads the mboxes; then it may hold no Maildir at all. */
  readonly disk?: Disk;
}

/**
 * Opens a Maildir for reading (and deleting). Nothing is written. Throws MailError config when there is no Maildir at `path`, or
 * an archive of another kind.
 */
export async function openMaildirSource(options: MaildirSourceOptions, signal: AbortSignal): Promise<Source> {
  const root = resolve(options.path);
  const info = await stat(root).catch((error: unknown) => {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR")
      throw configError(`there is no Maildir at ${root}`, "Check the path.");
    throw ioError(`cannot open ${root}`, error);
  });
  if (!info.isDirectory()) throw configError(`${root} is a file, not a Maildir`, "Use mbox: for an mbox file.");
  const id = await readArchiveId(root, "maildir");
  const disk = options.disk ?? openDisk(root, { style: "maildir", isOwn: id !== undefined });
  if (options.disk === undefined && id === undefined) {
    const { folders, leftOut } = await disk.list({}, signal);
    const { text, hint } = insteadOf(leftOut);
    if (!folders.some(({ kind }) => kind === "maildir"))
      throw configError(`${root} is no Maildir: it holds no folder with cur and new in it${text}`, hint);
  }
  signal.throwIfAborted();
  const home = join(root, ARCHIVE_HOME);
  if (id === undefined && folderId(toBytes(root)) !== undefined)
    options.onNotice?.(
      `${home} is gone, which says what was stored there: whether mail is missing is not known, and labels, further keywords, and true names of folders that it held are not read`,
    );
  const leftOut = new LeftOuts();
  const reader = {};
  let known: Promise<Map<string, Place>> | undefined;
  const places = (stop = signal): Promise<Map<string, Place>> => {
    known ??= disk.list(reader, stop).then(({ folders }) => {
      if (options.disk === undefined) leftOut.set("", [...disk.leftOut, ...folders.flatMap(otherKind)]);
      return findPlaces(root, home, folders);
    });
    return known;
  };

  let dates: Promise<RecordedDates> | undefined;
  const recorded = async (): Promise<RecordedDates | undefined> => {
    if (id !== undefined) dates ??= options.recordedDates?.(home);
    return dates;
  };
  const directoryOf = async (path: FolderPath): Promise<BytePath> => {
    const place = (await places()).get(JSON.stringify(path));
    if (place?.directory !== undefined) return place.directory;
    throw new MailError("not-found", `${root} has no folder ${path.join("/")}`, { scope: "folder", remedy: "give-up" });
  };
  const open = async (directory: BytePath): Promise<{ generation: string; folder: MailFolder }> => {
    const generation = folderId(directory);
    const traits = generation === undefined ? undefined : toBytes(traitsFile(home, generation));
    return { generation: generation ?? FOREIGN_GENERATION, folder: await openMailFolder(directory, traits) };
  };

  return {
    kind: "maildir",
    identity: `maildir:${id ?? (await realpath(root))}`,
    limits: { sessions: SESSIONS },
    ...(id === undefined ? {} : { home }),
    // Labels are only in what we wrote ourselves.
    tells: { ...FULL_FIDELITY, labels: id !== undefined },
    leftOut: () => leftOut.all(),
    async *folders(stop) {
      known = undefined;
      const unlisted: LeftOut[] = [];
      for (const { directory, folder } of (await places(stop)).values()) {
        stop.throwIfAborted();
        if (directory === undefined) {
          yield folder;
          continue;
        }
        try {
          yield { ...folder, ...(await countFolder(directory)) };
        } catch (error) {
          if (errno(error) === undefined) throw error;
          unlisted.push(unreadable(directory, folder.path, error));
        }
      }
      leftOut.set("unlisted", unlisted);
    },
    async *slices(folder) {
      if (folder.selectable) yield { folder };
    },
    async *read({ folder: { path } }, read) {
      const directory = await directoryOf(path);
      const { generation, folder } = await open(directory);
      const odd: LeftOut[] = [];
      const asked = { ...read, recorded, onNotice: options.onNotice, withExpunged: options.withExpunged };
      yield* readFolder(path, generation, folder, asked, (name, why) =>
        odd.push({ name, why, folder: path, isTree: true, ...ODD }),
      );
      leftOut.set(directory, odd);
    },
    async *remove(origins, stop) {
      yield* removeFiles(origins, stop, directoryOf);
    },
    wireSize({ origin, size }) {
      const { base } = parseFileName(nameIn(origin.id));
      const wire = /,W=(\d{1,15})(?=,|$)/.exec(base);
      // What another program's name says is not trusted; where a file of ours has another size than its name, it is damaged.
      if (wire === null || parseOwn(base) === undefined) return undefined;
      return announcedSize(base) === size ? Number(wire[1]) : size;
    },
    async [Symbol.asyncDispose]() {},
  } satisfies Source;
}

const ODD = {
  hint: "Make a Maildir of it (a folder with cur, new and tmp) beside the others, or take it away.",
} as const;

/** What nobody reads when this source is opened by itself. */
function otherKind({ kind, place, path }: DiskFolder): readonly LeftOut[] {
  if (kind !== "mbox") return [];
  const name = showBytes(place);
  return [{ name, why: "it is an mbox", hint: `Give it by itself: ${shellWord(`mbox:${name}`)}`, folder: path }];
}

/** Where the traits of a folder lie that its file names cannot hold. The id is checked where it is read. */
function traitsFile(home: string, id: string): string {
  return join(home, "traits", `${id}.jsonl`);
}

/** Every folder under the path that it is known by; no two share one. */
async function findPlaces(root: string, home: string, folders: readonly DiskFolder[]): Promise<Map<string, Place>> {
  const [notes, subscribed] = await Promise.all([readFolderMap(join(home, FOLDER_MAP)), readSubscriptions(root)]);
  const found = new Map<string, Place>();
  const add = (wanted: FolderPath, name: BytePath, directory?: BytePath): void => {
    const note = notes.get(name);
    let path = note?.path ?? wanted;
    for (let n = 2; found.has(JSON.stringify(path)); n++) path = [...wanted.slice(0, -1), `${wanted.at(-1)} (${n})`];
    const use = name === "" ? "inbox" : note?.use;
    const folder: Place["folder"] = {
      path,
      selectable: directory !== undefined,
      name: name === "" ? "INBOX" : showBytes(name),
      ...(use === undefined ? {} : { use }),
      ...(subscribed === undefined ? {} : { subscribed: subscribed.has(name) }),
    };
    found.set(JSON.stringify(path), { path, folder, ...(directory === undefined ? {} : { directory }) });
  };
  const there = new Set<string>();
  for (const { path, name, place, kind } of folders) {
    if (kind !== "maildir") continue;
    there.add(name);
    add(path, name, place);
  }
  for (const { selectable, path, directory } of notes.values())
    if (!selectable && directory !== "" && !there.has(directory)) add(path ?? pathOfDirectory(directory), directory);
  return found;
}

async function* readFolder(
  path: FolderPath,
  generation: string,
  folder: MailFolder,
  { want, listed, signal, recorded, onNotice, withExpunged }: ReadOptions & Dating,
  onOdd: OnOdd,
): AsyncGenerator<Incoming> {
  const listing = await listFolder(folder.directory, onOdd).catch((error: unknown) => {
    // This folder alone.
    const { code, message, details } = ioError(`cannot list ${showBytes(folder.directory)}`, error);
    throw new MailError(code, message, { ...details, scope: "folder" });
  });
  const entryOf = async (i: number, info: FileInfo): Promise<Entry> => {
    const entry: Entry = {
      origin: { folder: path, generation, id: idOf(listing, i) },
      traits: await datedTraits(folder, info, recorded),
      size: sizeOf(info),
    };
    return isMozillaFile(info.base) ? await ofMozilla(folder, info, entry) : entry;
  };
  let undated = 0;
  let expunged = 0;

  // Only numbers are kept of what is wanted: 20 octets a message.
  const wanted = { index: new Uint32Array(64), size: new Float64Array(64), time: new Float64Array(64), count: 0 };
  const files = async function* (): AsyncGenerator<string> {
    for (let i = 0; i < listing.count; i++) yield listing.file(i);
  };
  let next = 0;
  for await (const info of folder.infos(files())) {
    const i = next++;
    if (signal.aborted) return;
    // Gone between the listing and now: it was never offered.
    if (info === undefined) continue;
    const entry = await entryOf(i, info);
    if (entry.isExpunged === true) expunged++;
    if (!(await want(entry))) continue;
    if (wanted.count === wanted.index.length) {
      wanted.index = grown(wanted.index, Uint32Array);
      wanted.size = grown(wanted.size, Float64Array);
      wanted.time = grown(wanted.time, Float64Array);
    }
    wanted.index[wanted.count] = i;
    wanted.size[wanted.count] = info.size;
    wanted.time[wanted.count++] = info.mtimeMs;
  }
  listed?.();
  const take = async (n: number): Promise<Incoming> => {
    const i = wanted.index[n] ?? 0;
    const file = listing.file(i);
    const { base } = parseFileName(nameIn(file));
    const info = { file, base, size: wanted.size[n] ?? 0, mtimeMs: wanted.time[n] ?? 0 };
    const early = info.size <= READ_AHEAD_SIZE ? await smallContent(`${folder.directory}/${file}`, base) : undefined;
    const asStored = early?.content ?? contentOf(folder, file, base, signal);
    const content = isMozillaFile(base)
      ? withoutMozillaFields(asStored, showBytes(`${folder.directory}/${file}`))
      : asStored;
    const entry = await entryOf(i, info);
    if (hasOtherTime(base, info.mtimeMs)) undated++;
    // What is in a compressed file takes more room than the file.
    const size = isMozillaFile(base) ? entry.size : Math.max(entry.size ?? 0, early?.size ?? 0);
    return { entry: size === undefined || size === entry.size ? entry : { ...entry, size }, content };
  };
  const numbers = async function* (): AsyncGenerator<number> {
    for (let n = 0; n < wanted.count && !signal.aborted; n++) yield n;
  };
  for await (const incoming of mapOrdered(numbers(), READ_AHEAD, take)) {
    if (signal.aborted) return;
    yield incoming;
  }
  if (expunged > 0) onNotice?.(`${showPath(path)}: ${expungedText(expunged, withExpunged)}`);
  if (undated > 0) onNotice?.(timesLost(path, undated));
}

async function ofMozilla(folder: MailFolder, { file, base }: FileInfo, entry: Entry): Promise<Entry> {
  const state = await mozillaState(`${folder.directory}/${file}`, base);
  if (state === undefined) return entry;
  const traits = mozillaTraits(entry.traits, state);
  // Without the fields: what comes is the message alone, and not short of anything.
  const size = entry.size === undefined ? {} : { size: entry.size - state.octets };
  return { ...entry, traits, ...size, ...(state.isExpunged === true ? { isExpunged: true } : {}) };
}

interface Dating {
  readonly recorded: () => Promise<RecordedDates | undefined>;
  readonly onNotice: ((text: string) => void) | undefined;
  readonly withExpunged: boolean | undefined;
}

async function datedTraits(folder: MailFolder, info: FileInfo, recorded: Dating["recorded"]): Promise<Traits> {
  const traits = await folder.traits(info);
  const isOfFile = traits.received?.epochSeconds === Math.floor(info.mtimeMs / 1000);
  if (!isOfFile || !hasLostTime(info.base, info.mtimeMs)) return traits;
  const ledger = parseOwn(info.base) === undefined ? undefined : await recorded();
  const { received: _, ...rest } = traits;
  const received = await recoveredDate(folder.directory, info, ledger);
  return received === undefined ? rest : { ...rest, received };
}

function timesLost(path: FolderPath, messages: number): string {
  const files = messages === 1 ? "the file of 1 message has" : `the files of ${messages} messages have`;
  return `${showPath(path)}: ${files} the time of a copy (made without times, by a sync or by git); the dates are taken from names, ledger or Received. Other mail programs show the time of the copy`;
}

function grown<A extends Uint32Array | Float64Array>(old: A, type: new (length: number) => A): A {
  const larger = new type(old.length * 2);
  larger.set(old);
  return larger;
}

/** Compressed, the file is smaller than its message, whose size stands in the name; of ours only what lies on the disk is believed. */
function sizeOf({ base, size }: FileInfo): number {
  return parseOwn(base) === undefined ? Math.max(size, announcedSize(base) ?? 0) : size;
}

/** The base name; for one of several files with the same base name (copied by hand) the whole name, with its place. */
function idOf(listing: Listing, i: number): string {
  const file = listing.file(i);
  return listing.isTwin(i) ? file : parseFileName(nameIn(file)).base;
}

async function* contentOf(
  folder: MailFolder,
  file: string,
  base: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const begin = async (name: string): Promise<{ rest: AsyncGenerator<Uint8Array>; first: Uint8Array | undefined }> => {
    const rest = messageContent(`${folder.directory}/${name}`, base);
    const first = await rest.next();
    return { rest, first: first.done === true ? undefined : first.value };
  };
  const name = showBytes(`${folder.directory}/${file}`);
  let begun: Awaited<ReturnType<typeof begin>> | undefined;
  try {
    begun = await begin(file).catch((error: unknown) => {
      if (errno(error) === "ENOENT") return folder.locator.with(base, begin);
      throw error;
    });
  } catch (error) {
    throw ofMessage(error, name);
  }
  if (begun === undefined) throw new MailError("not-found", `${name} is gone`, { scope: "message", remedy: "give-up" });
  try {
    if (begun.first !== undefined) yield begun.first;
    for await (const chunk of begun.rest) {
      signal.throwIfAborted();
      yield chunk;
    }
  } catch (error) {
    throw ofMessage(error, name);
  } finally {
    await begun.rest.return(undefined);
  }
}

/** One file that cannot be read (a bad sector, its permissions) is no reason to leave the others. */
function ofMessage(error: unknown, name: string): unknown {
  if (isAbort(error)) return error;
  const failure = ioError(`cannot read ${name}`, error);
  return new MailError(failure.code === "config" ? "io" : failure.code, failure.message, {
    ...failure.details,
    scope: "message",
    remedy: "give-up",
  });
}

async function* removeFiles(
  origins: AsyncIterable<Origin>,
  signal: AbortSignal,
  directoryOf: (path: FolderPath) => Promise<BytePath>,
): AsyncGenerator<Origin> {
  let remove: ((batch: readonly Origin[]) => Promise<readonly Origin[]>) | undefined;
  let batch: Origin[] = [];
  for await (const origin of origins) {
    if (signal.aborted) break;
    remove ??= await remover(await directoryOf(origin.folder));
    batch.push(origin);
    if (batch.length < REMOVE_BATCH) continue;
    yield* await remove(batch);
    batch = [];
  }
  if (remove !== undefined && batch.length > 0) yield* await remove(batch);
}

/** Deletes durably and gives back what is certainly gone. */
async function remover(directory: BytePath): Promise<(batch: readonly Origin[]) => Promise<readonly Origin[]>> {
  const generation = folderId(directory) ?? FOREIGN_GENERATION;
  const listing = await listFolder(directory);
  const locator = locatorOf(directory);
  const touched = new Set<string>(PLACES);
  const drop = async (file: string): Promise<true> => {
    await unlink(fsPath(`${directory}/${file}`));
    touched.add(file.slice(0, file.lastIndexOf("/")));
    return true;
  };
  const isGone = async ({ id, generation: old }: Origin): Promise<boolean> => {
    const [, name = id] = /^(?:cur|new)\/(?:[^/]+\/)?([^/]*)$/s.exec(id) ?? [];
    // A folder that was made anew holds other messages; and a name leads nowhere else.
    if (old !== generation || /[\x00/]/.test(name) || /(?:^|\/)\.\.?(?:\/|$)/.test(id)) return false;
    try {
      if (name !== id) return await drop(id);
      // Of two files with one base name nobody can say which is meant.
      if (listing.hasTwin(id)) return false;
      await locator.with(id, drop);
      return true;
    } catch (error) {
      if (errno(error) === "ENOENT") return false;
      throw ioError(`cannot delete from ${showBytes(directory)}`, error);
    }
  };
  return async (batch) => {
    const gone: Origin[] = [];
    for (const origin of batch) if (await isGone(origin)) gone.push(origin);
    for (const place of touched) await syncDirectory(showBytes(`${directory}/${place}`)).catch(ignoreMissing);
    return gone;
  };
}

function ignoreMissing(error: unknown): void {
  if (errno(error) !== "ENOENT") throw ioError("cannot make a deletion durable", error);
}
