// The mbox source: a file, or a folder of files, read in order; nothing in them is ever changed.

import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Disk, insteadOf, openDisk } from "../formats/disk/disk.ts";
import { shellWord, wayOut } from "../formats/disk/foreign.ts";
import { sniff } from "../formats/disk/sniff.ts";
import { type DiskFolder, folderName } from "../formats/disk/tree.ts";
import { showBytes, toBytes } from "../formats/maildir/paths.ts";
import { type Dialect, looksLikeMbox, type MboxMessage, notMbox, splitMbox } from "../formats/mbox/split.ts";
import { isInternalData, plainState, readState } from "../formats/mbox/state.ts";
import { type RandomAccess, Shortened } from "../formats/mbox/window.ts";
import { expungedText, partialContent } from "../formats/mbox/withheld.ts";
import { configError, errno, ioError, MailError } from "../mail/errors.ts";
import { FULL_FIDELITY } from "../mail/fidelity.ts";
import { type LeftOut, LeftOuts } from "../mail/left-out.ts";
import type { Entry, Folder, FolderPath } from "../mail/model.ts";
import { showPath } from "../mail/model.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

export interface MboxSourceOptions {
  /** A file, or a directory of them. */
  readonly path: string;
  /** How lines are quoted and messages cut (see formats/mbox/split.ts); "auto" by default. */
  readonly dialect?: Dialect;
  /** Hand on the lines that mail programs keep their state in (Status, X-Keywords, X-Mozilla-Status …) as well. */
  readonly raw?: boolean;
  /** Told what is passed over or uncertain: files that are no mbox, internal data, dates that were guessed. */
  readonly onNotice?: (text: string) => void;
  /** Whoever reads asks for what its program deleted and has not compacted away; it is told as that. */
  readonly withExpunged?: boolean;
  /** What lies in the folder, where another source reads the Maildirs; then it may hold no mbox at all. */
  readonly disk?: Disk;
}

/**
 * Part of a folder's state: of what an earlier way of reading passed without a word nobody may go on saying that nothing moved. The
 * generation goes without, so that nothing is copied again.
 */
const READING = 2;
/** Doubtful places of a file that are named. */
const NAMED_PLACES = 5;
/** Octets at each end of a file that its generation is taken from, beside size and time. */
const SAMPLE = 4096;

/**
 * Opens the source. Its origins: the generation is one state of the file (size, mtime and both ends), the id the octet at
 * which the From_ line begins. Messages that a mail program has deleted and not yet compacted come with the flag "deleted".
 * Throws MailError config when the path is not there or the single file is no mbox; listing the folders of a directory without
 * any mbox throws it too.
 */
export async function openMboxSource(options: MboxSourceOptions, signal: AbortSignal): Promise<Source> {
  const { dialect = "auto", raw = false, onNotice: notice = () => undefined } = options;
  const root = await realpath(options.path).catch((error: unknown) => {
    throw missing(options.path, error);
  });
  const status = await stat(root).catch((error: unknown) => {
    throw missing(options.path, error);
  });
  if (!status.isDirectory() && !status.isFile())
    throw configError(`${options.path} is neither a file nor a folder, so no mbox can be read from it`);
  if (status.isFile()) await mustBeMbox(root, options.path, dialect);
  signal.throwIfAborted();
  let files: Map<string, MboxFile> | undefined;
  const leftOut = new LeftOuts();
  const disk = options.disk ?? openDisk(root, { style: "mbox" });
  const reader = {};

  /** Looked for anew each time, but told once what is passed over. */
  async function find(stop: AbortSignal): Promise<Map<string, MboxFile>> {
    const single = [{ path: [folderName(basename(root))], file: Buffer.from(root) }];
    const list = status.isFile() ? single : await findAll(stop);
    files = new Map(list.map((file) => [showPath(file.path), file]));
    return files;
  }

  async function findAll(stop: AbortSignal): Promise<readonly MboxFile[]> {
    const { folders, notices } = await disk.list(reader, stop);
    const list = folders.flatMap(mboxOf);
    if (options.disk === undefined) leftOut.set("", [...disk.leftOut, ...folders.flatMap(otherKind)]);
    const { text, hint } = insteadOf(leftOut.all());
    // A folder of something else is a mistake, and what lies in it no news.
    if (list.length === 0 && options.disk === undefined)
      throw configError(
        `${options.path} holds no mbox${text}`,
        hint ?? "Name the folder that the mail is in; maildir:DIR and mboxzip:DIR read other kinds.",
      );
    if (files === undefined && folders.length > 0) notices.forEach(notice);
    return list;
  }

  async function fileOf(folder: Folder, stop: AbortSignal): Promise<Buffer> {
    const key = showPath(folder.path);
    const file = (files ?? (await find(stop))).get(key)?.file;
    if (file !== undefined) return file;
    throw new MailError("not-found", `${options.path} has no mbox for the folder ${key}`, {
      scope: "folder",
      remedy: "give-up",
    });
  }

  return {
    kind: "mbox",
    identity: `mbox:${root}`,
    limits: { sessions: 2 },
    tells: FULL_FIDELITY,
    leftOut: () => leftOut.all(),

    async *folders(stop) {
      for (const { path, file } of (await find(stop)).values()) {
        stop.throwIfAborted();
        if (file === undefined) yield { path, selectable: false };
        else yield { path, selectable: true, name: file.toString(), ...inbox(path), ...(await outside(file)) };
      }
    },

    async *slices(folder) {
      if (folder.selectable) yield { folder };
    },

    read: (slice, readOptions) => read(slice, readOptions),

    async [Symbol.asyncDispose]() {
      // Every file is closed by the read that opened it.
    },
  } satisfies Source;

  async function* read(slice: Slice, { want, signal: stop }: ReadOptions): AsyncGenerator<Incoming> {
    const { path } = slice.folder;
    const file = await fileOf(slice.folder, stop);
    const name = file.toString();
    const handle = await openFile(file, name);
    const told: Told = {
      internal: 0,
      dates: 0,
      doubtful: 0,
      places: [],
      unsure: 0,
      skipped: 0,
      expunged: 0,
      isHeadless: false,
    };
    try {
      const before = await handle.stat({ bigint: true });
      const access = accessTo(handle, Number(before.size), name);
      const generation = await generationOf(access, before);
      for await (const message of splitMbox(access, {
        dialect,
        name,
        onDamagedStart: (damage) => Object.assign(told, damage),
      })) {
        if (stop.aborted) return;
        if (message.mayHoldState && isInternalData(message.head)) {
          told.internal++;
          continue;
        }
        const state = (message.mayHoldState ? readState : plainState)(message.head, message.from);
        if (state.dateFromHeader) told.dates++;
        told.doubtful += message.doubtful;
        if (message.doubtful > 0 && told.places.length < NAMED_PLACES) told.places.push(message.doubtfulAt);
        if (message.unsure) told.unsure++;
        if (state.isExpunged === true) told.expunged++;
        const head = raw ? message.head : state.head;
        const entry: Entry = {
          origin: { folder: path, generation, id: String(message.offset) },
          traits: state.traits,
          ...(state.isExpunged === true ? { isExpunged: true } : {}),
          size: message.size - message.head.length + head.length,
        };
        const wanted = want(entry);
        if (!(typeof wanted === "boolean" ? wanted : await wanted)) continue;
        if (state.isPartial === true) {
          yield { entry, content: partialContent(name) };
          continue;
        }
        const bytes = message.bytes(head);
        yield bytes === undefined
          ? { entry, content: contentOf(message, head, name) }
          : { entry, content: once(bytes), bytes };
      }
      if (stop.aborted) return;
      await unchanged(handle, file, before, name);
      report(told, name, path);
    } catch (error) {
      throw error instanceof Shortened ? changed(name, error) : error;
    } finally {
      await handle.close();
    }
  }

  function report(told: Told, name: string, folder: FolderPath): void {
    if (told.isHeadless)
      notice(`${name}: it begins without a From_ line; its first message is taken from its first header field on`);
    if (told.expunged > 0) notice(`${name}: ${expungedText(told.expunged, options.withExpunged)}`);
    if (told.internal > 0)
      notice(`${name}: ${told.internal} message(s) with a mail program's internal data, no mail, are passed over`);
    if (told.dates > 0)
      notice(`${name}: ${told.dates} message(s) have no date in the From_ line; Received or Date was taken`);
    if (told.unsure > 0)
      notice(
        `${name}: ${told.unsure} message(s) begin at a line that may be text (no blank line before it, or no header behind it); ?dialect=blank leaves such lines where they stand`,
      );
    leftOut.set(name, lost(told, name, folder, dialect));
  }
}

interface MboxFile {
  readonly path: FolderPath;
  /** The file's name on disk; octets, as it need not be UTF-8. Absent for a folder that only holds folders. */
  readonly file?: Buffer;
}

function mboxOf({ path, kind, place }: DiskFolder): readonly MboxFile[] {
  if (kind === "maildir") return [];
  return [kind === "none" ? { path } : { path, file: Buffer.from(place, "latin1") }];
}

/** What nobody reads when this source is opened by itself. */
function otherKind({ kind, place, path }: DiskFolder): readonly LeftOut[] {
  if (kind !== "maildir") return [];
  const name = showBytes(place);
  return [{ name, why: "it is a Maildir", hint: `Give it by itself: ${shellWord(`maildir:${name}`)}`, folder: path }];
}

/** What is said of a file when it was read to its end. */
interface Told {
  internal: number;
  dates: number;
  doubtful: number;
  /** The first of them. */
  readonly places: number[];
  unsure: number;
  skipped: number;
  expunged: number;
  isHeadless: boolean;
}

/** Where mail may be missing from what was read of a file. */
function lost({ skipped, doubtful, places }: Told, name: string, folder: FolderPath, dialect: Dialect): LeftOut[] {
  const items: LeftOut[] = [];
  if (skipped > 0)
    items.push({
      name,
      folder,
      why: `its first ${skipped} octets are no beginning of an mbox, and what mail they held is not read`,
      hint: "Mend the beginning of the file: it starts with a From_ line. Or take the octets away that are no mail.",
    });
  // Who said where messages part need not be told that other lines look like it.
  if (doubtful > 0 && dialect !== "blank")
    items.push({
      name,
      folder,
      messages: doubtful,
      why: `${doubtful === 1 ? "a line looks" : `${doubtful} lines look`} like the beginning of a message and stayed in the message before ${doubtful === 1 ? "it" : "them"} (octet ${places.join(", ")}${doubtful > places.length ? ", …" : ""})`,
      hint: "mbox:FILE?dialect=every parts at such lines, mbox:FILE?dialect=blank leaves them where they stand; with either they are told no more.",
    });
  return items;
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

async function* contentOf(message: MboxMessage, head: Buffer, name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* message.content(head);
  } catch (error) {
    throw error instanceof Shortened ? changed(name, error) : error;
  }
}

function inbox(path: readonly string[]): { use?: "inbox" } {
  return path.length === 1 && path[0] === "INBOX" ? { use: "inbox" } : {};
}

/** What can be told of a file before it is read; nothing where it cannot be opened: reading it will say why. */
async function outside(file: Buffer): Promise<{ bytes?: number; state?: string }> {
  try {
    const handle = await open(file, "r");
    try {
      const status = await handle.stat({ bigint: true });
      const bytes = Number(status.size);
      return { bytes, state: `${await generationOf(accessTo(handle, bytes, file.toString()), status)}-${READING}` };
    } finally {
      await handle.close();
    }
  } catch {
    return {};
  }
}

/** One state of the file: any rewriting moves the time, and a restored time still meets other octets or another size. */
async function generationOf(file: RandomAccess, { size, mtimeNs }: BigIntStats): Promise<string> {
  const hash = createHash("sha256").update(`${size} ${mtimeNs} `);
  for (const position of [0, Math.max(0, file.size - SAMPLE)]) {
    const sample = Buffer.alloc(Math.min(SAMPLE, file.size));
    let done = 0;
    while (done < sample.length) {
      const read = await file.read(sample.subarray(done), position + done);
      if (read === 0) break;
      done += read;
    }
    hash.update(sample);
  }
  return hash.digest("hex").slice(0, 32);
}

function accessTo(handle: FileHandle, size: number, name: string): RandomAccess {
  return {
    size,
    async read(target, position) {
      try {
        return (await handle.read(target, 0, target.length, position)).bytesRead;
      } catch (error) {
        throw ioError(`cannot read ${name}`, error);
      }
    },
  };
}

async function openFile(file: Buffer, name: string): Promise<FileHandle> {
  try {
    return await open(file, "r");
  } catch (error) {
    throw openError(error, name);
  }
}

function openError(error: unknown, name: string): MailError {
  if (errno(error) === "ENOENT")
    return new MailError("not-found", `${name} is not there any more`, {
      scope: "folder",
      remedy: "retry",
      cause: error,
    });
  if (errno(error) === "EACCES" || errno(error) === "EPERM")
    return new MailError("config", `${name} may not be read`, {
      scope: "folder",
      remedy: "give-up",
      hint: "Mend its permissions, or leave the folder out.",
      cause: error,
    });
  return ioError(`cannot open ${name}`, error);
}

async function mustBeMbox(file: string, shown: string, dialect: Dialect): Promise<void> {
  const { is, form } = await sniff(toBytes(file), basename(file), true).catch((error: unknown) => {
    throw openError(error, shown);
  });
  if (form !== undefined)
    throw configError(`${shown} is ${form.one}, which is not read`, wayOut(form, dirname(shown), shown, [shown]));
  if (is === "mbox" || is === "empty" || (await beginsIf(file, shown, dialect))) return;
  // An empty file is an mbox without messages, whatever it is called.
  if ((await stat(file)).size > 0)
    throw configError(
      notMbox(shown),
      (await beginsIf(file, shown, "every"))
        ? "Its From_ lines have an unknown form: mbox:FILE?dialect=every parts at each that stands behind a blank line and before header fields."
        : "Give the mbox file itself, or the folder it is in; mboxzip:FILE.zip and maildir:DIR read other kinds.",
    );
}

/** Whether a file is an mbox if it is read so. */
async function beginsIf(file: string, shown: string, dialect: Dialect): Promise<boolean> {
  if (dialect !== "every" && dialect !== "blank") return false;
  await using handle = await open(file, "r").catch((error: unknown) => {
    throw openError(error, shown);
  });
  const { size } = await handle.stat();
  const read = async (target: Buffer, position: number): Promise<number> =>
    (await handle.read(target, 0, target.length, position)).bytesRead;
  return await looksLikeMbox({ size, read }, 1, dialect);
}

/** Fails when the open file, or the one that now has its name, is not the one whose reading began. */
async function unchanged(handle: FileHandle, file: Buffer, before: BigIntStats, name: string): Promise<void> {
  const now = await handle.stat({ bigint: true });
  if (now.size !== before.size || now.mtimeNs !== before.mtimeNs) throw changed(name, undefined);
  const named = await stat(file, { bigint: true }).catch(() => undefined);
  if (named !== undefined && (named.ino !== before.ino || named.dev !== before.dev)) throw changed(name, undefined);
}

function changed(name: string, cause: unknown): MailError {
  return new MailError("locked", `${name} was changed by another program while it was read`, {
    scope: "folder",
    remedy: "retry",
    hint: "Close the mail program that uses it, and run the same command again.",
    cause,
  });
}

function missing(path: string, error: unknown): MailError {
  if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR")
    return configError(`${path} is not there`, "Give an mbox file, or a folder that holds some.", error);
  return ioError(`cannot open ${path}`, error);
}
