// The identity of an archive on disk: `mailferry/archive.json`, which also says what kind of archive it is.

import { randomUUID } from "node:crypto";
import { link, lstat, open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureDirectory, PRIVATE_FILE, syncDirectory } from "../core/files.ts";
import { readOwn } from "../core/own-file.ts";
import { configError, errno, ioError, MailError } from "../mail/errors.ts";
import { shellWord } from "./disk/foreign.ts";
import { inventoryOwner } from "./inventory.ts";
import { asideName } from "./mend.ts";

export type ArchiveKind = "maildir" | "mboxzip";

/** Without a leading dot: in Maildir++ a dot would make it a mail folder. */
export const ARCHIVE_HOME = "mailferry";
const FILE = "archive.json";
/** What an archive is known by, in `root`. */
export const archiveFile = (root: string): string => join(root, ARCHIVE_HOME, FILE);
/** Raised when an older mailferry could do harm by writing to what a newer one left. */
const VERSION = 1;
/** Octets; it has a hundred. */
const MOST = 1 << 16;
const OWNER = /^(maildir|mboxzip):([0-9A-Za-z][0-9A-Za-z-]{7,63})$/;
const ID = /^[0-9A-Za-z][0-9A-Za-z-]{7,63}$/;

interface ArchiveFile {
  readonly format: ArchiveKind;
  readonly id: string;
  /** The file itself is damaged or gone: the list of the archive's own files says whose it is. */
  readonly isRecovered?: true;
}

/**
 * Gives the archive's id and its `mailferry/` folder, and makes both when they are missing (folder 0700, file 0600, durable);
 * a new archive gets the id `fresh`, or a random one. Harmless when called again, also by two processes at once: both get the
 * same id. Throws MailError config when this is an archive of another kind or of a newer version, io or quota when it cannot be
 * written.
 */
export async function openArchive(
  root: string,
  kind: ArchiveKind,
  fresh: string = randomUUID(),
): Promise<{ id: string; home: string }> {
  const home = join(root, ARCHIVE_HOME);
  const known = await readArchive(root);
  if (known !== undefined) {
    demand(root, known, kind);
    if (known.isRecovered === true) await putBack(home, known);
    return { id: known.id, home };
  }
  try {
    await ensureDirectory(home);
    await create(home, `${JSON.stringify({ format: kind, version: VERSION, id: fresh })}\n`);
    await syncDirectory(root);
  } catch (error) {
    throw ioError(`cannot make an archive in ${root}`, error);
  }
  // Another process may have been faster: what lies there now counts.
  const made = await readArchive(root);
  if (made === undefined) throw configError(`${join(home, FILE)} vanished while it was being made`);
  demand(root, made, kind);
  return { id: made.id, home };
}

/**
 * The id of the archive in `root`, without writing anything; undefined when there is none. With `kind` an archive of another
 * kind is refused (MailError config).
 */
export async function readArchiveId(root: string, kind?: ArchiveKind): Promise<string | undefined> {
  const known = await readArchive(root);
  if (known !== undefined && kind !== undefined) demand(root, known, kind);
  return known?.id;
}

function demand(root: string, archive: ArchiveFile, kind: ArchiveKind): void {
  if (archive.format === kind) return;
  throw configError(
    `${root} is an archive of another kind (${archive.format}, not ${kind})`,
    `Write ${shellWord(`${archive.format}:${root}`)}, or choose another folder.`,
  );
}

async function readArchive(root: string): Promise<ArchiveFile | undefined> {
  const owner = OWNER.exec((await inventoryOwner(join(root, ARCHIVE_HOME))) ?? "");
  const [, format, id] = owner ?? [];
  const listed: ArchiveFile | undefined =
    (format === "maildir" || format === "mboxzip") && id !== undefined ? { format, id, isRecovered: true } : undefined;
  try {
    const said = await readArchiveFile(root);
    // Of the two the list has checksums.
    return listed === undefined || (said?.id === listed.id && said.format === listed.format) ? said : listed;
  } catch (error) {
    if (listed === undefined || isNewer(error)) throw error;
    return listed;
  }
}

function isNewer(error: unknown): boolean {
  return error instanceof MailError && error.message.includes("by a newer mailferry");
}

/** What is damaged stays beside. */
async function putBack(home: string, { format, id }: ArchiveFile): Promise<void> {
  const path = join(home, FILE);
  try {
    if ((await lstat(path).catch(() => undefined)) !== undefined) await rename(path, asideName(path));
    await create(home, `${JSON.stringify({ format, version: VERSION, id })}\n`);
  } catch (error) {
    throw ioError(`cannot write ${path}`, error);
  }
}

async function readArchiveFile(root: string): Promise<ArchiveFile | undefined> {
  const path = join(root, ARCHIVE_HOME, FILE);
  let text: string;
  try {
    text = (await readOwn(path, MOST)).toString("utf8");
  } catch (error) {
    if (errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
  try {
    return parse(text, path);
  } catch (error) {
    if (error instanceof MailError) throw error;
    throw damaged(path, error);
  }
}

function parse(text: string, path: string): ArchiveFile {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw damaged(path);
  const { format, version, id } = value as Record<string, unknown>;
  if (typeof version === "number" && version > VERSION)
    throw configError(
      `${path} was written by a newer mailferry (archive version ${version}; this one knows ${VERSION})`,
      "Use a newer mailferry for this archive.",
    );
  if ((format !== "maildir" && format !== "mboxzip") || version !== VERSION) throw damaged(path);
  if (typeof id !== "string" || !ID.test(id)) throw damaged(path);
  return { format, id };
}

function damaged(path: string, cause?: unknown): MailError {
  return configError(
    `${path} is damaged`,
    `Put back a good copy of it, or move ${dirname(path)} away: the archive then gets a new id, and the next run looks at what is there.`,
    cause,
  );
}

/** Makes the file with all its bytes at once, and leaves one that is already there. */
async function create(home: string, text: string): Promise<void> {
  const path = join(home, FILE);
  const temporary = join(home, `.${randomUUID()}.part`);
  try {
    const handle = await open(temporary, "wx", PRIVATE_FILE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      await link(temporary, path);
    } catch (error) {
      if (errno(error) === "EEXIST") return;
      // No hard links on this file system (FAT, some network ones).
      await rename(temporary, path);
    }
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  await syncDirectory(home);
}
