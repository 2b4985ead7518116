// Finding the mboxes of a folder on disk: Thunderbird's .sbd trees, mutt's plain ones, Takeout's and Apple Mail's *.mbox.

import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { ioError } from "../../mail/errors.ts";
import { type FolderPath, showPath } from "../../mail/model.ts";
import { looksLikeMbox, START_REACH } from "./split.ts";
import type { RandomAccess } from "./window.ts";

export interface MboxFile {
  readonly path: FolderPath;
  /** The file's name on disk; octets, as it need not be UTF-8. Absent for a folder that only holds folders. */
  readonly file?: Buffer;
}

export type Notice = (text: string) => void;

/** Mail programs' own files beside their mboxes; worth no notice of their own. */
const INDEX = /\.(?:msf|lock|index|cmeta|snm|toc)$/i;
/** Files that programs leave empty and that are no mailbox. */
const NOT_MAIL = /\.(?:dat|json|html?|txt|js|ini|sqlite|db|log|xml|csv|plist|eml|zip)$/i;
/** Deeper than any mail program nests; a loop of mounts would end here. */
const DEPTH = 64;

/** How a mailbox file is called as a folder: without `.mbox`, and any spelling of INBOX is the inbox. */
export function folderName(fileName: string): string {
  const name = fileName.length > 5 ? fileName.replace(/\.mbox$/i, "") : fileName;
  return name.toLowerCase() === "inbox" ? "INBOX" : name;
}

/**
 * Every mailbox below a directory, each path once, parents before children, in the order of their names. What is passed over
 * (files that are no mbox, symbolic links, Maildirs, hidden files) is told to `notice`. Throws MailError when a directory
 * cannot be read; a file that cannot be read is listed all the same, so that reading it tells why.
 */
export async function findMboxes(root: string, notice: Notice, signal: AbortSignal): Promise<readonly MboxFile[]> {
  const found = new Map<string, MboxFile>();
  const add = (path: FolderPath, file: Buffer | undefined): void => {
    const key = showPath(path);
    const have = found.get(key);
    if (file === undefined) {
      if (have === undefined) found.set(key, { path });
      return;
    }
    if (have?.file === undefined) {
      found.set(key, { path, file });
      return;
    }
    for (let n = 2; ; n++) {
      const other = [...path.slice(0, -1), `${path.at(-1)} (${n})`];
      if (found.has(showPath(other))) continue;
      notice(`${show(file)}: its name gives a folder that is there already, so it is read as ${showPath(other)}`);
      found.set(showPath(other), { path: other, file });
      return;
    }
  };
  await walk(Buffer.from(root), [], 0);
  return withParents([...found.values()]);

  async function walk(directory: Buffer, parent: FolderPath, depth: number): Promise<void> {
    const entries = await list(directory);
    const names = new Set(entries.map(({ name }) => name.toString("latin1")));
    if (["cur", "new", "tmp"].every((name) => names.has(name))) {
      notice(`${show(directory)} is a Maildir and not read here: give it as maildir:`);
      return;
    }
    for (const entry of entries) {
      signal.throwIfAborted();
      const name = text(entry.name);
      const file = Buffer.concat([directory, Buffer.from("/"), entry.name]);
      if (name.startsWith(".")) notice(`${show(file)} is hidden and not read`);
      else if (entry.isDirectory()) await descend(file, name, parent, depth);
      else if (!entry.isFile()) notice(`${show(file)} is ${kind(entry)} and not followed`);
      else if (INDEX.test(name)) continue;
      else if (await isMailbox(file, name, names.has(`${entry.name.toString("latin1")}.msf`)))
        add([...parent, nameAt(parent, name)], file);
      else notice(`${show(file)} is not an mbox and not read`);
    }
  }

  async function descend(directory: Buffer, name: string, parent: FolderPath, depth: number): Promise<void> {
    if (depth >= DEPTH) {
      notice(`${show(directory)} lies deeper than ${DEPTH} folders and is not read`);
      return;
    }
    const own = [...parent, nameAt(parent, name.length > 4 ? name.replace(/\.sbd$/i, "") : name)];
    // Apple Mail exports a folder as NAME.mbox/mbox.
    if (/.\.mbox$/i.test(name)) {
      const inner = Buffer.concat([directory, Buffer.from("/mbox")]);
      const status = await lstat(inner).catch(() => undefined);
      if (status?.isFile() && (await isMailbox(inner, "mbox", true))) {
        add(own, inner);
        return;
      }
    }
    await walk(directory, own, depth + 1);
  }

  /** `isNamed`: a mail program's index beside it says that it is one, however long what spoilt its beginning. */
  async function isMailbox(file: Buffer, name: string, isNamed: boolean): Promise<boolean> {
    try {
      const handle = await open(file, "r");
      try {
        const { size } = await handle.stat();
        if (size === 0) return !NOT_MAIL.test(name);
        const read: RandomAccess["read"] = async (target, position) =>
          (await handle.read(target, 0, target.length, position)).bytesRead;
        return await looksLikeMbox({ size, read }, isNamed ? Number.POSITIVE_INFINITY : START_REACH);
      } finally {
        await handle.close();
      }
    } catch {
      return true;
    }
  }
}

async function list(directory: Buffer): Promise<Dirent<Buffer>[]> {
  try {
    const entries = await readdir(directory, { encoding: "buffer", withFileTypes: true });
    return entries.sort((a, b) => a.name.compare(b.name));
  } catch (error) {
    throw ioError(`cannot read the folder ${show(directory)}`, error);
  }
}

/** The inbox is so called at the top alone: an account's folder may hold others of that name. */
function nameAt(parent: FolderPath, name: string): string {
  if (parent.length === 0) return folderName(name);
  return name.length > 5 ? name.replace(/\.mbox$/i, "") : name;
}

/** Puts every folder that only holds folders before what it holds; those that hold nothing are not there. */
function withParents(files: readonly MboxFile[]): readonly MboxFile[] {
  const all = new Map(files.map((file) => [showPath(file.path), file]));
  const ordered = new Map<string, MboxFile>();
  for (const file of files)
    for (let length = 1; length <= file.path.length; length++) {
      const path = file.path.slice(0, length);
      const key = showPath(path);
      if (!ordered.has(key)) ordered.set(key, all.get(key) ?? { path });
    }
  return [...ordered.values()];
}

function kind(entry: Dirent<Buffer>): string {
  return entry.isSymbolicLink() ? "a symbolic link" : "neither a file nor a folder";
}

/** A name as text: UTF-8 where it is, else one character an octet, so that two names never become one. */
function text(name: Buffer): string {
  return isUtf8(name) ? name.toString() : name.toString("latin1");
}

function show(path: Buffer): string {
  return text(path).replace(/[\x00-\x1f\x7f]/g, "?");
}
