// Files that survive a power cut: private directories, fsync, atomic replacement.

import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
  type PathLike,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errno, ioError } from "./errors.ts";
import { openOwnNow } from "./own-file.ts";
import { Pace } from "./pace.ts";

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;

/** An fsync that takes longer had a disk to wait for; in memory it takes microseconds, less than a turn through the thread pool. */
const INSTANT_MS = 0.5;
const syncs = new Pace(INSTANT_MS);
const names = new Pace();

/**
 * Makes a directory and its parents, readable by their owner alone. Returns true when it was not there. Throws MailError config
 * (not permitted), quota or io.
 */
export async function ensureDirectory(path: string): Promise<boolean> {
  try {
    return names.quick ? names.run(() => makeNow(path)) : await make(path);
  } catch (error) {
    throw ioError(`cannot make the folder ${path}`, error);
  }
}

// Node's own way (`recursive`) never ends where a parent is there and says that it is not: /proc, and folders that are mounted on demand.

async function make(path: string): Promise<boolean> {
  try {
    await mkdir(path, PRIVATE_DIRECTORY);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST" && (await stat(path)).isDirectory()) return false;
    const parent = dirname(path);
    if (errno(error) !== "ENOENT" || parent === path || existsSync(parent)) throw error;
    await make(parent);
    await make(path);
    return true;
  }
}

function makeNow(path: string): boolean {
  try {
    mkdirSync(path, PRIVATE_DIRECTORY);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST" && statSync(path).isDirectory()) return false;
    const parent = dirname(path);
    if (errno(error) !== "ENOENT" || parent === path || existsSync(parent)) throw error;
    makeNow(parent);
    makeNow(path);
    return true;
  }
}

/** Makes the names in a directory durable: a rename or a new file counts only after this. Throws MailError like ensureDirectory. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    if (syncs.quick) {
      syncs.run(() => syncNow(path));
      return;
    }
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw ioError(`cannot make the folder ${path} durable`, error);
  }
}

function syncNow(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Adds to the end of a file, which is made where it is missing; durable when it resolves. Throws what the system says. */
export async function appendToFile(path: PathLike, text: string): Promise<void> {
  const fd = openOwnNow(path, "a");
  try {
    await writeDurably(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Writes to an open file where it stands; durable when it resolves. Throws what the system says. */
export async function writeDurably(fd: number, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  if (syncs.quick) {
    syncs.run(() => {
      writeNow(fd, bytes);
      fsyncSync(fd);
    });
    return;
  }
  writeNow(fd, bytes);
  await new Promise<void>((resolve, reject) => fsync(fd, (error) => (error === null ? resolve() : reject(error))));
}

/** Writes all of it, at `position` or where the file stands; not yet durable when it returns. Throws what the system says. */
export function writeNow(fd: number, bytes: Uint8Array, position?: number): void {
  for (let at = 0; at < bytes.length; )
    at += writeSync(fd, bytes, at, bytes.length - at, position === undefined ? null : position + at);
}

/**
 * Writes the whole file or leaves the old one: temporary file, fsync, rename, fsync of the directory. Throws MailError like
 * ensureDirectory.
 */
export async function replaceFile(path: string, data: string | Uint8Array | readonly Uint8Array[]): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${randomUUID()}.part`);
  if (syncs.quick) {
    syncs.run(() => replaceNow(path, temporary, data));
    await syncDirectory(directory);
    return;
  }
  try {
    const handle = await open(temporary, "wx", PRIVATE_FILE);
    try {
      // From where the last one ended.
      for (const piece of piecesOf(data)) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw ioError(`cannot write ${path}`, error);
  }
  await syncDirectory(directory);
}

function piecesOf(data: string | Uint8Array | readonly Uint8Array[]): readonly Uint8Array[] {
  if (typeof data === "string") return [Buffer.from(data)];
  return data instanceof Uint8Array ? [data] : data;
}

function replaceNow(path: string, temporary: string, data: string | Uint8Array | readonly Uint8Array[]): void {
  try {
    const fd = openSync(temporary, "wx", PRIVATE_FILE);
    try {
      for (const piece of piecesOf(data)) writeNow(fd, piece);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // What it was to clean up after is told.
    }
    throw ioError(`cannot write ${path}`, error);
  }
}
