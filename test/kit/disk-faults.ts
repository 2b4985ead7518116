// A disk that fails at the step that a test names: Node's own file functions, wrapped within this process, for one folder.

import fs, { constants } from "node:fs";
import { dirname } from "node:path";
import { type Before, fileHooks, systemError } from "./file-hooks.ts";

export type Errno = "ENOSPC" | "EIO" | "EDQUOT" | "EROFS";

export interface DiskFault {
  /** From 1; every step from here on fails, or this one alone. 0 counts and fails none. */
  readonly at: number;
  readonly errno: Errno;
  readonly lasting: boolean;
  /**
   * A failed fsync also takes from the disk what was written since the one before, and a directory's new names with it: as far as a
   * process can see it, the machine stopped there. Only files are taken.
   */
  readonly loses?: boolean;
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
  const text = (path: unknown): string => String(path instanceof Uint8Array ? Buffer.from(path) : path);
  const inside = (path: unknown): boolean => text(path).startsWith(root);
  const fdOf = ([first]: readonly unknown[], self: unknown): number =>
    typeof first === "number" ? first : (self as { fd: number }).fd;
  const ours = new Map<number, string>();
  const unsynced = notDurable();

  const failAt =
    (kind: string, isOurs: (args: readonly unknown[], self: unknown) => boolean): Before =>
    (args, self) => {
      if (!isOurs(args, self)) return undefined;
      steps.push(kind);
      const fd = kind === "fsync" ? fdOf(args, self) : undefined;
      const isHit = fault.at > 0 && (fault.lasting ? steps.length >= fault.at : steps.length === fault.at);
      if (!isHit) {
        if (fd !== undefined) unsynced.synced(fd, ours.get(fd) ?? "");
        return undefined;
      }
      failed++;
      if (fd !== undefined && fault.loses) unsynced.lose(fd, ours.get(fd) ?? "");
      return systemError(fault.errno, ...WORDS[fault.errno], kind, args[0]);
    };
  const writes = (flags: unknown): boolean =>
    typeof flags === "string"
      ? flags !== "r" && flags !== "rs"
      : typeof flags === "number" && (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
  // Numbers are used again. Directories, opened for reading to be synced, count too.
  const opened = ([path]: readonly unknown[], result: unknown): void => {
    const fd = typeof result === "number" ? result : (result as { fd?: number } | undefined)?.fd;
    if (fd === undefined) return;
    ours.delete(fd);
    if (!inside(path)) return;
    ours.set(fd, text(path));
    unsynced.opened(fd);
  };

  const hooks = await fileHooks();
  for (const name of BY_PATH) {
    const fails = failAt(name, (args) => args.slice(0, 2).some(inside));
    const isNaming = name === "rename" || name === "link";
    hooks.onFunction(name, (args, self) => {
      const error = fails(args, self);
      if (error === undefined && isNaming && inside(args[1])) unsynced.named(text(args[1]));
      return error;
    });
  }
  const failsToOpen = failAt("open", ([path, flags]) => inside(path) && writes(flags));
  hooks.onFunction(
    "open",
    (args, self) => {
      const error = failsToOpen(args, self);
      if (error === undefined && inside(args[0]) && writes(args[1])) unsynced.named(text(args[0]));
      return error;
    },
    opened,
  );
  for (const [name, kind] of Object.entries(ON_HANDLE))
    hooks.onHandle(
      name,
      failAt(kind, (args, self) => ours.has(fdOf(args, self))),
    );
  for (const [name, kind] of Object.entries(BY_NUMBER))
    hooks.onFunction(
      name,
      failAt(kind, (args, self) => ours.has(fdOf(args, self))),
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

interface NotDurable {
  opened(fd: number): void;
  /** A name that there was not before; one that stands for something else from now on is left out. */
  named(path: string): void;
  synced(fd: number, path: string): void;
  lose(fd: number, path: string): void;
}

/** What a machine that stops now would take with it. */
function notDurable(): NotDurable {
  const { fstatSync, ftruncateSync, existsSync, rmSync, lstatSync } = fs;
  /** By inode: octets that an fsync has seen. */
  const sizes = new Map<number, number>();
  /** By directory: names that are not durable yet. */
  const names = new Map<string, Set<string>>();
  return {
    opened(fd) {
      const { ino, size } = fstatSync(fd);
      if (size === 0 || !sizes.has(ino)) sizes.set(ino, size);
    },
    named(path) {
      if (existsSync(path)) return;
      const held = names.get(dirname(path)) ?? new Set();
      names.set(dirname(path), held.add(path));
    },
    synced(fd, path) {
      const stats = fstatSync(fd);
      if (stats.isDirectory()) names.delete(path);
      else sizes.set(stats.ino, stats.size);
    },
    lose(fd, path) {
      const stats = fstatSync(fd);
      if (!stats.isDirectory()) {
        ftruncateSync(fd, Math.min(stats.size, sizes.get(stats.ino) ?? 0));
        return;
      }
      for (const name of names.get(path) ?? []) if (existsSync(name) && lstatSync(name).isFile()) rmSync(name);
      names.delete(path);
    },
  };
}
