// The small files of an archive beside its mail: which there are, and whether they are as the last run left them.

import { readdirSync, statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isObstacle } from "../core/own-file.ts";
import { Pace } from "../core/pace.ts";
import { errno, ioError } from "../mail/errors.ts";
import {
  type Inventory,
  inventoryFile,
  isNoFile,
  readInventory,
  type Stated,
  stateOf,
  strayName,
} from "./inventory.ts";

const pace = new Pace();
/** Files of one folder that are named one by one. */
const NAMED = 5;

/** Every file that an inventory states, by its path below `mailferry/`, with its size. What is no file is left out. */
export async function ownFiles(home: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  const add = async (name: string): Promise<void> => {
    const size = await sizeOf(join(home, name));
    if (size !== undefined) files.set(name, size);
  };
  for (const name of ["archive.json", "folders.jsonl", "numbers"]) await add(name);
  for (const name of await namesIn(join(home, "traits"))) if (name.endsWith(".jsonl")) await add(`traits/${name}`);
  for (const pair of await namesIn(join(home, "ledger")))
    for (const name of await namesIn(join(home, "ledger", pair)))
      if (name.endsWith(".jsonl")) await add(`ledger/${pair}/${name}`);
  return files;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const stats = pace.quick ? pace.run(() => statSync(path)) : await stat(path);
    return stats.isFile() ? stats.size : undefined;
  } catch (error) {
    const code = errno(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    throw ioError(`cannot look at ${path}`, error);
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return pace.quick ? pace.run(() => readdirSync(directory)) : await readdir(directory);
  } catch (error) {
    const code = errno(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}

/** One that is told: the file, and what is wrong with it in words. */
export interface Amiss {
  readonly file: string;
  readonly what: string;
}

/** What is gone, or shorter than it was: by a look at the sizes alone. */
export function* shortened(inventory: Inventory, sizes: ReadonlyMap<string, number>): Generator<Amiss> {
  for (const [file, { size }] of inventory.files) {
    if (isNoFile(file)) continue;
    const now = sizes.get(file);
    if (now === undefined) yield { file, what: "is missing" };
    else if (now < size) yield { file, what: lacks(now, size) };
  }
}

/** Whether one file is gone, or shorter than the last run left it. */
export async function isShortened(home: string, file: string): Promise<boolean> {
  const inventory = await readInventory(home).catch(() => undefined);
  const stated = inventory?.files.get(file);
  return stated !== undefined && ((await sizeOf(join(home, file))) ?? 0) < stated.size;
}

/** The same, and every octet that an inventory states is read. */
export async function* changed(home: string, inventory: Inventory, signal: AbortSignal): AsyncGenerator<Amiss> {
  for (const [file, stated] of inventory.files) {
    signal.throwIfAborted();
    if (isNoFile(file)) continue;
    try {
      const now = await stateOf(join(home, file), { upTo: stated.size });
      const what = differs(stated, now);
      if (what !== undefined) yield { file, what };
    } catch (error) {
      if (!isObstacle(error)) throw error;
      yield { file, what: "is no file any more" };
    }
  }
}

function differs(stated: Stated, now: Stated | undefined): string | undefined {
  if (now === undefined) return "is missing";
  if (stated.runs !== undefined) {
    // A run that came to no end may have written it anew.
    if (now.runs !== undefined && now.runs > stated.runs) return undefined;
    if (now.runs !== undefined && now.runs < stated.runs) return "is an older one than the last run left";
  }
  if (now.size < stated.size) return lacks(now.size, stated.size);
  return now.sum === stated.sum ? undefined : "has other bytes than were written";
}

function lacks(now: number, then: number): string {
  return now === 0 ? "is empty" : `lacks its end (${now} bytes are left of ${then})`;
}

/**
 * Words, one line a problem, for what of an archive's own files is not as a run left it; `wanted`: the number of the last inventory that a
 * run said it wrote. "unknown" where no run has written one: an older version kept none.
 */
export async function checkOwnFiles(
  home: string,
  wanted: number | undefined,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<"known" | "unknown"> {
  let inventory: Inventory | undefined;
  try {
    inventory = await readInventory(home);
  } catch (error) {
    if (!isObstacle(error)) throw error;
    onProblem((error as Error).message);
    return "known";
  }
  for (const text of ofInventory(home, inventory, wanted)) onProblem(text);
  if (inventory === undefined) return wanted === undefined ? "unknown" : "known";
  const found: Amiss[] = [];
  for await (const amiss of changed(home, inventory, signal)) found.push(amiss);
  for (const text of inWords(home, found)) onProblem(text);
  return "known";
}

/** What is wrong with the inventory itself. */
export function* ofInventory(
  home: string,
  inventory: Inventory | undefined,
  wanted: number | undefined,
): Generator<string> {
  const path = inventoryFile(home);
  if (inventory === undefined) {
    if (wanted !== undefined) yield `${path} is missing: whether the archive's own files are all there is not known`;
  } else if (!inventory.isWhole) yield `${path} is damaged: it says what files belong to the archive`;
  else if (wanted !== undefined && inventory.batch < wanted)
    yield `${path} is an older one than the last run left: it says what files belong to the archive`;
}

/** How many messages of a folder may be in no ledger: a run with --recheck found no owner for them. */
export async function knownStrays(home: string): Promise<(generation: string) => number> {
  const inventory = await readInventory(home).catch(() => undefined);
  return (generation) => inventory?.files.get(strayName(generation))?.size ?? 0;
}

/** Many in one folder are counted. */
export function inWords(home: string, found: readonly Amiss[]): string[] {
  const groups = new Map<string, Amiss[]>();
  for (const amiss of found) {
    const directory = amiss.file.slice(0, amiss.file.lastIndexOf("/") + 1);
    groups.set(directory, [...(groups.get(directory) ?? []), amiss]);
  }
  return [...groups].flatMap(([directory, all]) =>
    all.length <= NAMED
      ? all.map(({ file, what }) => `${join(home, file)} ${what}${meaning(file)}`)
      : [`${all.length} files in ${join(home, directory)} are gone or not as they were${meaning(directory)}`],
  );
}

function meaning(file: string): string {
  if (file.startsWith("traits/")) return ": labels, keywords and dates of messages are lost with it";
  if (file.startsWith("folders.jsonl")) return ": true names and uses of folders are lost with it";
  return file.startsWith("ledger/") ? ": it says what was stored" : "";
}
