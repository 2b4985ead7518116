// Finding the file of a message by its base name, also after another program has renamed it.

import { compactIndex } from "./compact-index.ts";
import { changeTimes, messageFiles, nameIn } from "./listing.ts";
import { parseFileName } from "./names.ts";
import type { BytePath } from "./paths.ts";

export interface Locator {
  /**
   * Runs `use` on the file ("cur/name") of a message, again under its new name when `use` fails with ENOENT because it was renamed
   * meanwhile. Undefined when the folder holds it no more.
   */
  with<T>(base: string, use: (file: string) => Promise<T>): Promise<T | undefined>;
  /** Tells where a message is now: we put or renamed it. */
  moved(base: string, file: string): void;
}

/** Latest places that are remembered by name, over all folders; a proof follows its append closely. */
const RECENT = 4096;
const recent = new Map<string, string>();
/** Renames that one search follows. */
const TRIES = 4;

/**
 * One listing serves many searches: for every message 16 to 32 octets are kept (a hash of the base name, and the number of what
 * stands around it: few different ones). A search that it cannot answer lists again, but only when the folder has changed.
 */
export function locatorOf(folder: BytePath): Locator {
  const suffixes: string[] = [];
  const numbers = new Map<string, number>();
  let listed: { readonly index: ReturnType<typeof compactIndex>; readonly stamp: string } | undefined;
  let listing: Promise<void> | undefined;

  const numberOf = (frame: string): number => {
    const known = numbers.get(frame);
    if (known !== undefined) return known;
    numbers.set(frame, suffixes.length);
    return suffixes.push(frame) - 1;
  };
  const list = async (): Promise<void> => {
    const stamp = await changeTimes(folder);
    if (listed !== undefined && listed.stamp === stamp) return;
    const index = compactIndex();
    for await (const file of messageFiles(folder)) {
      const { base } = parseFileName(nameIn(file));
      const at = file.lastIndexOf("/") + 1;
      index.add(base, numberOf(file.slice(0, at) + file.slice(at + base.length)));
    }
    listed = { index, stamp };
  };
  /** Names to try, the likeliest first. */
  function* places(base: string): Generator<string> {
    const last = recent.get(`${folder}/${base}`);
    if (last !== undefined) yield last;
    const found = listed?.index.find(base) ?? [];
    for (let i = found.length - 1; i >= 0; i--) {
      const frame = suffixes[found[i] ?? -1];
      if (frame === undefined) continue;
      const at = frame.lastIndexOf("/") + 1;
      yield frame.slice(0, at) + base + frame.slice(at);
    }
  }

  return {
    async with(base, use) {
      for (let attempt = 0; attempt < TRIES; attempt++) {
        for (const file of places(base)) {
          try {
            return await use(file);
          } catch (error) {
            if (!isMissing(error)) throw error;
          }
        }
        recent.delete(`${folder}/${base}`);
        listing ??= list().finally(() => {
          listing = undefined;
        });
        await listing;
        if (!places(base).next().value) return undefined;
      }
      // A name that clashes with the cheap index, or one that is renamed all the time.
      for await (const file of messageFiles(folder))
        if (parseFileName(nameIn(file)).base === base) return await use(file);
      return undefined;
    },
    moved(base, file) {
      const key = `${folder}/${base}`;
      recent.delete(key);
      recent.set(key, file);
      if (recent.size > RECENT) for (const oldest of recent.keys()) if (recent.delete(oldest)) break;
    },
  };
}

function isMissing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return "code" in error && error.code === "ENOENT" ? true : isMissing(error.cause);
}
