// One Maildir folder on disk: made durably, told from a later one of the same name, and opened with all that describes its mail.

import { randomUUID } from "node:crypto";
import { closeSync } from "node:fs";
import { lstat, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { ensureDirectory, replaceFile, syncDirectory } from "../../core/files.ts";
import { isObstacle, openOwnNow, readOwnNow } from "../../core/own-file.ts";
import { mapOrdered } from "../../core/pool.ts";
import { errno, ioError } from "../../mail/errors.ts";
import type { Traits } from "../../mail/model.ts";
import { clearTheWay } from "../mend.ts";
import { type Keywords, keywordsOf } from "./keywords.ts";
import { messageFiles, nameIn } from "./listing.ts";
import { type Locator, locatorOf } from "./locate.ts";
import { announcedSize, ownHost, parseFileName, parseOwn } from "./names.ts";
import { type BytePath, fsPath, showBytes, toBytes } from "./paths.ts";
import { openSidecar, type Sidecar } from "./sidecar.ts";
import { traitsOfFile } from "./traits.ts";

/** Holds a random id that is made with the folder: a folder that was deleted and made again has another. */
const ID_FILE = "mailferry-folder";
/** Octets; it has forty. */
const MOST = 4096;
const ID = /^[0-9a-f-]{36}$/;
/** File statuses asked for at once: the thread pool has four, a few more keep it busy. */
const STATS_AT_ONCE = 32;

/**
 * The folder's id; undefined where it has none (another program made it), or is not there. At once: over thousands of folders a
 * turn through the thread pool for each costs more than the reading.
 */
export function folderId(directory: BytePath): string | undefined {
  const file = `${directory}/${ID_FILE}`;
  try {
    const id = readOwnNow(fsPath(file), MOST).toString("latin1").trim();
    return ID.test(id) ? id : undefined;
  } catch (error) {
    if (isObstacle(error) || errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw ioError(`cannot read ${showBytes(file)}`, error);
  }
}

/**
 * Makes what is missing of a folder, durably, and gives its id; harmless when called again. `isRoot`: no `maildirfolder` file,
 * which is only for those below (Maildir++). `created`: there was no Maildir here before; `fresh`: nor anything else of ours.
 */
export async function makeFolder(
  path: string,
  isRoot: boolean,
): Promise<{ readonly id: string; readonly created: boolean; readonly fresh: boolean }> {
  try {
    const made: boolean[] = [];
    for (const name of ["tmp", "new", "cur"]) made.push(await ensureDirectory(join(path, name)));
    if (!isRoot) await mark(join(path, "maildirfolder"));
    const known = folderId(toBytes(path));
    // V8 keeps a fresh one as the twenty pieces that it was put together from.
    const id = known ?? Buffer.from(randomUUID()).toString("latin1");
    if (known === undefined) {
      await clearTheWay(join(path, ID_FILE));
      await replaceFile(join(path, ID_FILE), `${id}\n`);
    } else if (made.includes(true)) await syncDirectory(path);
    if (made.includes(true)) await syncDirectory(join(path, ".."));
    const created = made[1] === true && made[2] === true;
    return { id, created, fresh: created && known === undefined };
  } catch (error) {
    throw ioError(`cannot make the folder ${path}`, error);
  }
}

async function mark(path: string): Promise<void> {
  try {
    closeSync(openOwnNow(path, "a"));
  } catch (error) {
    if (!(await clearTheWay(path))) throw error;
    closeSync(openOwnNow(path, "a"));
  }
}

export interface FileInfo {
  /** "cur/name". */
  readonly file: string;
  readonly base: string;
  /** Octets on disk. */
  readonly size: number;
  readonly mtimeMs: number;
}

export interface MailFolder {
  readonly directory: BytePath;
  readonly keywords: Keywords;
  readonly sidecar: Sidecar;
  readonly locator: Locator;
  /** Undefined when the file is gone. */
  info(file: string): Promise<FileInfo | undefined>;
  /** One that was renamed meanwhile is looked for. */
  infos(files: AsyncIterable<string>): AsyncIterable<FileInfo | undefined>;
  traits(info: Pick<FileInfo, "file" | "mtimeMs">): Promise<Traits>;
}

/**
 * Opens a folder. `traitsFile`: where its sidecar lies, or will. `fresh`: just made, so that there is nothing to read yet. Nothing
 * is made, and no file stays open.
 */
export async function openMailFolder(
  directory: BytePath,
  traitsFile: BytePath | undefined,
  fresh = false,
): Promise<MailFolder> {
  const table = keywordsOf(directory, fresh);
  if (!fresh) await table.load();
  const sidecar = await openSidecar(traitsFile, fresh);
  const keywords = traitsFile === undefined ? table : noted(table, sidecar);
  const locator = locatorOf(directory);
  const stores = { keywords, sidecar };

  const look = async (file: string): Promise<FileInfo> => {
    const { size, mtimeMs } = await lstat(fsPath(`${directory}/${file}`));
    return { file, base: parseFileName(nameIn(file)).base, size, mtimeMs };
  };
  const info = async (file: string): Promise<FileInfo | undefined> => {
    try {
      return await look(file);
    } catch (error) {
      if (errno(error) !== "ENOENT") throw ioError(`cannot look at ${showBytes(`${directory}/${file}`)}`, error);
      return await locator.with(parseFileName(nameIn(file)).base, look);
    }
  };
  return {
    directory,
    keywords,
    sidecar,
    locator,
    info,
    infos: (files) => mapOrdered(files, STATS_AT_ONCE, info),
    traits: ({ file, mtimeMs }) => traitsOfFile(nameIn(file), mtimeMs, stores),
  };
}

/** Under which name the sidecar has a letter's keyword; no message's name holds a colon. */
export const LETTER_MARK = ":";

/**
 * dovecot-keywords belongs to the mail server and has no checksum: which letters we had given away is noted beside it, so that
 * damage to it can be seen.
 */
function noted(table: Keywords, sidecar: Sidecar): Keywords {
  const known = new Set<string>();
  return {
    ...table,
    async ensure(wanted) {
      const names = [...wanted];
      await table.ensure(names);
      const fresh: Parameters<Sidecar["put"]>[0][number][] = [];
      for (const name of names) {
        const letter = table.letterOf(name);
        if (letter === undefined || known.has(letter)) continue;
        known.add(letter);
        const base = `${LETTER_MARK}${letter}`;
        const keyword = table.nameOf(letter) ?? name;
        if ((await sidecar.get(base))?.keywords[0] !== keyword)
          fresh.push({ base, extra: { keywords: [keyword], labels: [] } });
      }
      await sidecar.put(fresh);
    },
  };
}

/** How many messages a folder holds and their octets on disk; sizes are taken from the names where those tell them. */
export async function countFolder(directory: BytePath): Promise<{ messages: number; bytes: number }> {
  let messages = 0;
  let bytes = 0;
  const unknown = async function* (): AsyncGenerator<string> {
    for await (const file of messageFiles(directory)) {
      messages++;
      const size = announcedSize(parseFileName(nameIn(file)).base);
      if (size === undefined) yield file;
      else bytes += size;
    }
  };
  const sizeOf = (file: string): Promise<number> =>
    lstat(fsPath(`${directory}/${file}`)).then(
      ({ size }) => size,
      () => 0,
    );
  for await (const size of mapOrdered(unknown(), STATS_AT_ONCE, sizeOf)) bytes += size;
  return { messages, bytes };
}

/** Removes what runs of ours that are dead left in tmp; another program's files there are its own affair. */
export async function sweepTmp(path: string): Promise<void> {
  const tmp = join(path, "tmp");
  const names = await readdir(tmp).catch(() => []);
  for (const name of names) {
    const own = parseOwn(name);
    if (own === undefined || own.host !== ownHost() || own.pid === process.pid || isRunning(own.pid)) continue;
    await unlink(join(tmp, name)).catch(() => undefined);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errno(error) !== "ESRCH";
  }
}
