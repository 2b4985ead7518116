// What a file on a disk is: an mbox, mail of a form that is not read, or neither.

import { closeSync, constants, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { type BytePath, fsPath } from "../maildir/paths.ts";
import { looksLikeMbox, START_REACH } from "../mbox/split.ts";
import { type Foreign, foreignKind, HEAD } from "./foreign.ts";
import { INDEX, MEDIA, NOT_MAIL } from "./names.ts";
import { packedKind } from "./packed.ts";

export interface Sniffed {
  /** "spoilt": a mail program's index beside it says that it is a mailbox, and nothing in it is a message. */
  readonly is: "mbox" | "empty" | "foreign" | "spoilt" | "nothing";
  readonly form?: Foreign;
  /** The file itself, under whichever name; `isOne`: it has no other name than this one. */
  readonly id: string;
  readonly isOne: boolean;
}

/**
 * `isNamed`: a mail program's index lies beside it, so that it is a mailbox however long what spoilt its beginning. Throws what the
 * file system says.
 */
export async function sniff(path: BytePath, name: string, isNamed: boolean): Promise<Sniffed> {
  const handle = await open(fsPath(path), "r");
  try {
    const info = await handle.stat({ bigint: true });
    const size = Number(info.size);
    const file = { id: `${info.dev}:${info.ino}`, isOne: info.nlink === 1n };
    if (size === 0) return { is: NOT_MAIL.test(name) || INDEX.test(name) ? "nothing" : "empty", ...file };
    const read = async (target: Buffer, position: number): Promise<number> =>
      (await handle.read(target, 0, target.length, position)).bytesRead;
    const head = Buffer.alloc(Math.min(HEAD, size));
    const octets = head.subarray(0, await read(head, 0));
    const reach = isNamed || isBlank(octets) || /\.(?:mbox|mbx)$/i.test(name) ? Number.POSITIVE_INFINITY : START_REACH;
    // An index is none where it begins as a mailbox does.
    const most = INDEX.test(name) || MEDIA.test(name) ? 1 : reach;
    const form = foreignKind(name, octets);
    // One message in a file by itself may quote another one, and an mbox may have lost its first line.
    const isSure = form !== undefined && !["mh", "single", "eml"].includes(form.kind);
    if (!isSure && (await looksLikeMbox({ size, read }, most)) && !(form !== undefined && isOneMessage(name, octets)))
      return { is: "mbox", ...file };
    if (form !== undefined) return { is: "foreign", form, ...file };
    const packed = INDEX.test(name) ? undefined : await packedKind({ name, size, head: octets, read });
    if (packed !== undefined) return { is: "foreign", form: packed, ...file };
    return { is: isNamed ? "spoilt" : "nothing", ...file };
  } finally {
    await handle.close();
  }
}

/** More than a byte order mark and some blank lines in front of a From_ line have. */
const FIRST = 64;

/**
 * Whether a file may be an mbox for all that its name says. At once: a Maildir has some such files, and over thousands of folders
 * a turn through the thread pool for each costs more than the reading. False for what cannot be read.
 */
export function beginsAsMbox(path: BytePath): boolean {
  let file: number | undefined;
  try {
    file = openSync(fsPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
    const head = Buffer.alloc(FIRST);
    return isFromLine(head.toString("latin1", 0, readSync(file, head, 0, FIRST, 0)));
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Of a text in Latin-1. */
function isFromLine(text: string): boolean {
  return /^(?:\xef\xbb\xbf)?\s*From /.test(text);
}

/** A disk that lost a file's beginning gives NULs in its place. */
function isBlank(head: Buffer): boolean {
  return head.length > 0 && head.every((octet) => octet === 0);
}

function isOneMessage(name: string, head: Buffer): boolean {
  return head.toString("latin1", 0, 5) !== "From " && /^\d+$|\.eml$/i.test(name);
}
