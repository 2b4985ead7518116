// What is at a target before anything is written there: nothing, an archive to go on with, a finished file, or something else.

import { randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "../../core/files.ts";
import { acquireLock } from "../../core/lock.ts";
import { configError, errno, ioError, MailError } from "../../mail/errors.ts";
import { ARCHIVE_HOME, readArchiveId } from "../archive.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { looksSealed } from "../zip/seal.ts";
import { type BadZip, sortZips } from "./bad-zips.ts";
import { checkZip } from "./check-zip.ts";
import { isSingleFile, listZips, partDirectory, quarantineBeside, type ZipFileName } from "./layout.ts";
import { repacked, repackedIn, tallyOf } from "./shape.ts";
import { spoolHeader } from "./spool.ts";
import { manifestOf } from "./zips.ts";

/** What a finished FILE.zip says of itself. */
interface SealedFile {
  readonly messages: number;
  /** Messages that failed, and are not in it. */
  readonly failed: number;
  /** Epoch seconds: not before it was finished. A copy of the file may look younger, and then waits longer. */
  readonly since: number;
}

export interface FoundArchive {
  /** The archive's id; of a new one, the id that it will get. */
  readonly id: string;
  /** FILE.zip, when this is to be a single file. */
  readonly single?: string;
  /** Holds `mailferry/`: the archive's directory, or FILE.zip.part.d. */
  readonly root: string;
  readonly home: string;
  /** FILE.zip is there already, by this very job. */
  readonly sealed?: SealedFile;
  /** Of an archive that grows; also those that are bad. */
  readonly zips: readonly ZipFileName[];
  readonly bad?: readonly BadZip[];
  /** What was found damaged only where it had to be read. */
  readonly damaged?: string[];
}

const LOCK_FILE = "writer.lock";
/** Where openArchive keeps the id. */
const ARCHIVE_FILE = "archive.json";

/** The lock that the sink holds while it writes. The run's own lock lies beside it. */
export function writerLock(home: string): string {
  return join(home, LOCK_FILE);
}

/** The spool of a zip number. */
export function spoolDirectory(home: string, name: string): string {
  return join(home, "spool", name);
}

/** `readsAll`: every octet of each zip is looked at. Throws MailError config for what is not ours or another job's, malformed for a zip that cannot be read. */
export async function findArchive(
  path: string,
  job: string,
  signal: AbortSignal,
  readsAll = false,
): Promise<FoundArchive> {
  return isSingleFile(path) ? findFile(path, job, signal) : findDirectory(path, readsAll, signal);
}

async function findFile(file: string, job: string, signal: AbortSignal): Promise<FoundArchive> {
  const root = partDirectory(file);
  const home = join(root, ARCHIVE_HOME);
  const kind = await kindOf(file);
  if (kind === "directory")
    throw configError(`${file} is a directory`, 'Name a file that ends in ".zip", or a directory whose name does not.');
  if (kind === "file") {
    const { id, damaged, ...sealed } = await finished(file, job, signal);
    const left = await readArchiveId(root).catch(() => "unreadable");
    if (left === id) await finishCleaning(file, home, signal);
    else if (left === undefined) await removeEmpty(root);
    return { id, single: file, root, home, sealed, zips: [], damaged };
  }
  if ((await kindOf(dirname(file))) !== "directory")
    throw configError(`there is no directory ${dirname(file)}`, "Make it first, or choose another place.");
  const known = await readArchiveId(root, "mboxzip");
  if (known === undefined) await demandEmpty(root);
  const begun = await spoolHeader(spoolDirectory(home, "0001"));
  if (begun !== undefined && begun.job !== job)
    throw configError(
      `${root} holds the unfinished work of another command`,
      `Run that command again to finish it, remove ${root} to give it up, or choose another name.`,
    );
  return { id: known ?? randomUUID(), single: file, root, home, zips: [] };
}

async function findDirectory(root: string, readsAll: boolean, signal: AbortSignal): Promise<FoundArchive> {
  const home = join(root, ARCHIVE_HOME);
  if ((await kindOf(root)) === "file")
    throw configError(`${root} is a file, not a directory`, "Choose another place, or a name that ends in .zip.");
  const known = await readArchiveId(root, "mboxzip");
  const zips = await listZips(root);
  const look = async (_: Zip, { path }: ZipFileName): Promise<void> => {
    const problems: string[] = [];
    await checkZip(path, tmpdir(), signal, (text) => problems.push(text));
    const [problem] = problems;
    if (problem !== undefined) throw new MailError("malformed", problem, { scope: "account", remedy: "give-up" });
  };
  const damaged: string[] = [];
  const glance = readsAll ? look : await repackedIn(home, signal, (why) => damaged.push(why));
  // Where `mailferry/` was lost they say themselves whose they are.
  const { id, bad } = await sortZips(zips, known, glance);
  if (id !== undefined) return { id, root, home, zips, bad, damaged };
  const [first] = bad;
  if (first !== undefined)
    throw new MailError("malformed", first.why, {
      scope: "account",
      remedy: "give-up",
      hint: "Move it elsewhere, or name another place.",
    });
  await demandEmpty(root);
  return { id: randomUUID(), root, home, zips };
}

async function finished(
  file: string,
  job: string,
  signal: AbortSignal,
): Promise<SealedFile & { id: string; damaged: string[] }> {
  const other = "Choose another name, or a directory (mboxzip:DIR) for an archive that grows.";
  let opened: Awaited<ReturnType<typeof openZip>>;
  try {
    opened = await openZip(file);
  } catch (error) {
    if (error instanceof MailError && error.code === "malformed")
      throw configError(`${file} exists and is not a whole zip`, other, error);
    throw error;
  }
  await using zip = opened;
  let id: string | undefined;
  let messages = 0;
  let failed = 0;
  let since = Math.floor((await stat(file)).mtimeMs / 1000);
  const tally = tallyOf(zip);
  try {
    for await (const { record } of manifestOf(zip)) {
      signal.throwIfAborted();
      if (record.type === "message") {
        messages++;
        tally.take(record.entry, record.offset + record.length);
      }
      if (record.type !== "header") continue;
      if (record.job !== job)
        throw configError(
          `${file} exists and was written by another command (another source, or other options)`,
          other,
        );
      id = record.archive;
      failed = record.failed ?? 0;
      since = Math.max(since, Math.floor(Date.parse(record.created) / 1000) || 0);
    }
  } catch (error) {
    if (error instanceof MailError && error.code === "malformed")
      throw configError(`${file} exists and is no archive that is whole: ${error.message}`, other, error);
    throw error;
  }
  if (id === undefined) throw configError(`${file} exists and is no archive of mailferry`, other);
  const lack = tally.lack();
  const damaged = lack === undefined && looksSealed(zip.comment) ? [] : [repacked(zip, lack)];
  return { id, damaged, messages, failed, since };
}

/** What a crash between the last rename and the end left behind. Another process that is at it is let be. */
async function finishCleaning(file: string, home: string, signal: AbortSignal): Promise<void> {
  let lock: AsyncDisposable;
  try {
    lock = await acquireLock(writerLock(home), basename(file), { signal });
  } catch (error) {
    if (error instanceof MailError && error.code === "locked") return;
    throw error;
  }
  await clearParts(file, home, lock);
}

/**
 * Removes FILE.zip.part.d once FILE.zip is there; what is in quarantine stays, beside it. The archive's id goes last of the files:
 * killed before, the rest is still known to be of this FILE.zip; killed after, only empty directories are left.
 */
export async function clearParts(file: string, home: string, lock: AsyncDisposable): Promise<void> {
  const root = partDirectory(file);
  try {
    await rescueQuarantine(file, home);
    for (const name of await namesIn(home))
      if (name !== ARCHIVE_FILE && name !== LOCK_FILE) await rm(join(home, name), { recursive: true, force: true });
    for (const name of await namesIn(root))
      if (name !== ARCHIVE_HOME) await rm(join(root, name), { recursive: true, force: true });
    await lock[Symbol.asyncDispose]();
    await rm(join(home, ARCHIVE_FILE), { force: true });
    await removeEmpty(root);
    await syncDirectory(dirname(file));
  } catch (error) {
    throw ioError(`cannot remove ${root}`, error);
  }
}

/** Removes a tree of directories as far as they hold no file. */
async function removeEmpty(directory: string): Promise<void> {
  // A link is not followed: what it leads to is not ours.
  const stats = await lstat(directory).catch(() => undefined);
  if (stats?.isDirectory() !== true) return;
  for (const name of await namesIn(directory)) await removeEmpty(join(directory, name));
  await rmdir(directory).catch(() => undefined);
}

/** Empty for what is not there, or is no directory. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}

/** Moves what is in quarantine to FILE.zip.quarantine. Harmless when called again. */
export async function rescueQuarantine(file: string, home: string): Promise<void> {
  await moveInto(join(home, "quarantine"), quarantineBeside(file));
}

/** Moves the files of one tree into another, and overwrites none there. */
async function moveInto(from: string, to: string): Promise<void> {
  const names = await namesIn(from);
  if (names.length > 0) await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of names) {
    const source = join(from, name);
    if ((await lstat(source)).isDirectory()) {
      await moveInto(source, join(to, name));
      continue;
    }
    let target = join(to, name);
    for (let turn = 2; (await kindOf(target)) !== "none"; turn++) target = join(to, `${turn}-${name}`);
    await rename(source, target);
  }
  if (names.length > 0) await syncDirectory(to);
  await rmdir(from).catch(() => undefined);
}

async function demandEmpty(directory: string): Promise<void> {
  // `mailferry/` alone: a run that was killed while it made the archive.
  const foreign = (await namesIn(directory)).find((name) => name !== ARCHIVE_HOME);
  if (foreign === undefined) return;
  throw configError(
    `${directory} exists, is not empty (${JSON.stringify(foreign)}) and is no mboxzip archive`,
    "Choose another place, or an empty directory.",
  );
}

async function kindOf(path: string): Promise<"none" | "file" | "directory"> {
  try {
    return (await stat(path)).isDirectory() ? "directory" : "file";
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return "none";
    throw ioError(`cannot look at ${path}`, error);
  }
}
