// What lies in a directory: a Maildir, an archive of ours, a tree of Maildirs, nothing at all, or something else.

import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { errno, ioError } from "../../mail/errors.ts";
import type { FolderPath } from "../../mail/model.ts";
import { ARCHIVE_HOME } from "../archive.ts";
import { decodePart, pathOfDirectory } from "./folder-name.ts";
import { PLACES } from "./listing.ts";
import { type BytePath, fsPath, listedPath, showBytes } from "./paths.ts";

export interface FoundFolder {
  readonly path: FolderPath;
  readonly directory: BytePath;
  /** Below the root, "" for the root itself. */
  readonly name: BytePath;
}

/** Deeper trees are links that lead round in circles, or no mail. */
const DEEPEST = 24;
/** Directories that a search looks into at the most: a whole home directory is no mail folder. */
const MOST_DIRECTORIES = 200_000;

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

/**
 * Every Maildir below (and at) a root, parents first, each under a path of its own: Maildir++ (".A.B"), nested ("A/B", as mbsync's
 * Verbatim and Dovecot's LAYOUT=fs) and mixtures of both. Links to directories are followed, but no directory is met twice.
 */
export async function* findFolders(root: BytePath): AsyncGenerator<FoundFolder> {
  const met = new Set<string>();
  let left = MOST_DIRECTORIES;

  async function* walk(
    directory: BytePath,
    name: BytePath,
    path: FolderPath,
    depth: number,
  ): AsyncGenerator<FoundFolder> {
    const info = await stat(fsPath(directory), { bigint: true }).catch(() => undefined);
    if (info === undefined || !info.isDirectory() || depth > DEEPEST || left-- <= 0) return;
    const id = `${info.dev}:${info.ino}`;
    if (met.has(id)) return;
    met.add(id);
    const entries = await entriesOf(directory).catch((error: unknown) => {
      // A directory of somebody else's beside the mail; the mail itself must be readable.
      if (depth > 0) return undefined;
      throw error;
    });
    if (entries === undefined) return;
    const isMail = entries.some((entry) => isPlace(entry.name) && !entry.isFile());
    if (isMail && (await isMaildir(directory))) yield { path: depth === 0 ? ["INBOX"] : path, directory, name };
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isFile() || isPlace(entry.name) || entry.name === "tmp") continue;
      if (depth === 0 && entry.name === ARCHIVE_HOME) continue;
      const below = `${directory}/${entry.name}`;
      const hidden = entry.name.startsWith(".");
      // Hidden directories of other programs (.git, .notmuch) are no mail folders, nor is anything in them.
      if (hidden && !(await isMaildir(below))) continue;
      const text = showBytes(entry.name);
      const here = [...path, ...(hidden ? pathOfDirectory(text) : [decodePart(text)])];
      yield* walk(below, name === "" ? entry.name : `${name}/${entry.name}`, here, depth + 1);
    }
  }
  yield* walk(root, "", [], 0);
}

function isPlace(name: string): boolean {
  return name === "cur" || name === "new";
}
