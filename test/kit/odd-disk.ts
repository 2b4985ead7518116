// A disk with rules of its own, as file systems of other machines and of the network have them, played within this process for
// one folder: names that differ in case alone are one; no hard links; no rename over a file that is there.

import fs from "node:fs";
import { dirname, join } from "node:path";
import { type Before, fileHooks, systemError } from "./file-hooks.ts";

export interface DiskRules {
  /** As APFS, NTFS and exFAT: names are kept as they were given, and found whatever their case. */
  readonly foldsCase?: boolean;
  /** As FAT, and many a network share. */
  readonly refusesLinks?: boolean;
  /** As some network shares: what is there must be removed first. */
  readonly refusesToReplace?: boolean;
}

export interface OddDisk extends Disposable {
  /** How often a rule was felt. */
  readonly felt: number;
}

/** The functions with one path and with two. */
const ONE = [
  ...[
    "open",
    "opendir",
    "readdir",
    "stat",
    "lstat",
    "mkdir",
    "rmdir",
    "rm",
    "unlink",
    "readFile",
    "writeFile",
    "appendFile",
  ],
  ...[
    "truncate",
    "utimes",
    "chmod",
    "access",
    "realpath",
    "readlink",
    "exists",
    "createReadStream",
    "createWriteStream",
  ],
];
const TWO = ["rename", "link", "copyFile"];

/** From now until it is disposed. Paths outside of `root` work as ever; `root` itself is folded where the disk folds. */
export async function oddDisk(root: string, rules: DiskRules): Promise<OddDisk> {
  let felt = 0;
  // As they were before anything was wrapped.
  const { readdirSync, existsSync, statSync } = fs;
  const above = dirname(root);

  /** The entry that the disk finds under this name. */
  const found = (directory: string, name: string): string => {
    let names: string[];
    try {
      names = readdirSync(directory, "latin1");
    } catch {
      return name;
    }
    if (names.includes(name)) return name;
    const other = names.find((each) => folded(each) === folded(name));
    if (other === undefined) return name;
    felt++;
    return other;
  };
  const resolved = (path: string): string => {
    let at = above;
    for (const name of path.slice(above.length + 1).split("/")) at = name === "" ? at : join(at, found(at, name));
    return path.endsWith("/") ? `${at}/` : at;
  };
  /** A path is a text, or octets where it is not UTF-8; both are looked at as octets. */
  const octets = (path: unknown): string | undefined => {
    const text = typeof path === "string" ? Buffer.from(path).toString("latin1") : undefined;
    const bytes = path instanceof Uint8Array ? Buffer.from(path).toString("latin1") : text;
    return bytes !== undefined && folded(bytes).startsWith(folded(root)) ? bytes : undefined;
  };
  const fold = (args: unknown[], index: number): void => {
    const path = octets(args[index]);
    if (path === undefined || !rules.foldsCase) return;
    const bytes = Buffer.from(resolved(path), "latin1");
    args[index] = typeof args[index] === "string" ? bytes.toString() : bytes;
  };
  const isThere = (path: unknown): boolean => existsSync(path as string) && statSync(path as string).isFile();

  const one: Before = (args) => {
    fold(args, 0);
    return undefined;
  };
  const two =
    (name: string): Before =>
    (args) => {
      fold(args, 0);
      fold(args, 1);
      const [, to] = args;
      if (octets(to) === undefined) return undefined;
      const isRefused =
        (name === "link" && rules.refusesLinks) || (name === "rename" && rules.refusesToReplace && isThere(to));
      if (!isRefused) return undefined;
      felt++;
      return name === "link"
        ? systemError("EPERM", -1, "operation not permitted", name, to)
        : systemError("EEXIST", -17, "file already exists", name, to);
    };
  const hooks = await fileHooks();
  for (const name of ONE) hooks.onFunction(name, one);
  for (const name of TWO) hooks.onFunction(name, two(name));
  hooks.begin();
  return {
    get felt() {
      return felt;
    },
    [Symbol.dispose]: () => hooks[Symbol.dispose](),
  };
}

/** ASCII alone: names beyond it stand here as octets, and are left as they are. */
function folded(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
