// `mailferry/inventory.jsonl`: how large each of an archive's own small files was and what it held, so that what is cut or gone is known to be.

import { closeSync, readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { replaceFile } from "../core/files.ts";
import { frame, type ReadAt, scanLines, unframe } from "../core/lines.ts";
import { openOwn, openOwnNow } from "../core/own-file.ts";
import { errno, ioError } from "../mail/errors.ts";

const FILE = "inventory.jsonl";
const VERSION = 1;
const LF = 10;
/** Taken once a process: a buffer a file would keep the garbage collector busy. */
const CHUNK = 1 << 18;
let room: Buffer | undefined;
/** The first two lines of a journal hold names of endpoints and a folder; this is far more than they can need. */
const HEAD_LIMIT = 1 << 18;
const COUNTER = /^\{"runs":"(\d{12})"\}$/;
/** Octets of a line beside its text. */
const FRAME = frame("").length;
const COUNTER_LENGTH = frame('{"runs":"000000000000"}').length;
/** A file with more stale lines than this, a live one, is written anew. */
const STALE = 4;
const SMALL = 64;

/** What a file held when a run ended: its first `size` octets, whole lines. */
export interface Stated {
  readonly size: number;
  /** CRC-32 of them, but for a journal's second line, which is written over in place. */
  readonly sum: number;
  /** What that line says: the number of the last run that began. What a later one did to the file is not known here. */
  readonly runs?: number;
}

export interface Inventory {
  /** The archive's id. */
  readonly archive: string | undefined;
  /** By their path below `mailferry/`. */
  readonly files: Map<string, Stated>;
  /** Counts what runs added to it. */
  readonly batch: number;
  /** Every line can be read. */
  readonly isWhole: boolean;
  readonly lines: number;
  /** Octets up to the end of the last run's lines; what follows was being written when one died. */
  readonly size: number;
}

/** Far above what the first line has. */
const OWNER_LINE = 512;
const STRAYS = "strays/";
const ZIPS = "zips/";

/** Under which name it says how many messages in a folder are in no ledger although they have names of ours: no file, a number. */
export function strayName(generation: string): string {
  return STRAYS + generation;
}

/** Under which name it says how the zip with a number was (formats/mboxzip/shape.ts); the zip lies beside `mailferry/`. */
export function zipStateName(number: number): string {
  return ZIPS + number;
}

/** What is stated under a name that is no file below `mailferry/`. */
export function isNoFile(name: string): boolean {
  return name.startsWith(STRAYS) || name.startsWith(ZIPS);
}

export function isZipState(name: string): boolean {
  return name.startsWith(ZIPS);
}

export function inventoryFile(home: string): string {
  return join(home, FILE);
}

/** The identity of the archive, from the first line alone; undefined where that cannot be read. */
export async function inventoryOwner(home: string): Promise<string | undefined> {
  try {
    const handle = await openOwn(inventoryFile(home));
    try {
      const head = Buffer.alloc(OWNER_LINE);
      const { bytesRead } = await handle.read(head, 0, head.length, 0);
      const text = unframe(head.subarray(0, Math.max(0, head.subarray(0, bytesRead).indexOf(LF))));
      const line = text === undefined ? undefined : decode(text);
      return line !== undefined && "archive" in line ? line.archive : undefined;
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

/** Undefined where there is none. Throws MailError malformed where something else lies there, io where it cannot be read. */
export async function readInventory(home: string): Promise<Inventory | undefined> {
  const path = inventoryFile(home);
  let handle: FileHandle;
  try {
    handle = await openOwn(path);
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
  const files = new Map<string, Stated>();
  let archive: string | undefined;
  let batch = 0;
  let isWhole = true;
  let lines = 0;
  let size = 0;
  let pending: [string, Stated | undefined][] = [];
  try {
    for await (const scanned of scanLines(readerOf(handle), 0))
      for (const { text, torn, offset } of scanned) {
        lines++;
        const line = text === undefined ? undefined : decode(text);
        if (line === undefined) {
          isWhole &&= torn;
          continue;
        }
        if ("archive" in line) archive = line.archive;
        else if ("file" in line) pending.push([line.file, line.stated]);
        else {
          for (const [file, stated] of pending)
            if (stated === undefined) files.delete(file);
            else files.set(file, stated);
          // A line is missing without a trace.
          if (line.files !== files.size) isWhole = false;
          pending = [];
          batch = line.batch;
          size = offset + (text?.length ?? 0) + FRAME;
        }
      }
  } catch (error) {
    throw ioError(`cannot read ${path}`, error);
  } finally {
    await handle.close();
  }
  return { archive, files, batch, isWhole: isWhole && archive !== undefined, lines, size };
}

type Line =
  | { readonly archive: string }
  | { readonly file: string; readonly stated: Stated | undefined }
  | { readonly batch: number; readonly files: number };

function decode(text: string): Line | undefined {
  try {
    const { v, a, f, s, c, n, e, m } = JSON.parse(text) as Record<string, unknown>;
    if (typeof a === "string" && v === VERSION) return { archive: a };
    if (isWhole(e) && isWhole(m)) return { batch: e, files: m };
    if (typeof f !== "string") return undefined;
    if (s === undefined) return { file: f, stated: undefined };
    if (isWhole(s) && isWhole(c)) return { file: f, stated: { size: s, sum: c, ...(isWhole(n) ? { runs: n } : {}) } };
  } catch {
    // No line of ours.
  }
  return undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A line for each file between two others, in pieces: with thousands of folders their strings would be most of what a run holds. */
function encoded(head: string, files: ReadonlyMap<string, Stated | undefined>, end: string): Buffer[] {
  const pieces: Buffer[] = [];
  let text = head;
  for (const [file, stated] of files) {
    text += lineOf(file, stated);
    if (text.length < CHUNK) continue;
    pieces.push(Buffer.from(text));
    text = "";
  }
  pieces.push(Buffer.from(text + end));
  return pieces;
}

function lineOf(file: string, stated: Stated | undefined): string {
  if (stated === undefined) return frame(JSON.stringify({ f: file }));
  return frame(JSON.stringify({ f: file, s: stated.size, c: stated.sum, n: stated.runs }));
}

/**
 * Durable when it resolves; gives the number of what was added. `changes`: undefined for a file that is not missed any more. `before`
 * undefined: everything is written anew. No number up to `atLeast` is given again.
 */
export async function addToInventory(
  home: string,
  archive: string,
  before: Inventory | undefined,
  changes: ReadonlyMap<string, Stated | undefined>,
  atLeast = 0,
): Promise<number> {
  const files = new Map(before?.files);
  for (const [file, stated] of changes)
    if (stated === undefined) files.delete(file);
    else files.set(file, stated);
  const batch = Math.max(before?.batch ?? 0, atLeast) + 1;
  const end = frame(JSON.stringify({ e: batch, m: files.size }));
  const path = inventoryFile(home);
  const isStale = before !== undefined && before.lines > SMALL + STALE * (files.size + 2);
  try {
    if (before !== undefined && !isStale) {
      const handle = await openOwn(path, "r+");
      try {
        await handle.truncate(before.size);
        let position = before.size;
        for (const piece of encoded("", changes, end))
          for (let at = 0; at < piece.length; ) {
            const { bytesWritten } = await handle.write(piece, at, piece.length - at, position);
            at += bytesWritten;
            position += bytesWritten;
          }
        await handle.datasync();
      } finally {
        await handle.close();
      }
      return batch;
    }
    await replaceFile(path, encoded(frame(JSON.stringify({ v: VERSION, a: archive })), files, end));
    return batch;
  } catch (error) {
    throw ioError(`cannot write ${path}`, error);
  }
}

/**
 * What a file holds now, up to the end of its last whole line, or `upTo` some length; undefined where it is gone. `known`: its beginning is
 * not read again. Throws as `openOwn`.
 */
export async function stateOf(
  path: string,
  options: { readonly known?: Stated | undefined; readonly upTo?: number } = {},
): Promise<Stated | undefined> {
  let fd: number;
  try {
    fd = openOwnNow(path);
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
  try {
    return stateIn(fd, options);
  } catch (error) {
    throw ioError(`cannot read ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

/** At once: nothing else uses the buffer meanwhile. */
function stateIn(
  fd: number,
  { known, upTo = Number.POSITIVE_INFINITY }: { readonly known?: Stated | undefined; readonly upTo?: number },
): Stated {
  room ??= Buffer.allocUnsafeSlow(CHUNK);
  const counter = counterIn(fd, room);
  const runs = counter === undefined ? {} : { runs: counter.runs };
  let at = known?.size ?? 0;
  let sum = known?.sum ?? 0;
  let stated: Stated = { size: at, sum, ...runs };
  while (at < upTo) {
    const skipped = counter !== undefined && at === counter.at;
    if (skipped) at += COUNTER_LENGTH;
    const until = counter !== undefined && at < counter.at ? Math.min(upTo, counter.at) : upTo;
    const bytesRead = readSync(fd, room, 0, Math.min(CHUNK, until - at), at);
    if (bytesRead === 0) {
      if (skipped) stated = { size: at, sum, ...runs };
      break;
    }
    const bytes = room.subarray(0, bytesRead);
    const end = bytes.lastIndexOf(LF) + 1;
    if (end > 0) stated = { size: at + end, sum: crc32(bytes.subarray(0, end), sum), ...runs };
    sum = crc32(bytes, sum);
    at += bytesRead;
  }
  return stated;
}

/** The line of a journal that is written over in place: where it stands, and what it says. */
function counterIn(fd: number, head: Buffer): { at: number; runs: number } | undefined {
  for (let length = 4096; ; length *= 8) {
    const bytesRead = readSync(fd, head, 0, Math.min(length, head.length), 0);
    const at = head.subarray(0, bytesRead).indexOf(LF) + 1;
    const isMore = bytesRead === length && length * 8 <= head.length && length < HEAD_LIMIT;
    if ((at === 0 || at + COUNTER_LENGTH > bytesRead) && isMore) continue;
    if (at === 0 || at + COUNTER_LENGTH > bytesRead) return undefined;
    const digits = COUNTER.exec(unframe(head.subarray(at, at + COUNTER_LENGTH - 1)) ?? "")?.[1];
    return digits === undefined ? undefined : { at, runs: Number(digits) };
  }
}

function readerOf(handle: FileHandle): ReadAt {
  return async (buffer, at) => (await handle.read(buffer, 0, buffer.length, at)).bytesRead;
}
