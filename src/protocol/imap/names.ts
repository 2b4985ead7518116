// Between raw mailbox names and folder paths: modified UTF-7, the delimiter, INBOX and the personal namespace's prefix.

import { createHash } from "node:crypto";
import type { FolderPath } from "../../mail/model.ts";
import { decodeMutf7, encodeMutf7 } from "../../mail/mutf7.ts";
import { isInbox } from "./mailbox.ts";

export interface Naming {
  /** Before the names of one's own folders ("INBOX."), raw. */
  readonly prefix: string;
  /** Null: no hierarchy. */
  readonly delimiter: string | null;
}

/** A raw component that is no modified UTF-7 stands for itself, its octets read as UTF-8 where they are that. */
function decodeComponent(raw: string): string {
  const decoded = decodeMutf7(raw);
  if (decoded !== undefined) return decoded;
  const bytes = Buffer.from(raw, "latin1");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return raw;
  }
}

/** The path of a raw name; different raw names may have one path (see `pathsOf`). */
export function pathOf(raw: string, delimiter: string | null, prefix: string): FolderPath {
  if (isInbox(raw)) return ["INBOX"];
  const split = (name: string): string[] =>
    (delimiter === null ? [name] : name.split(delimiter)).filter((part) => part !== "").map(decodeComponent);
  if (prefix !== "" && raw.startsWith(prefix) && raw.length > prefix.length) {
    const inside = split(raw.slice(prefix.length));
    // "INBOX.INBOX" is not the inbox.
    if (inside.length > 1 || (inside[0] !== undefined && !isInbox(inside[0]))) return belowInbox(inside);
  }
  const path = split(raw);
  return path.length === 0 ? [raw] : belowInbox(path);
}

/** "Inbox/Sub" lies below INBOX, however the server spells that. */
function belowInbox(path: string[]): FolderPath {
  const [first = "", ...rest] = path;
  return rest.length > 0 && isInbox(first) ? ["INBOX", ...rest] : path;
}

/** "INBOX.INBOX" of an account with the prefix "INBOX.": above all that lies below the inbox, and by no rule anybody's own name. */
function isAboveInboxes(raw: string, prefix: string): boolean {
  return prefix !== "" && raw.startsWith(prefix) && isInbox(raw.slice(prefix.length));
}

/**
 * The path of every listed name, no two alike: names that are no valid encoding give way, and keep their raw spelling; so does one that
 * `nameFor` gives to no path, where another has its path.
 */
export function pathsOf(
  listed: readonly { readonly name: string; readonly delimiter: string | null }[],
  prefix: string,
): Map<string, FolderPath> {
  const taken = new Set<string>();
  const paths = new Map<string, FolderPath>();
  const key = (path: FolderPath): string => JSON.stringify(path);
  const exact = ({ name }: { readonly name: string }): boolean => decodeMutf7(name) !== undefined;
  const order = ({ name }: { readonly name: string }): number =>
    !exact({ name }) ? 2 : isAboveInboxes(name, prefix) ? 1 : 0;
  for (const one of [0, 1, 2].flatMap((place) => listed.filter((item) => order(item) === place))) {
    const plain = pathOf(one.name, one.delimiter, prefix);
    let path = plain;
    for (let n = 1; taken.has(key(path)); n++)
      path = [...plain.slice(0, -1), `${plain[plain.length - 1] ?? ""} (${one.name}${n === 1 ? "" : ` ${n}`})`];
    taken.add(key(path));
    paths.set(one.name, path);
  }
  return paths;
}

const SUBSTITUTES = ["_", "-", "~", "=", "+"];

/**
 * The raw name for a path, and the path under which it will be read back. `attempt` counts up where the name before was taken:
 * another substitute for the delimiter, then a number at the end. `plain` also gives up what servers tend to refuse.
 */
export function nameFor(
  path: FolderPath,
  { prefix, delimiter }: Naming,
  attempt: number,
  plain = false,
): { name: string; path: FolderPath } {
  if (path.length === 1 && path[0] === "INBOX") return { name: "INBOX", path: ["INBOX"] };
  const substitute = SUBSTITUTES.filter((one) => one !== delimiter)[attempt] ?? "_";
  const needsNumber = attempt >= SUBSTITUTES.length - 1;
  const kept = path.map((component, index) => {
    let name = delimiter === null ? component : keepOut(component, delimiter, substitute);
    if (plain) name = name.replace(/[\p{Cc}\p{Surrogate}%*"\\/]/gu, substitute).trim();
    if (name === "") name = substitute;
    // Only the inbox may be called that at the top (any case).
    if (index === 0 && isInbox(name) && (path.length === 1 || name !== "INBOX")) name += substitute;
    return needsNumber && index === path.length - 1 ? `${name}${substitute}${attempt}` : name;
  });
  const names = kept.length === 0 ? [substitute] : kept;
  const joined = delimiter === null ? [names.join(substitute)] : names;
  const raw = prefix + joined.map(encodeMutf7).join(delimiter ?? "");
  return { name: raw, path: pathOf(raw, delimiter, prefix) };
}

/** Characters that a shortened name keeps of the true one. */
const KEPT = 40;

/**
 * A raw name at the top for a path that the server finds too long or too deep under any other: what can be read of its last
 * part, and a hash of all.
 */
export function shortNameFor(path: FolderPath, { prefix, delimiter }: Naming): { name: string; path: FolderPath } {
  const readable = [...(path.at(-1) ?? "").replace(/[^\p{L}\p{N} _]/gu, "_")].slice(0, KEPT).join("").trim();
  const hash = createHash("sha256").update(JSON.stringify(path)).digest("hex").slice(0, 16);
  const raw = prefix + encodeMutf7(`${readable === "" ? "folder" : readable}_${hash}`);
  return { name: raw, path: pathOf(raw, delimiter, prefix) };
}

/** The delimiter goes from a name, also where only its encoded form would show it (a "&" or "-" of modified UTF-7). */
function keepOut(component: string, delimiter: string, substitute: string): string {
  const name = component.replaceAll(delimiter, substitute);
  return encodeMutf7(name).includes(delimiter)
    ? [...name].map((char) => (encodeMutf7(char).includes(delimiter) ? substitute : char)).join("")
    : name;
}

/** The folders above this one within the namespace, from the top. */
export function parentsOf(name: string, { prefix, delimiter }: Naming): string[] {
  if (delimiter === null) return [];
  const inside = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const before = name.slice(0, name.length - inside.length);
  const parts = inside.split(delimiter);
  return parts.slice(1).map((_, index) => before + parts.slice(0, index + 1).join(delimiter));
}
