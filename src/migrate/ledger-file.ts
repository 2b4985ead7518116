// A journal on disk: header, run counter, checked lines; appended durably, cut where it was torn, replaced as a whole.

import { closeSync, constants, fdatasyncSync, fstatSync, readSync } from "node:fs";
import { copyFile, type FileHandle, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ensureDirectory, PRIVATE_FILE, syncDirectory, writeNow } from "../core/files.ts";
import { frame, type ScannedLine, scanLines, unframe } from "../core/lines.ts";
import type { Hold } from "../core/lock.ts";
import { isObstacle, openOwn, openOwnNow } from "../core/own-file.ts";
import { Pace } from "../core/pace.ts";
import { configError, errno, ioError } from "../mail/errors.ts";
import { type Header, JOURNAL_VERSION, OLDEST_VERSION } from "./ledger-codec.ts";

/** The header holds the names of two endpoints and a folder; this is far more than they can need. */
const HEADER_LIMIT = 1 << 18;
const LINE_GUESS = 1024;
const WRITE_CHUNK = 1 << 20;
/** A turn through the thread pool costs more than an append that takes less than this, as it does in memory; a disk takes longer. */
const INSTANT_MS = 0.2;
const pace = new Pace(INSTANT_MS);
/** Octets at both ends of a journal that hold its first and last lines, but for folders with very long names. */
const GLANCE = 4096;

/**
 * The second line: the number of the last run that began. It is written over in place, always with the same length, so that
 * a journal cut back to an older closing mark is known for what it is.
 */
function runsLine(runs: number): string {
  return frame(JSON.stringify({ runs: String(runs).padStart(12, "0") }));
}
const RUNS_LENGTH = runsLine(0).length;

/** What the ledger of a folder needs of its file; in memory for a dry run. */
export interface JournalStore {
  /** Runs begun, as the file's second line says; undefined when that line cannot be trusted. */
  readonly runs: number | undefined;
  /** It was written by an older version: it is to be replaced before anything is appended. */
  readonly isOld: boolean;
  /** Octets of whole lines. */
  readonly size: number;
  /** When the file was last written before it was opened, in milliseconds of the epoch; undefined for a new one. */
  readonly writtenAt: number | undefined;
  /** The lines from an offset (else the first record) to the end as it is now. */
  scan(from?: number): AsyncGenerator<ScannedLine[]>;
  /** The text of the line at an offset. Fails with MailError io when it cannot be read or does not hold. */
  lineAt(offset: number): Promise<string>;
  /** Appends framed lines and gives the offset of the first; durable when it resolves. `runs`: also counts a new run. */
  append(lines: string, runs: number | undefined): Promise<number>;
  /** Forgets what lies beyond: a torn last line. */
  cut(size: number): void;
  /** Puts other lines in the place of all, durably, or leaves everything as it was. */
  replace(lines: AsyncIterable<string>, runs: number): Promise<void>;
  /** Keeps a copy of a damaged file beside it and gives its path. */
  setAside(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface FileOptions {
  readonly writable: boolean;
  notice(text: string): void;
  /** A file of another job is set aside by the first write, and not refused: nothing that was copied depends on it. */
  readonly mayReplace?: boolean;
  /** Called before each write; what it throws leaves the file as it is. */
  readonly hold?: Hold;
  /** Gets the path with the first write. */
  readonly written?: Map<string, Written>;
}

/** How a journal was when it was first written to. */
export interface Written {
  /** Its length. */
  readonly from: number;
  /** All of it was written anew. */
  readonly replaced: boolean;
}

/** A journal that was begun by this run. */
const BEGUN: Written = { from: 0, replaced: false };

/** Opens the journal at a path. MailError config when it belongs to another pair, folder or version; io when it cannot be read. */
export async function openJournalFile(path: string, header: Header, options: FileOptions): Promise<JournalStore> {
  let handle: FileHandle | undefined;
  try {
    handle = await openOwn(path, options.writable ? "r+" : "r");
  } catch (error) {
    if (isObstacle(error)) {
      options.notice(`${(error as Error).message}; it is kept aside, and the target is looked at instead.`);
      return store(path, header, undefined, { start: 0, runs: undefined, size: 0 }, options, "unreadable");
    }
    if (errno(error) !== "ENOENT") throw ioError(`cannot open the ledger ${path}`, error);
    return store(path, header, undefined, { start: 0, runs: undefined, size: 0 }, options);
  }
  try {
    const { size, mtimeMs } = await handle.stat();
    const first = Buffer.alloc(Math.min(size, HEADER_LIMIT));
    await readFully(handle, first, 0);
    const end = first.indexOf(10);
    const text = end === -1 ? undefined : unframe(first.subarray(0, end));
    if (text === undefined) {
      await handle.close();
      if (size > 0)
        options.notice(
          `The ledger ${path} has no readable first line; it is kept aside, and the target is looked at instead.`,
        );
      return store(
        path,
        header,
        undefined,
        { start: 0, runs: undefined, size: 0 },
        options,
        size > 0 ? "unreadable" : "empty",
      );
    }
    if (options.mayReplace === true && isOfAnotherJob(text, header)) {
      await handle.close();
      return store(path, header, undefined, { start: 0, runs: undefined, size: 0 }, options, "unreadable");
    }
    const isOld = checkHeader(path, text, header) !== header.v;
    const start = end + 1 + RUNS_LENGTH;
    const runs = readRuns(first.subarray(end + 1, start));
    return store(path, header, handle, { start, runs, size, writtenAt: mtimeMs, isOld }, options);
  } catch (error) {
    await handle.close().catch(() => undefined);
    throw ioError(`cannot read the ledger ${path}`, error);
  }
}

function isOfAnotherJob(text: string, expected: Header): boolean {
  try {
    const { source, sink } = JSON.parse(text) as Partial<Header>;
    return source !== expected.source || sink !== expected.sink;
  } catch {
    return false;
  }
}

/** The version that the file has. */
function checkHeader(path: string, text: string, expected: Header): number {
  let found: Partial<Header>;
  try {
    found = JSON.parse(text) as Partial<Header>;
  } catch {
    found = {};
  }
  const aside = `Move ${path} away if you mean this source and this target; losing it costs a look at the target, never a duplicate.`;
  const { v } = found;
  if (typeof v !== "number" || !Number.isInteger(v) || v < OLDEST_VERSION || v > expected.v)
    throw configError(`the ledger ${path} has version ${String(v)}, this program writes ${JOURNAL_VERSION}`, aside);
  if (found.source !== expected.source || found.sink !== expected.sink || found.folder !== expected.folder)
    throw configError(
      `the ledger ${path} belongs to another source and target: ${found.source} to ${found.sink}, folder ${JSON.stringify(found.folder)}`,
      aside,
    );
  return v;
}

function readRuns(line: Buffer): number | undefined {
  if (line.length !== RUNS_LENGTH || line[RUNS_LENGTH - 1] !== 10) return undefined;
  const text = unframe(line.subarray(0, RUNS_LENGTH - 1));
  const digits = text === undefined ? undefined : /^\{"runs":"(\d{12})"\}$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * The closing mark of a journal that was closed well, without reading the rest; undefined when there is none. MailError as
 * for opening.
 */
export async function lastLine(path: string, header: Header): Promise<{ text: string; runs: number } | undefined> {
  const near = nearLastLine(path, header);
  if (near !== "look further") return near;
  const file = await openJournalFile(path, header, { writable: false, notice: () => undefined });
  try {
    const { runs, size } = file;
    return runs === undefined ? undefined : await tail(path, size, runs);
  } finally {
    await file.close();
  }
}

/**
 * The same where first and last line are short, as they are. At once: a run over thousands of folders that have not moved does
 * little else, and a turn through the thread pool costs ten times the reading.
 */
function nearLastLine(path: string, header: Header): { text: string; runs: number } | undefined | "look further" {
  let fd: number;
  try {
    fd = openOwnNow(path);
  } catch (error) {
    if (isObstacle(error) || errno(error) === "ENOENT") return undefined;
    throw ioError(`cannot open the ledger ${path}`, error);
  }
  try {
    const { size } = fstatSync(fd);
    const first = Buffer.alloc(Math.min(size, GLANCE));
    const last = size <= GLANCE ? first : Buffer.alloc(GLANCE);
    if (readSync(fd, first, 0, first.length, 0) < first.length) return "look further";
    if (last !== first && readSync(fd, last, 0, GLANCE, size - GLANCE) < GLANCE) return "look further";
    const start = first.indexOf(10) + 1;
    const text = start === 0 ? undefined : unframe(first.subarray(0, start - 1));
    if (text === undefined || start + RUNS_LENGTH > first.length) return "look further";
    checkHeader(path, text, header);
    const runs = readRuns(first.subarray(start, start + RUNS_LENGTH));
    if (runs === undefined || last[last.length - 1] !== 10) return undefined;
    const from = last.lastIndexOf(10, last.length - 2) + 1;
    if (from === 0) return "look further";
    const closing = unframe(last.subarray(from, last.length - 1));
    return closing === undefined ? undefined : { text: closing, runs };
  } catch (error) {
    throw ioError(`cannot read the ledger ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

async function tail(path: string, size: number, runs: number): Promise<{ text: string; runs: number } | undefined> {
  const handle = await openOwn(path);
  try {
    for (let length = 4096; ; length *= 8) {
      const end = Buffer.alloc(Math.min(length, size));
      await readFully(handle, end, size - end.length);
      if (end[end.length - 1] !== 10) return undefined;
      const start = end.lastIndexOf(10, end.length - 2) + 1;
      if (start === 0 && end.length < size && length < HEADER_LIMIT * 64) continue;
      const text = start === 0 ? undefined : unframe(end.subarray(start, end.length - 1));
      return text === undefined ? undefined : { text, runs };
    }
  } finally {
    await handle.close();
  }
}

function store(
  path: string,
  header: Header,
  opened: FileHandle | undefined,
  found: {
    readonly start: number;
    readonly runs: number | undefined;
    readonly size: number;
    readonly writtenAt?: number;
    readonly isOld?: boolean;
  },
  { hold = () => undefined, written }: Pick<FileOptions, "hold" | "written">,
  /** What is in the way of a new file. */
  obstacle?: "unreadable" | "empty",
): JournalStore {
  let handle = opened;
  let { start, runs, size } = found;
  let torn = false;
  let isOld = found.isOld === true;
  const head = frame(JSON.stringify(header));
  const note = (replaced: boolean): void => {
    const known = written?.get(path);
    if (known === undefined) written?.set(path, found.size === 0 && !replaced ? BEGUN : { from: found.size, replaced });
    else if (replaced && !known.replaced) written?.set(path, { ...known, replaced });
  };

  const create = async (): Promise<FileHandle> => {
    // Where the archive's disk is gone, its folders would be made anew under it.
    hold(true);
    await ensureDirectory(dirname(path));
    if (obstacle === "unreadable") await rename(path, asideName(path));
    const made = await open(path, obstacle === "empty" ? "r+" : "wx+", PRIVATE_FILE);
    handle = made;
    const bytes = Buffer.from(head + runsLine(0));
    if (pace.quick) pace.run(() => commitNow(made.fd, bytes, 0));
    else {
      await writeFully(made, bytes, 0);
      await made.datasync();
    }
    await syncDirectory(dirname(path));
    start = head.length + RUNS_LENGTH;
    size = start;
    runs = 0;
    return made;
  };
  return {
    get runs() {
      return runs;
    },
    get size() {
      return size;
    },
    get isOld() {
      return isOld;
    },
    writtenAt: found.writtenAt,
    async *scan() {
      const reader = handle;
      if (reader === undefined || size <= start) return;
      try {
        yield* scanLines(
          async (buffer, at) => (await reader.read(buffer, 0, buffer.length, at)).bytesRead,
          start,
          size,
        );
      } catch (error) {
        throw ioError(`cannot read the ledger ${path}`, error);
      }
    },
    async lineAt(offset) {
      let bytes = Buffer.alloc(0);
      let end = -1;
      for (let length = LINE_GUESS; end === -1; length *= 4) {
        const wanted = Math.min(length, size - offset);
        if (wanted <= bytes.length) break;
        bytes = Buffer.alloc(wanted);
        if (handle !== undefined) await readFully(handle, bytes, offset);
        end = bytes.indexOf(10);
      }
      const text = end === -1 ? undefined : unframe(bytes.subarray(0, end));
      if (text === undefined) throw ioError(`the ledger ${path} cannot be read`, new Error(`bad line at ${offset}`));
      return text;
    },
    async append(lines, next) {
      hold();
      note(false);
      const before = size;
      try {
        const file = handle ?? (await create());
        if (torn) {
          await file.truncate(size);
          torn = false;
        }
        const at = size;
        // The counter goes first: with it alone the journal is merely not clean.
        if (next !== undefined) await writeFully(file, Buffer.from(runsLine(next)), start - RUNS_LENGTH);
        const bytes = Buffer.from(lines, "latin1");
        if (pace.quick) pace.run(() => commitNow(file.fd, bytes, at));
        else {
          await writeFully(file, bytes, at);
          await file.datasync();
        }
        if (next !== undefined) runs = next;
        size = at + bytes.length;
        return at;
      } catch (error) {
        // What a full disk took of the batch must not stand before the next one.
        torn = handle !== undefined;
        size = Math.max(before, start);
        throw ioError(`cannot write the ledger ${path}`, error);
      }
    },
    cut(to) {
      size = Math.max(to, Math.min(start, size));
      torn = true;
    },
    async replace(lines, count) {
      await ensureDirectory(dirname(path));
      const temporary = join(dirname(path), `.${basename(path)}.part`);
      await unlink(temporary).catch(() => undefined);
      try {
        const file = await open(temporary, "wx+", PRIVATE_FILE);
        try {
          const intro = head + runsLine(count);
          let at = 0;
          let pending = intro;
          for await (const line of lines) {
            pending += line;
            if (pending.length < WRITE_CHUNK) continue;
            at += await writeFully(file, Buffer.from(pending, "latin1"), at);
            pending = "";
          }
          at += await writeFully(file, Buffer.from(pending, "latin1"), at);
          await file.sync();
          hold(true);
          note(true);
          await rename(temporary, path);
          await handle?.close();
          handle = file;
          start = intro.length;
          size = at;
          runs = count;
          torn = false;
          isOld = false;
        } catch (error) {
          if (handle !== file) await file.close().catch(() => undefined);
          throw error;
        }
        await syncDirectory(dirname(path));
      } catch (error) {
        await unlink(temporary).catch(() => undefined);
        throw ioError(`cannot write the ledger ${path}`, error);
      }
    },
    async setAside() {
      if (handle === undefined) return undefined;
      const copy = asideName(path);
      try {
        await copyFile(path, copy, constants.COPYFILE_EXCL);
      } catch (error) {
        throw ioError(`cannot keep a copy of the damaged ledger ${path}`, error);
      }
      return copy;
    },
    async close() {
      const open = handle;
      handle = undefined;
      await open?.close();
    },
  };
}

function asideName(path: string): string {
  return `${path}.damaged-${new Date().toISOString().replaceAll(":", "")}`;
}

async function readFully(handle: FileHandle, buffer: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
}

/** Durable when it returns. */
function commitNow(fd: number, bytes: Buffer, position: number): void {
  writeNow(fd, bytes, position);
  fdatasyncSync(fd);
}

async function writeFully(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesWritten } = await handle.write(buffer, done, buffer.length - done, position + done);
    done += bytesWritten;
  }
  return buffer.length;
}
