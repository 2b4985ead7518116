// Files that survive a power cut: private directories, fsync, atomic replacement.

import { randomUUID } from "node:crypto";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ioError } from "./errors.ts";

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;

/**
 * Makes a directory and its parents, readable by their owner alone. Returns true when it was not there. Throws MailError config
 * (not permitted), quota or io.
 */
export async function ensureDirectory(path: string): Promise<boolean> {
  try {
    return (await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY })) !== undefined;
  } catch (error) {
    throw ioError(`cannot make the folder ${path}`, error);
  }
}

/** Makes the names in a directory durable: a rename or a new file counts only after this. Throws MailError like ensureDirectory. */
export async function syncDirectory(path: string): Promise<void> {
  try {
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

/**
 * Writes the whole file or leaves the old one: temporary file, fsync, rename, fsync of the directory. Throws MailError like
 * ensureDirectory.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${randomUUID()}.part`);
  try {
    const handle = await open(temporary, "wx", PRIVATE_FILE);
    try {
      await handle.writeFile(data);
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
