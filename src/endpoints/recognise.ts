// What a bare path is: for a source by what lies there, for a target by its name.

import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { configError, ioError } from "../mail/errors.ts";
import type { Role } from "./endpoint.ts";

/** Throws MailError config when there is nothing at the path, or nothing that is known. */
export function recognise(path: string, role: Role, side: Role): "mbox" | "maildir" | "mboxzip" {
  if (role === "target") return recogniseTarget(path);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    // A zip that was not finished lies beside its final name.
    if (existsSync(`${path}.part.d`))
      throw configError(
        `${path} is not finished: only ${path}.part.d is there`,
        "Run the command that writes it again; it goes on where it stopped.",
      );
    const account = /^[^\s/]+@[^\s/]+$/.test(path);
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

function recogniseTarget(path: string): "maildir" | "mboxzip" {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) {
    const names = list(path);
    return archiveFormat(path) ?? (hasNumberedZips(names) && !isMaildir(names) ? "mboxzip" : "maildir");
  }
  if (path.toLowerCase().endsWith(".zip")) return "mboxzip";
  if (/^[^\s/]+@[^\s/]+$/.test(path) && stat === undefined)
    throw configError(
      "the target looks like an account, without a scheme",
      "Write imaps://user@host, or ./PATH for a folder of that name.",
    );
  if (stat !== undefined)
    throw configError(`${path} is a file, and a target is a folder or a new .zip`, "Choose another name.");
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
    const { format } = JSON.parse(readFileSync(join(path, "mailferry", "archive.json"), "utf8")) as {
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
