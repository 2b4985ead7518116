// Files of our own, opened as what they are: where a pipe or a device lies in the place of one, nobody waits for it or reads on for ever.

import { closeSync, constants, fstatSync, openSync, type PathLike, readSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errno, MailError } from "./errors.ts";

const { O_RDONLY, O_RDWR, O_WRONLY, O_APPEND, O_CREAT } = constants;
/** A pipe without a writer is opened at once, and told by what it is. Windows has no such flag, and no such pipes. */
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;
const FLAGS = { r: O_RDONLY, "r+": O_RDWR, a: O_WRONLY | O_APPEND | O_CREAT } as const;
const PRIVATE = 0o600;
/** Far above what any of our small files holds. */
const MOST = 64 << 20;

export type OwnMode = keyof typeof FLAGS;

/** Throws MailError malformed where something else than a file lies there; else what the system says. A link to a file is one. */
export async function openOwn(path: PathLike, mode: OwnMode = "r"): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, FLAGS[mode] | O_NONBLOCK, PRIVATE);
  } catch (error) {
    throw asObstacle(path, error);
  }
  try {
    demandFile(path, await handle.stat());
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The same at once, for files that are opened by the thousand. Gives the descriptor. */
export function openOwnNow(path: PathLike, mode: OwnMode = "r"): number {
  let fd: number;
  try {
    fd = openSync(path, FLAGS[mode] | O_NONBLOCK, PRIVATE);
  } catch (error) {
    throw asObstacle(path, error);
  }
  try {
    demandFile(path, fstatSync(fd));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The whole of a small file. Throws as `openOwn`, and MailError malformed for one that is too large to be one. */
export async function readOwn(path: PathLike, most = MOST): Promise<Buffer> {
  const handle = await openOwn(path);
  try {
    demandSmall(path, (await handle.stat()).size, most);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

export function readOwnNow(path: PathLike, most = MOST): Buffer {
  const fd = openOwnNow(path);
  try {
    const { size } = fstatSync(fd);
    demandSmall(path, size, most);
    const bytes = Buffer.alloc(size);
    let at = 0;
    for (let read = -1; read !== 0 && at < size; at += read) read = readSync(fd, bytes, at, size - at, at);
    return bytes.subarray(0, at);
  } finally {
    closeSync(fd);
  }
}

/** True for the error that says that something else than a file lies there, or nothing that could be one of ours. */
export function isObstacle(error: unknown): boolean {
  return error instanceof MailError && error.code === "malformed";
}

function demandFile(path: PathLike, stats: Stats): void {
  if (!stats.isFile()) throw obstacle(path, kindOf(stats));
}

function demandSmall(path: PathLike, size: number, most: number): void {
  if (size > most) throw obstacle(path, `a file of ${size} bytes`);
}

export function kindOf(stats: Pick<Stats, "isFIFO" | "isDirectory" | "isSocket">): string {
  if (stats.isFIFO()) return "a pipe";
  if (stats.isSocket()) return "a socket";
  return stats.isDirectory() ? "a folder" : "a device";
}

/** What opening says of what can be no file: a pipe that nobody reads, a socket, a folder that is to be written. */
function asObstacle(path: PathLike, error: unknown): unknown {
  if (errno(error) === "EISDIR") return obstacle(path, "a folder");
  if (errno(error) === "ELOOP") return obstacle(path, "a link that leads round in a circle");
  return errno(error) === "ENXIO" ? obstacle(path, "a pipe or a socket") : error;
}

function obstacle(path: PathLike, what: string): MailError {
  const name = path instanceof Uint8Array ? Buffer.from(path).toString() : String(path);
  return new MailError("malformed", `${name} is ${what}, in the place of a small file of the archive`, {
    scope: "account",
    remedy: "give-up",
    hint: "Move it away; the next run does without it.",
  });
}
