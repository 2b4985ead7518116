// A disk that fails at the step that a test names: Node's own file functions, wrapped within this process, for one folder.

import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

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

type Where = Record<string, unknown>;
type Call = (this: unknown, ...args: unknown[]) => unknown;

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
  const undo: (() => void)[] = [];
  const inside = (path: unknown): boolean =>
    String(path instanceof Uint8Array ? Buffer.from(path) : path).startsWith(root);
  const ours = new Set<number>();

  const errorAt = (kind: string, path: string): NodeJS.ErrnoException | undefined => {
    steps.push(kind);
    const isHit = fault.at > 0 && (fault.lasting ? steps.length >= fault.at : steps.length === fault.at);
    if (!isHit) return undefined;
    failed++;
    const [errno, words] = WORDS[fault.errno];
    return Object.assign(new Error(`${fault.errno}: ${words}, ${kind} '${path}'`), {
      code: fault.errno,
      errno,
      syscall: kind,
      path,
    });
  };
  const writes = (flags: unknown): boolean =>
    typeof flags === "string"
      ? flags !== "r" && flags !== "rs"
      : typeof flags === "number" && (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;

  /** `style` says how a failure reaches the caller. */
  const wrap = (
    where: Where,
    name: string,
    style: "promise" | "callback" | "sync",
    kindOf: (args: unknown[], self: unknown) => string | undefined,
    after?: (args: readonly unknown[], result: unknown) => void,
  ): void => {
    const original = where[name] as Call | undefined;
    if (typeof original !== "function") return;
    const wrapped: Call = function (...args) {
      const kind = kindOf(args, this);
      const error = kind === undefined ? undefined : errorAt(kind, String(args[0]));
      if (error === undefined) {
        if (style === "callback") {
          const callback = args.at(-1);
          if (after !== undefined && typeof callback === "function")
            args[args.length - 1] = (...results: unknown[]) => {
              after(args, results[1]);
              callback(...results);
            };
          return Reflect.apply(original, this, args);
        }
        const result = Reflect.apply(original, this, args) as unknown;
        if (result instanceof Promise) result.then((value) => after?.(args, value)).catch(() => undefined);
        else after?.(args, result);
        return result;
      }
      if (style === "promise") return Promise.reject(error);
      if (style === "sync") throw error;
      const callback = args.at(-1);
      if (typeof callback === "function") setImmediate(() => callback(error));
      return undefined;
    };
    where[name] = wrapped;
    undo.push(() => {
      where[name] = original;
    });
  };

  const handle = await promises.open(new URL(import.meta.url), "r");
  const handles = Object.getPrototypeOf(handle) as Where;
  await handle.close();
  const promised = promises as unknown as Where;
  const plain = fs as unknown as Where;
  const pathKind = (kind: string) => (args: unknown[]) => (args.slice(0, 2).some(inside) ? kind : undefined);
  const openKind = (args: unknown[]) => (inside(args[0]) && writes(args[1]) ? "open" : undefined);
  // Numbers are used again. Directories, opened for reading to be synced, count too.
  const opened = ([path]: readonly unknown[], result: unknown): void => {
    const fd = typeof result === "number" ? result : (result as { fd?: number } | undefined)?.fd;
    if (fd !== undefined) ours[inside(path) ? "add" : "delete"](fd);
  };
  const fdOf = (self: unknown): number => (self as { fd: number }).fd;
  for (const name of BY_PATH) {
    wrap(promised, name, "promise", pathKind(name));
    wrap(plain, name, "callback", pathKind(name));
    wrap(plain, `${name}Sync`, "sync", pathKind(name));
  }
  wrap(promised, "open", "promise", openKind, opened);
  wrap(plain, "open", "callback", openKind, opened);
  wrap(plain, "openSync", "sync", openKind, opened);
  for (const [name, kind] of Object.entries(ON_HANDLE))
    wrap(handles, name, "promise", (_, self) => (ours.has(fdOf(self)) ? kind : undefined));
  for (const [name, kind] of Object.entries(BY_NUMBER)) {
    wrap(plain, name, "callback", ([fd]) => (ours.has(fd as number) ? kind : undefined));
    wrap(plain, `${name}Sync`, "sync", ([fd]) => (ours.has(fd as number) ? kind : undefined));
  }
  syncBuiltinESMExports();
  return {
    steps,
    get failed() {
      return failed;
    },
    [Symbol.dispose]() {
      for (const each of undo.reverse()) each();
      syncBuiltinESMExports();
    },
  };
}
