// Small files of an archive that are damaged: what holds of them is written anew, and the file as it was is kept beside.

import { type Dirent, readdirSync } from "node:fs";
import { copyFile, lstat, readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../core/files.ts";
import { frame, unframe } from "../core/lines.ts";
import { isObstacle, readOwn } from "../core/own-file.ts";
import { Pace } from "../core/pace.ts";
import { errno, ioError } from "../mail/errors.ts";

const LF = 10;
const ASIDE = ".damaged-";
const FILES: ReadonlySet<string> = new Set([
  "archive.json",
  "folders.jsonl",
  "numbers",
  "inventory.jsonl",
  "trial.json",
]);
const FOLDERS: ReadonlySet<string> = new Set(["traits", "ledger", "quarantine", "spool", "staging"]);
const pace = new Pace();

/** How a file is called that was set aside: no program of ours reads it. */
export function asideName(path: string): string {
  return `${path}${ASIDE}${new Date().toISOString().replaceAll(":", "")}`;
}

/** Makes room for a small file: a link in its place is taken away, and what else is no file goes aside. True where something was. */
export async function clearTheWay(path: string): Promise<boolean> {
  const is = await lstat(path).catch(() => undefined);
  if (is === undefined || is.isFile()) return false;
  await (is.isSymbolicLink() ? unlink(path) : rename(path, asideName(path)));
  return true;
}

/** Lines that hold are kept in their order. True where one did not. Nothing is done where there is no such file. */
export async function mendLines(path: string): Promise<boolean> {
  try {
    const bytes = await readOwn(path, Number.POSITIVE_INFINITY);
    const good: string[] = [];
    let isWhole = true;
    for (let at = 0; at < bytes.length; ) {
      const stop = bytes.indexOf(LF, at);
      const end = stop === -1 ? bytes.length : stop;
      const text = stop === -1 ? undefined : textOf(bytes.subarray(at, end));
      if (text === undefined) isWhole = false;
      else good.push(frame(text));
      at = end + 1;
    }
    if (isWhole) return false;
    await copyFile(path, asideName(path));
    await replaceFile(path, good.join(""));
    return true;
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return false;
    throw isObstacle(error) ? error : ioError(`cannot mend ${path}`, error);
  }
}

/** A line without a checksum is of a time before there was one. */
function textOf(line: Buffer): string | undefined {
  if (line[0] !== 0x7b) return unframe(line);
  try {
    return JSON.stringify(JSON.parse(line.toString("utf8")));
  } catch {
    return undefined;
  }
}

/**
 * Moves aside what lies in the place of a file or a folder of the archive and is none: a pipe, a device, a link that leads to one or
 * nowhere. Gives the paths.
 */
export async function setObstaclesAside(home: string): Promise<string[]> {
  const found: string[] = [];
  const look = async (
    directory: string,
    kindOf: (name: string) => "file" | "folder" | undefined,
  ): Promise<string[]> => {
    const folders: string[] = [];
    for (const entry of await entriesIn(directory)) {
      const path = join(directory, entry.name);
      const kind = kindOf(entry.name);
      if (kind === undefined || entry.name.includes(ASIDE)) continue;
      const is = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry;
      if (kind === "file" ? is?.isFile() !== true : is?.isDirectory() !== true) {
        await rename(path, asideName(path));
        found.push(path);
      } else if (kind === "folder") folders.push(path);
    }
    return folders;
  };
  try {
    const top = await look(home, (name) => (FOLDERS.has(name) ? "folder" : FILES.has(name) ? "file" : undefined));
    const journal = (name: string): "file" | undefined => (name.endsWith(".jsonl") ? "file" : undefined);
    if (top.includes(join(home, "traits"))) await look(join(home, "traits"), journal);
    if (top.includes(join(home, "ledger")))
      for (const pair of await look(join(home, "ledger"), () => "folder")) await look(pair, journal);
  } catch (error) {
    throw ioError(`cannot look at ${home}`, error);
  }
  return found;
}

async function entriesIn(directory: string): Promise<Dirent[]> {
  try {
    const options = { withFileTypes: true } as const;
    return pace.quick ? pace.run(() => readdirSync(directory, options)) : await readdir(directory, options);
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return [];
    throw error;
  }
}
