// Gives every folder path a directory of its own below one root, the same one in every run.

import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FolderPath } from "../../mail/model.ts";
import { folderId } from "./folder.ts";
import type { FolderNote } from "./folder-map.ts";
import { directoryName, isInbox, pathOfDirectory, substituteName } from "./folder-name.ts";
import { entriesOf } from "./layout.ts";
import { toBytes } from "./paths.ts";

/** Hex digits of the hash in a name that had to be shortened; more when somebody else has that name. */
const DIGITS = [8, 16, 64] as const;

export interface FolderNames {
  /** The directory of a path below the root, "" for the inbox. The same path always gets the same one. */
  directoryFor(path: FolderPath): Promise<string>;
  /** What is known of the directory, by `readFolderMap` and `learn`. */
  note(directory: string): FolderNote | undefined;
  learn(note: FolderNote): void;
  /** Says that a directory cannot be this path's after all: it is the same on disk as another path's. */
  refuse(path: FolderPath, directory: string): void;
}

/**
 * `notes`: the folder map as it was read; kept up to date by `learn`. `isLost`: some of it is gone, so that a shortened name that is there
 * without a note is likelier our own than somebody's real one. Nothing is made on disk.
 */
export function folderNames(root: string, notes: Map<string, FolderNote>, isLost = false): FolderNames {
  const directories = new Map<string, string>();
  const owners = new Map<string, string>();
  const refused = new Set<string>();
  let disk: Promise<{ folds: boolean; entries: Map<string, string> }> | undefined;
  const look = async (): Promise<{ folds: boolean; entries: Map<string, string> }> => {
    const entries = await entriesOf(toBytes(root));
    return {
      folds: await foldsCase(root),
      entries: new Map((entries ?? []).map(({ name }) => [name.toLowerCase(), name])),
    };
  };
  for (const { directory, path } of notes.values())
    if (path !== undefined) directories.set(JSON.stringify(path), directory);

  const isFree = async (directory: string, path: FolderPath, isSubstitute: boolean): Promise<boolean> => {
    const key = JSON.stringify(path);
    if (refused.has(`${key} ${directory}`)) return false;
    disk ??= look();
    const { folds, entries } = await disk;
    const owner = owners.get(folds ? directory.toLowerCase() : directory);
    if (owner !== undefined) return owner === key;
    const named = notes.get(directory)?.path;
    if (named !== undefined) return JSON.stringify(named) === key;
    const there = entries.get(directory.toLowerCase());
    if (folds && there !== undefined && there !== directory) return false;
    // A shortened name may be somebody's real one.
    return !isSubstitute || there !== directory || (isLost && folderId(toBytes(join(root, directory))) !== undefined);
  };
  const choose = async (path: FolderPath): Promise<string> => {
    if (isInbox(path)) return "";
    const plain = directoryName(path);
    if (plain !== undefined && (await isFree(plain, path, false))) return plain;
    for (const digits of DIGITS) {
      const name = substituteName(path, digits);
      if (await isFree(name, path, true)) return name;
    }
    return substituteName([...path, String(directories.size)], 64);
  };

  return {
    async directoryFor(path) {
      const key = JSON.stringify(path);
      const known = directories.get(key);
      if (known !== undefined) return known;
      const directory = await choose(path);
      // Another call for the same path may have come first while the disk was looked at.
      const first = directories.get(key);
      if (first !== undefined) return first;
      directories.set(key, directory);
      owners.set((await disk)?.folds === true ? directory.toLowerCase() : directory, key);
      return directory;
    },
    note: (directory) => notes.get(directory),
    learn(note) {
      notes.set(note.directory, note);
    },
    refuse(path, directory) {
      const key = JSON.stringify(path);
      refused.add(`${key} ${directory}`);
      directories.delete(key);
      if (owners.get(directory) === key) owners.delete(directory);
    },
  };
}

/** True when a directory's name does not give back this path, so that the map must hold it. */
export function needsPath(path: FolderPath, directory: string): boolean {
  if (directory === "") return !isInbox(path);
  const decoded = pathOfDirectory(directory);
  return decoded.length !== path.length || decoded.some((part, i) => part !== path[i]);
}

/** Whether names that differ only in case are one: asked of the root, or of the nearest parent that exists. */
async function foldsCase(root: string): Promise<boolean> {
  for (let at = root; dirname(at) !== at; at = dirname(at)) {
    const info = await stat(at).catch(() => undefined);
    if (info === undefined) continue;
    const name = basename(at);
    const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
    if (other === name) continue;
    const twin = await stat(join(dirname(at), other)).catch(() => undefined);
    return twin !== undefined && twin.ino === info.ino && twin.dev === info.dev;
  }
  return false;
}
