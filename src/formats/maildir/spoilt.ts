// Files among the mail of an archive that are not, or not any more, the messages that were stored: found, and moved out of the way.

import { lstat, readdir, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { ensureDirectory, syncDirectory } from "../../core/files.ts";
import { errno, ioError, isAbort } from "../../mail/errors.ts";
import { type ContentKey, keyOf, wireSize } from "../../mail/key.ts";
import { messageContent } from "./content.ts";
import type { MailFolder } from "./folder.ts";
import { PLACES } from "./listing.ts";
import { announcedWireSize, parseOwn } from "./names.ts";
import { type BytePath, fsPath, listedPath, showBytes, toBytes } from "./paths.ts";

/** Whether the file ("cur/name") still has the bytes of the key. What cannot be read has not. ENOENT is thrown as it is. */
export async function isWhole(
  { directory }: MailFolder,
  file: string,
  base: string,
  key: ContentKey,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  try {
    const found = await keyOf(messageContent(`${directory}/${file}`, base));
    // The key does not see a last line end that became another.
    const announced = parseOwn(base) === undefined ? undefined : announcedWireSize(base);
    return found.key === key && (announced ?? wireSize(found.shape)) === wireSize(found.shape);
  } catch (error) {
    if (isAbort(error) || errno(error) === "ENOENT") throw error;
    return false;
  }
}

/** Gives the new path. Durable when it resolves. */
export async function moveOut(directory: BytePath, file: string, to: string): Promise<string> {
  try {
    await ensureDirectory(to);
    let target = join(to, showBytes(basename(file)));
    for (let turn = 2; await isThere(target); turn++) target = join(to, `${turn}-${showBytes(basename(file))}`);
    await rename(fsPath(`${directory}/${file}`), fsPath(toBytes(target)));
    await syncDirectory(to);
    await syncDirectory(showBytes(`${directory}/${file.slice(0, 3)}`));
    return target;
  } catch (error) {
    if (errno(error) === "ENOENT") throw error;
    throw ioError(`cannot move ${showBytes(file)} aside`, error);
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** Entries of cur and new that are neither files nor folders. */
export async function noFiles(directory: BytePath): Promise<string[]> {
  const found: string[] = [];
  for (const place of PLACES)
    for (const entry of await readdir(listedPath(`${directory}/${place}`), {
      withFileTypes: true,
      encoding: "latin1",
    }).catch(() => []))
      if (!entry.isFile() && !entry.isDirectory()) found.push(`${place}/${entry.name}`);
  return found;
}
