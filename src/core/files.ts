// Files that survive a power cut: private directories, fsync, atomic replacement.

import { randomUUID } from "node:crypto";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;

/** Makes a directory and its parents, readable by their owner alone. Returns true when it was not there. */
export async function ensureDirectory(path: string): Promise<boolean> {
  return (await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY })) !== undefined;
}

/** Makes the names in a directory durable: a rename or a new file counts only after this. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes the whole file or leaves the old one: temporary file, fsync, rename, fsync of the directory. */
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
    throw error;
  }
  await syncDirectory(directory);
}
