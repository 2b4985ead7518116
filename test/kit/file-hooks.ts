// Node's own file functions, wrapped within this process: for disks that fail or that have rules of their own.

import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

/** May change the arguments; what it gives back is how the call fails, without having done anything. */
export type Before = (args: unknown[], self: unknown) => NodeJS.ErrnoException | undefined;
/** Sees what a call that went well gave. */
export type After = (args: readonly unknown[], result: unknown) => void;

export interface FileHooks extends Disposable {
  /** A function of node:fs in all three forms: promise, callback and Sync. */
  onFunction(name: string, before: Before, after?: After): void;
  /** A method of FileHandle. */
  onHandle(name: string, before: Before): void;
  /** Makes what was wrapped so far visible to every importer. */
  begin(): void;
}

type Where = Record<string, unknown>;
type Call = (this: unknown, ...args: unknown[]) => unknown;
/** How a failure reaches the caller. */
type Style = "promise" | "callback" | "sync";

/** Until it is disposed. */
export async function fileHooks(): Promise<FileHooks> {
  const undo: (() => void)[] = [];
  const wrap = (where: Where, name: string, style: Style, before: Before, after?: After): void => {
    const original = where[name] as Call | undefined;
    if (typeof original !== "function") return;
    where[name] = wrapped(original, style, before, after);
    undo.push(() => {
      where[name] = original;
    });
  };
  const handle = await promises.open(new URL(import.meta.url), "r");
  const handles = Object.getPrototypeOf(handle) as Where;
  await handle.close();
  return {
    onFunction(name, before, after) {
      wrap(promises as unknown as Where, name, "promise", before, after);
      wrap(fs as unknown as Where, name, "callback", before, after);
      wrap(fs as unknown as Where, `${name}Sync`, "sync", before, after);
    },
    onHandle: (name, before) => wrap(handles, name, "promise", before),
    begin: syncBuiltinESMExports,
    [Symbol.dispose]() {
      for (const each of undo.reverse()) each();
      syncBuiltinESMExports();
    },
  };
}

function wrapped(original: Call, style: Style, before: Before, after?: After): Call {
  return function (...args) {
    const error = before(args, this);
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
}

/** As Node makes it. */
export function systemError(
  code: string,
  errno: number,
  words: string,
  syscall: string,
  path: unknown,
): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${words}, ${syscall} '${String(path)}'`), {
    code,
    errno,
    syscall,
    path: String(path),
  });
}
