// The ledgers of an archive by themselves: every line is whole, they are of this archive, and what they say was stored.

import { createHash } from "node:crypto";
import { type FileHandle, readdir } from "node:fs/promises";
import { join } from "node:path";
import { lacksOnlyItsEnd, type ReadAt, scanLines } from "../core/lines.ts";
import { isObstacle, openOwn } from "../core/own-file.ts";
import { errno, ioError } from "../mail/errors.ts";
import type { ContentKey } from "../mail/key.ts";
import { NO_TRAITS } from "../mail/model.ts";
import { KeyTable } from "./key-table.ts";
import { decode } from "./ledger-codec.ts";
import { RUNS_FILE } from "./ledger-runs.ts";

/** What the ledgers say of one target folder. */
export interface Recorded {
  /** The names of the messages stored (as keys), each with the first 32 bits of its content key. */
  readonly table: KeyTable;
  /** Rows of it whose copies their owner deleted, as a run saw. */
  readonly removed: Set<number>;
  /** The newest copy of each ledger, when it was last closed. */
  readonly newest: Set<ContentKey>;
  /** The folder's generations, as the last run of each source saw it. */
  readonly generations: Set<string>;
  /** Every run came to its end: no message was stored without its record. */
  closed: boolean;
  /** Some message was stored with a label. */
  labels: boolean;
}

/** Reads every journal below `directory`, by target folder. `identity`: the archive's own. `onReceipt` gets every receipt. */
export async function readLedgers(
  directory: string,
  identity: string,
  onProblem: (text: string) => void,
  onReceipt?: (ref: string) => void,
): Promise<Map<string, Recorded>> {
  const folders = new Map<string, Recorded>();
  for (const pair of await list(directory)) {
    const files = (await list(join(directory, pair))).filter((file) => file.endsWith(".jsonl"));
    let run = 0;
    for (const file of files) {
      const path = join(directory, pair, file);
      if (file === RUNS_FILE) await readRuns(path, identity, onProblem);
      else run = Math.max(run, await readJournal(path, identity, folders, onProblem, onReceipt));
    }
    if (run > 0 && !files.includes(RUNS_FILE)) onProblem(`${join(directory, pair, RUNS_FILE)} is missing`);
  }
  return folders;
}

/** Every line of the file with the runs of one pair. */
async function readRuns(path: string, identity: string, onProblem: (text: string) => void): Promise<void> {
  const first = (text: string, number: number): void => {
    if (number === 1) headerOf(path, text, identity, onProblem);
  };
  await eachLine(path, onProblem, first);
}

/** Returns the highest number of a run that a record bears; 0 where none does. */
async function readJournal(
  path: string,
  identity: string,
  folders: Map<string, Recorded>,
  onProblem: (text: string) => void,
  onReceipt: ((ref: string) => void) | undefined,
): Promise<number> {
  let table = new KeyTable();
  const removed = new Set<number>();
  let newest: ContentKey | undefined;
  let name: string | undefined;
  let generation: string | undefined;
  let closed = true;
  let labels = false;
  let run = 0;
  const take = (text: string, number: number): void => {
    if (number === 1) {
      name = headerOf(path, text, identity, onProblem);
      return;
    }
    const line = decode(text);
    if (line?.s === "forget") {
      table = new KeyTable();
      removed.clear();
      newest = undefined;
    }
    const last = line?.s === "close" ? line.w?.at(-1) : undefined;
    if (last !== undefined) newest = nameKey(last.r);
    if (line?.s === "open" || line?.s === "close") {
      closed = line.s === "close";
      generation = line.g ?? generation;
    }
    if (line !== undefined && "u" in line) run = Math.max(run, line.u ?? 0);
    if (line?.s !== "done" || line.r === undefined) return;
    onReceipt?.(line.r);
    labels ||= line.l !== undefined;
    const key = nameKey(line.r);
    const [known] = table.find(key);
    const row = known?.index ?? table.add(key, NO_TRAITS, firstWord(line.k));
    if (line.v === 1) removed.add(row);
    else removed.delete(row);
  };
  if (await eachLine(path, onProblem, take)) closed = false;
  const found = { table, removed, newest: setOf(newest), generations: setOf(generation), closed, labels };
  if (name !== undefined) merge(folders, name, found);
  return run;
}

/** The folder that a file's first line names. */
function headerOf(path: string, text: string, identity: string, onProblem: (text: string) => void): string | undefined {
  const { sink, folder } = JSON.parse(text) as { readonly sink?: unknown; readonly folder?: unknown };
  if (sink !== identity) onProblem(`${path}: it is the ledger of another archive (${String(sink)})`);
  return typeof folder === "string" ? folder : undefined;
}

/** The target folder that a journal is about; undefined where its first line is damaged. */
export async function folderOfJournal(path: string): Promise<string | undefined> {
  let name: string | undefined;
  await eachLine(
    path,
    () => undefined,
    (text, number) => {
      if (number === 1) name = headerOf(path, text, "", () => undefined);
    },
  );
  return name;
}

/** Every whole line with its number; what is damaged is a problem. True when the file ends within a line. */
async function eachLine(
  path: string,
  onProblem: (text: string) => void,
  take: (text: string, number: number) => void,
): Promise<boolean> {
  let handle: FileHandle | undefined;
  try {
    handle = await openOwn(path);
    const file = handle;
    const read: ReadAt = async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead;
    let number = 0;
    let isTorn = false;
    for await (const lines of scanLines(read, 0))
      for (const { text, torn, offset } of lines) {
        number++;
        isTorn ||= torn;
        // What a killed run left of a line is no damage; a whole line whose line end was changed is.
        const isDamaged = torn ? await lacksOnlyItsEnd(read, offset) : text === undefined;
        if (isDamaged) onProblem(`${path}: line ${number} is damaged`);
        else if (text !== undefined) take(text, number);
      }
    return isTorn;
  } catch (error) {
    if (!isObstacle(error)) throw ioError(`cannot read ${path}`, error);
    onProblem((error as Error).message);
    return true;
  } finally {
    await handle?.close();
  }
}

function setOf<T extends string>(value: T | undefined): Set<T> {
  return new Set(value === undefined ? [] : [value]);
}

function merge(folders: Map<string, Recorded>, name: string, found: Recorded): void {
  const before = folders.get(name);
  if (before === undefined) {
    folders.set(name, found);
    return;
  }
  let row = 0;
  for (const { key, id } of found.table.entries()) {
    const [known] = before.table.find(key);
    const at = known?.index ?? before.table.add(key, NO_TRAITS, id);
    if (found.removed.has(row++)) before.removed.add(at);
  }
  for (const key of found.newest) before.newest.add(key);
  for (const generation of found.generations) before.generations.add(generation);
  before.closed &&= found.closed;
  before.labels ||= found.labels;
}

/** A message's unique name in the form of a key. */
export function nameKey(name: string): ContentKey {
  return createHash("sha256").update(name).digest("hex") as ContentKey;
}

export function firstWord(key: string): number {
  return Number.parseInt(key.slice(0, 8), 16);
}

/** Nothing where there is no such directory. */
export async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}
