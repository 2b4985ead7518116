// What lies in a directory: a Maildir, or something else. Trees of them: formats/disk/tree.ts.

import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { errno, ioError } from "../../mail/errors.ts";
import { PLACES } from "./listing.ts";
import { type BytePath, fsPath, listedPath, showBytes } from "./paths.ts";

/** True for a directory with a cur or a new in it (an unpacked archive may have lost the empty ones). */
export async function isMaildir(directory: BytePath): Promise<boolean> {
  for (const place of PLACES) if (await isDirectory(`${directory}/${place}`)) return true;
  return false;
}

async function isDirectory(path: BytePath): Promise<boolean> {
  return await stat(fsPath(path)).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

/** The entries of a directory as byte strings; undefined when there is no such directory. */
export async function entriesOf(directory: BytePath): Promise<Dirent[] | undefined> {
  try {
    return (await readdir(listedPath(directory), { withFileTypes: true, encoding: "latin1" })) as Dirent[];
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw ioError(`cannot list ${showBytes(directory)}`, error);
  }
}
