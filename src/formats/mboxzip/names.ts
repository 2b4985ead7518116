// Entry names: a folder path as a file name that is safe to unpack on any system and clashes with no other.

import { createHash } from "node:crypto";
import type { FolderPath } from "../../mail/model.ts";
import { MANIFEST_NAME } from "./record.ts";

const SUFFIX = ".mbox";
/** Most file systems take 255 bytes a name; the rest is room for the suffix and a mark. */
const MAX_NAME = 220;
/** Unpacked below some folder, the whole stays under what Linux and macOS take for a path (1,024 on the latter). */
const MAX_PATH = 800;

// What some file system refuses or reads as something else: separators, controls, Windows' own list, and the invisible
// characters that turn the direction of writing or end a line.
const UNSAFE = /[/\\%:*?"<>|\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const DOTS_AND_SPACES_AT_END = /[. ]+$/;
const DOTS_AT_START = /^\.+/;
// Windows reserves these with any extension, so "CON.mbox" as well.
const RESERVED = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=[. ]|$)/i;

function percent(text: string): string {
  return [...Buffer.from(text, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

function hash(text: string, digits: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, digits);
}

/** One name of a path, without its suffix. */
function safeName(name: string): string {
  let safe = name
    .replace(UNSAFE, percent)
    .replace(DOTS_AT_START, percent)
    .replace(DOTS_AND_SPACES_AT_END, percent)
    .replace(RESERVED, (word) => percent(word.slice(0, 1)) + word.slice(1));
  // An empty name must leave a name; "%" alone stands for nothing else.
  if (safe === "") safe = "%";
  if (Buffer.byteLength(safe) <= MAX_NAME) return safe;
  let cut = "";
  let bytes = 0;
  for (const char of safe) {
    bytes += Buffer.byteLength(char);
    if (bytes > MAX_NAME - 20) break;
    cut += char;
  }
  return `${cut.replace(/%.?$/, "").replace(DOTS_AND_SPACES_AT_END, "")}~${hash(name, 16)}`;
}

/** A name of a path that holds other folders: it must not be taken for a folder's file, nor for the manifest. */
function directoryName(name: string): string {
  const safe = safeName(name);
  const folded = safe.toLowerCase();
  if (folded === MANIFEST_NAME) return percent(safe.slice(0, 1)) + safe.slice(1);
  return folded.endsWith(SUFFIX) ? `${safe.slice(0, -SUFFIX.length)}%2E${safe.slice(1 - SUFFIX.length)}` : safe;
}

/** `["Clients", "A/B"]` as `Clients/A%2FB.mbox`. Two paths may get the same name: see entryNames. */
export function entryName(path: FolderPath): string {
  const parents = path.slice(0, -1).map(directoryName);
  const name = [...parents, safeName(path.at(-1) ?? "")].join("/");
  if (Buffer.byteLength(name) <= MAX_PATH) return name + SUFFIX;
  return `${(parents[0] ?? "").replace(/[^\w-]+/g, "_").slice(0, 60)}~${hash(JSON.stringify(path), 32)}${SUFFIX}`;
}

/** What file systems that fold case or Unicode forms hold for the same name. */
export function foldedName(name: string): string {
  return name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}

/** True for a name that entryName could have given: relative, no ".." and nothing that some system reads otherwise. */
export function isEntryName(name: string): boolean {
  if (!name.endsWith(SUFFIX)) return false;
  return name
    .slice(0, -SUFFIX.length)
    .split("/")
    .every((part) => {
      const bare = part.replace(/%[0-9A-F]{2}/g, "_");
      // An empty name, with the mark of `claim` where another path has its name.
      if (/^%(?:~[0-9a-f]{8})?$/.test(bare)) return true;
      const unsafe = [UNSAFE, DOTS_AT_START, DOTS_AND_SPACES_AT_END, RESERVED].some((what) => bare.search(what) !== -1);
      return bare !== "" && !unsafe;
    });
}

/** The folder's path as its entry's name has it: all of it, unless the name had to be cut. */
export function pathOfEntry(name: string): FolderPath {
  return name
    .slice(0, -SUFFIX.length)
    .split("/")
    .map((part) =>
      part === "%"
        ? ""
        : part.replace(/(?:%[0-9A-F]{2})+/g, (codes) => Buffer.from(codes.replaceAll("%", ""), "hex").toString("utf8")),
    );
}

export interface EntryNames {
  /** Says that an entry has this name already. */
  take(name: string): void;
  /** A name for this path that no other has, whatever the case and the Unicode form. */
  claim(path: FolderPath): string;
}

/** The names of one zip. */
export function entryNames(): EntryNames {
  const taken = new Set([foldedName(MANIFEST_NAME)]);
  return {
    take: (name) => void taken.add(foldedName(name)),
    claim(path) {
      const plain = entryName(path);
      let name = plain;
      for (let turn = 0; taken.has(foldedName(name)); turn++) {
        const mark = hash(`${turn}${JSON.stringify(path)}`, 8);
        name = `${plain.slice(0, -SUFFIX.length)}~${mark}${SUFFIX}`;
      }
      taken.add(foldedName(name));
      return name;
    },
  };
}
