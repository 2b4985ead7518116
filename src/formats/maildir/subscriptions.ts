// The `subscriptions` file of a Maildir, as Dovecot reads and writes it, in both of its forms; Courier's as a reader.

import { join } from "node:path";
import { replaceFile } from "../../core/files.ts";
import { readOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";

const FILE = "subscriptions";
const COURIER = "courierimapsubscribed";
/** Dovecot 2.3 writes this head, then a line a folder: the parts of its storage name, joined by tabs. */
const HEAD = "V\t2";
const INBOX = "INBOX";

/**
 * The directory names (".A.B"; "" for the inbox) of the subscribed folders; undefined where nobody has ever subscribed. Without
 * a head the lines are whole storage names ("A.B").
 */
export async function readSubscriptions(root: string): Promise<ReadonlySet<string> | undefined> {
  const dovecot = await read(join(root, FILE));
  if (dovecot !== undefined && !isMbox(dovecot)) return new Set(linesOf(dovecot).names.map(directoryOf));
  const courier = await read(join(root, COURIER));
  if (courier === undefined || isMbox(courier)) return undefined;
  // Courier: "INBOX.A.B", where INBOX is the root.
  return new Set(linesOf(courier).names.map((name) => (name === INBOX ? "" : name.replace(/^INBOX(?=\.)/, ""))));
}

/** Adds folders to the file in the form that it has; what it holds stays. Durable. Nothing is written when nothing is new. */
export async function addSubscriptions(root: string, directories: Iterable<string>): Promise<void> {
  const path = join(root, FILE);
  const text = await read(path);
  if (text !== undefined && isMbox(text)) return;
  const { names, tabbed } = text === undefined ? { names: [], tabbed: true } : linesOf(text);
  const known = new Set(names.map(directoryOf));
  const added = [...directories].filter((directory) => !known.has(directory));
  if (added.length === 0) return;
  const lines = [...names, ...added.map((directory) => (directory === "" ? INBOX : directory.slice(1)))];
  const body = lines.map((name) => `${tabbed ? name.replaceAll(".", "\t") : name}\n`).join("");
  try {
    await replaceFile(path, tabbed ? `${HEAD}\n\n${body}` : body);
  } catch (error) {
    throw ioError(`cannot write ${path}`, error);
  }
}

/** A folder of newsletters may be called so; formats/disk/tree.ts names it. */
function isMbox(text: string): boolean {
  return /^\uFEFF?\s*From \S[^\n]*\d\r?\n[!-9;-~]+:/.test(text);
}

function directoryOf(name: string): string {
  return name.toUpperCase() === INBOX ? "" : `.${name}`;
}

/** Storage names joined by "."; no part of one can hold a dot. */
function linesOf(text: string): { names: string[]; tabbed: boolean } {
  const lines = text.split("\n");
  const tabbed = lines[0] === HEAD;
  const names = (tabbed ? lines.slice(1) : lines).filter((line) => line !== "");
  return { names: tabbed ? names.map((line) => line.replaceAll("\t", ".")) : names, tabbed };
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readOwn(path)).toString("utf8");
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
}
