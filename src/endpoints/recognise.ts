// What a bare path is: for a source by what lies there, for a target by its name.

import { closeSync, existsSync, openSync, readdirSync, readSync, type Stats, statfsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { readOwnNow } from "../core/own-file.ts";
import { shellWord } from "../formats/disk/foreign.ts";
import { configError, ioError } from "../mail/errors.ts";
import type { Endpoint, Role } from "./endpoint.ts";

/** Throws MailError config when there is nothing at the path, or nothing that is known. */
export function recognise(path: string, role: Role, side: Role): "mbox" | "maildir" | "mboxzip" {
  const wish = /^(imaps?|pop3s?)\/\/?[^/]*@/i.exec(path)?.[1];
  if (wish !== undefined)
    throw configError(`the ${side} has no colon behind ${wish}`, `Write ${wish.toLowerCase()}://user@host.`);
  const stat = statOf(path);
  if (stat !== undefined && ADDRESS.test(path))
    throw configError(
      `the ${side} looks like an account, and there is a ${stat.isDirectory() ? "folder" : "file"} of that name here`,
      `Write ${shellWord(`./${path}`)} for the ${stat.isDirectory() ? "folder" : "file"}, or imaps://user@host for the account.`,
    );
  if (role === "target") return recogniseTarget(path, stat);
  if (stat === undefined) {
    // A zip that was not finished lies beside its final name.
    if (existsSync(`${path}.part.d`))
      throw configError(
        `${path} was never finished: what its run had gathered lies in ${path}.part.d, and is no archive yet`,
        "Run the same backup again; it goes on where it stopped.",
      );
    const account = ADDRESS.test(path);
    throw configError(
      account ? `the ${side} looks like an account, without a scheme` : `there is nothing at ${path}`,
      account ? "Write imaps://user@host, or ./PATH for a file of that name." : "Check the path.",
    );
  }
  if (stat.isDirectory()) return recogniseDirectory(path);
  // A zip by its form, and by none of the names in it a mailbox.
  if (/\.olm$/i.test(path)) return "mbox";
  if (startsWith(path, "PK\u0003\u0004") || startsWith(path, "PK\u0005\u0006")) return "mboxzip";
  if (path.toLowerCase().endsWith(".zip")) return "mboxzip";
  // Also one whose beginning is damaged; what is none is refused by its form, when it is opened.
  return "mbox";
}

const ADDRESS = /^[^\s/]+@[^\s/]+$/;

/** Undefined where nothing is. Throws MailError for a path that cannot be one. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw ioError(`cannot look at ${path}`, error);
  }
}

/** PROC_SUPER_MAGIC and SYSFS_MAGIC: files of the kernel, some of which never end or never begin. */
const KERNEL = new Set([0x9fa0, 0x62656572]);

/** Throws MailError config for what is no file and no folder (opening a pipe waits for ever), and for the kernel's own files. */
export function refuseSpecial(path: string): void {
  const stat = statOf(path);
  if (stat !== undefined && !stat.isFile() && !stat.isDirectory()) {
    const what = stat.isFIFO() ? "a pipe" : stat.isSocket() ? "a socket" : "a device";
    throw configError(`${path} is ${what}, and no file or folder with mail`, "Give the path of a file or a folder.");
  }
  let isKernel: boolean;
  try {
    // What is not there yet would be made where its parents are.
    let place = resolve(path);
    while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
    isKernel = KERNEL.has(statfsSync(place).type);
  } catch {
    // What it says of itself is a courtesy: opening it says what is wrong.
    return;
  }
  if (isKernel)
    throw configError(
      `${path} belongs to the system, and is no place for mail`,
      "Give the path of another file or folder.",
    );
}

/**
 * Throws MailError config where no archive is yet: what is left of a disk that is not mounted is an empty folder. An account is always
 * there.
 */
export function refuseAbsent(target: Endpoint): void {
  if (target.kind !== "maildir" && target.kind !== "mboxzip") return;
  const { path } = target;
  const isThere =
    archiveFormat(path) !== undefined || (target.kind === "mboxzip" && (isFile(path) || existsSync(`${path}.part.d`)));
  if (isThere) return;
  throw configError(
    `there is no archive at ${path} yet, and it must exist`,
    "Mount its disk; or, to begin an archive there, run it once without --must-exist.",
  );
}

const isFile = (path: string): boolean => statOf(path)?.isFile() === true;

/** Files that others keep mail or archives in, and texts: whoever gives such a name to a target thinks of one file. */
const OTHER_FILE =
  /\.(?:mbox|mbx|mbs|mmdf|txt|text|eml|emlx|msg|pst|ost|olm|dbx|nsf|sbd|msf|tar|tgz|tbz2?|txz|gz|bz2|xz|zst|lz4|lzma|z|7z|rar|iso|csv|json|xml|html?|pdf|sqlite3?|db)$/i;

/** Throws MailError config for a target that is called like a file which is not written; "name/" is a folder. */
function refuseOtherFile(path: string): void {
  const extension = OTHER_FILE.exec(path)?.[0];
  if (extension === undefined) return;
  let base = path;
  while (OTHER_FILE.test(base)) base = base.replace(OTHER_FILE, "");
  const zip = base === "" || base.endsWith("/") ? `${base}mail.zip` : `${base}.zip`;
  const what = /^\.mbo?x$/i.test(extension) ? "mbox files are only read" : `no ${extension} files are written`;
  throw configError(
    `the target ${path} looks like a file, and ${what}`,
    `Write ${shellWord(`mboxzip:${zip}`)} for one file (a zip of mboxes), or ${shellWord(`maildir:${path}`)} for a folder of that name.`,
  );
}

function recogniseTarget(path: string, stat: Stats | undefined): "maildir" | "mboxzip" {
  if (stat?.isDirectory() === true) {
    const names = list(path);
    const format = archiveFormat(path);
    const isOurs = format !== undefined || isMaildir(names) || hasNumberedZips(names);
    if (!isOurs && names.length > 0) refuseOtherFile(path);
    return format ?? (hasNumberedZips(names) && !isMaildir(names) ? "mboxzip" : "maildir");
  }
  if (path.toLowerCase().endsWith(".zip")) return "mboxzip";
  if (ADDRESS.test(path) && stat === undefined)
    throw configError(
      "the target looks like an account, without a scheme",
      "Write imaps://user@host, or ./PATH for a folder of that name.",
    );
  if (stat !== undefined)
    throw configError(`${path} is a file, and a target is a folder or a new .zip`, "Choose another name.");
  refuseOtherFile(path);
  return "maildir";
}

function recogniseDirectory(path: string): "mbox" | "maildir" | "mboxzip" {
  const format = archiveFormat(path);
  if (format !== undefined) return format;
  let names: readonly string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    throw ioError(`cannot look into ${path}`, error);
  }
  if (isMaildir(names)) return "maildir";
  if (hasNumberedZips(names)) return "mboxzip";
  if (names.some((name) => isMaildir(list(join(path, name))))) return "maildir";
  return "mbox";
}

function isMaildir(names: readonly string[]): boolean {
  return names.includes("cur") && names.includes("new");
}

/** What an archive of ours says of itself. */
function archiveFormat(path: string): "maildir" | "mboxzip" | undefined {
  try {
    const { format } = JSON.parse(readOwnNow(join(path, "mailferry", "archive.json"), 1 << 16).toString("utf8")) as {
      format?: unknown;
    };
    return format === "maildir" || format === "mboxzip" ? format : undefined;
  } catch {
    // None of ours, or a broken one: then its inside is looked at, and opening it says what is wrong.
    return undefined;
  }
}

/** The zips of an archive that grows, whose own folder was lost. */
function hasNumberedZips(names: readonly string[]): boolean {
  return names.some((name) => /^\d{4,9}-\d{8}T\d{6}Z\.zip$/.test(name));
}

function list(path: string): readonly string[] {
  try {
    return statSync(path).isDirectory() ? readdirSync(path) : [];
  } catch {
    // What cannot be looked into is not recognised by its inside; opening it says why.
    return [];
  }
}

function startsWith(path: string, magic: string): boolean {
  const head = Buffer.alloc(magic.length);
  try {
    const file = openSync(path, "r");
    try {
      return readSync(file, head, 0, head.length, 0) === head.length && head.toString("latin1") === magic;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw ioError(`cannot read ${path}`, error);
  }
}
