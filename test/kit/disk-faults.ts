// A disk that fails at the step that a test names: Node's own file functions, wrapped within this process, for one folder.

import { constants } from "node:fs";
import { type Before, fileHooks, systemError } from "./file-hooks.ts";

export type Errno = "ENOSPC" | "EIO" | "EDQUOT" | "EROFS";

export interface DiskFault {
  /** From 1; every step from here on fails, or this one alone. 0 counts and fails none. */
  readonly at: number;
  readonly errno: Errno;
  readonly lasting: boolean;
}

export interface FaultyDisk extends Disposable {
  /** The kinds of the steps so far. */
  readonly steps: readonly string[];
  /** How many steps failed. */
  readonly failed: number;
}

const WORDS: Readonly<Record<Errno, readonly [number, string]>> = {
  ENOSPC: [-28, "no space left on device"],
  EIO: [-5, "i/o error"],
  EDQUOT: [-122, "disk quota exceeded"],
  EROFS: [-30, "read-only file system"],
};

/** Only what asks for room, or for durability: a full disk can still be read and emptied. */
const BY_PATH = ["mkdir", "rename", "link", "writeFile", "appendFile", "truncate", "copyFile", "utimes"];
const ON_HANDLE: Readonly<Record<string, string>> = {
  write: "write",
  writev: "write",
  writeFile: "write",
  appendFile: "write",
  sync: "fsync",
  datasync: "fsync",
  truncate: "truncate",
  utimes: "utimes",
};
const BY_NUMBER: Readonly<Record<string, string>> = {
  write: "write",
  writev: "write",
  fsync: "fsync",
  fdatasync: "fsync",
  ftruncate: "truncate",
  futimes: "utimes",
};

/** From now until it is disposed. Paths outside of `root`, and descriptors that were opened outside of it, work as ever. */
export async function faultyDisk(root: string, fault: DiskFault): Promise<FaultyDisk> {
  const steps: string[] = [];
  let failed = 0;
  const inside = (path: unknown): boolean =>
    String(path instanceof Uint8Array ? Buffer.from(path) : path).startsWith(root);
  const ours = new Set<number>();

  const failAt =
    (kind: string, isOurs: (args: readonly unknown[], self: unknown) => boolean): Before =>
    (args, self) => {
      if (!isOurs(args, self)) return undefined;
      steps.push(kind);
      const isHit = fault.at > 0 && (fault.lasting ? steps.length >= fault.at : steps.length === fault.at);
      if (!isHit) return undefined;
      failed++;
      return systemError(fault.errno, ...WORDS[fault.errno], kind, args[0]);
    };
  const writes = (flags: unknown): boolean =>
    typeof flags === "string"
      ? flags !== "r" && flags !== "rs"
      : typeof flags === "number" && (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
  // Numbers are used again. Directories, opened for reading to be synced, count too.
  const opened = ([path]: readonly unknown[], result: unknown): void => {
    const fd = typeof result === "number" ? result : (result as { fd?: number } | undefined)?.fd;
    if (fd !== undefined) ours[inside(path) ? "add" : "delete"](fd);
  };

  const hooks = await fileHooks();
  for (const name of BY_PATH)
    hooks.onFunction(
      name,
      failAt(name, (args) => args.slice(0, 2).some(inside)),
    );
  hooks.onFunction(
    "open",
    failAt("open", ([path, flags]) => inside(path) && writes(flags)),
    opened,
  );
  for (const [name, kind] of Object.entries(ON_HANDLE))
    hooks.onHandle(
      name,
      failAt(kind, (_, self) => ours.has((self as { fd: number }).fd)),
    );
  for (const [name, kind] of Object.entries(BY_NUMBER))
    hooks.onFunction(
      name,
      failAt(kind, ([fd]) => ours.has(fd as number)),
    );
  hooks.begin();
  return {
    steps,
    get failed() {
      return failed;
    },
    [Symbol.dispose]: () => hooks[Symbol.dispose](),
  };
}
