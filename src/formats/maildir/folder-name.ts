// Folder paths and Maildir++ directory names: ".A.B" in modified UTF-7, escaped as Dovecot's listescape plugin does.

import { createHash } from "node:crypto";
import type { FolderPath } from "../../mail/model.ts";
import { decodeMutf7, encodeMutf7 } from "../../mail/mutf7.ts";

/** One directory entry on every file system that matters. */
const LONGEST = 255;
/** What a shortened name keeps of the true one. */
const KEPT = 120;

/** The inbox is the root itself. */
export function isInbox(path: FolderPath): boolean {
  return path.length === 1 && path[0] === "INBOX";
}

/**
 * The directory of a folder below the root; undefined when Maildir++ cannot hold the name: an empty part, a control character,
 * half a character, more than 255 octets, or a second spelling of the inbox.
 */
export function directoryName(path: FolderPath): string | undefined {
  if (path.length === 0) return undefined;
  if (path.length === 1 && path[0]?.toUpperCase() === "INBOX") return undefined;
  let name = "";
  for (const part of path) {
    if (part === "" || /[\x00-\x1f\x7f]/.test(part)) return undefined;
    const encoded = encodeMutf7(escapePart(part));
    if (decodeMutf7(encoded) === undefined) return undefined;
    name += `.${encoded}`;
  }
  return name.length <= LONGEST ? name : undefined;
}

/** Seen in Dovecot 2.3 with separator "." as well as "/": these four, "~" only where a part begins with it. */
function escapePart(part: string): string {
  const escaped = part.replaceAll("\\", "\\5c").replaceAll(".", "\\2e").replaceAll("/", "\\2f");
  return escaped.startsWith("~") ? `\\7e${escaped.slice(1)}` : escaped;
}

/** A directory name for a path that has no other: what can be read of it, and `digits` hex digits of its hash. Always valid. */
export function substituteName(path: FolderPath, digits: number): string {
  const hash = createHash("sha256").update(JSON.stringify(path)).digest("hex").slice(0, digits);
  let readable = "";
  for (const char of path.join("_")) {
    const next = readable + (/[\x00-\x20\x7f./\\~\p{Surrogate}]/u.test(char) ? "_" : char);
    if (encodeMutf7(next).length > KEPT) break;
    readable = next;
  }
  return `.${readable === "" ? "folder" : encodeMutf7(readable)}-${hash}`;
}

/** The path that a directory name stands for; `name` begins with ".". Whatever is no valid encoding stands for itself. */
export function pathOfDirectory(name: string): FolderPath {
  const parts = name.slice(1).split(".");
  if (parts.some((part) => part === "")) return [name.slice(1)];
  return parts.map(decodePart);
}

/** One part of a directory name, decoded; also for nested trees. */
export function decodePart(part: string): string {
  const decoded = decodeMutf7(part) ?? part;
  return decoded.replace(/\\(2e|2f|5c|7e)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
