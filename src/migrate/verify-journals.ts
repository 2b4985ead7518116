// The ledgers of an archive by themselves: every line is whole, they are of this archive, and what they say was stored.

import { createHash } from "node:crypto";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { lacksOnlyItsEnd, type ReadAt, scanLines } from "../core/lines.ts";
import { errno, ioError } from "../mail/errors.ts";
import type { ContentKey } from "../mail/key.ts";
import { NO_TRAITS } from "../mail/model.ts";
import { KeyTable } from "./key-table.ts";
import { decode } from "./ledger-codec.ts";

/** What the ledgers say of one target folder. */
export interface Recorded {
  /** The names of the messages stored (as keys), each with the first 32 bits of its content key. */
  readonly table: KeyTable;
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
  for (const pair of await list(directory))
    for (const file of await list(join(directory, pair)))
      if (file.endsWith(".jsonl"))
        await readJournal(join(directory, pair, file), identity, folders, onProblem, onReceipt);
  return folders;
}

async function readJournal(
  path: string,
  identity: string,
  folders: Map<string, Recorded>,
  onProblem: (text: string) => void,
  onReceipt: ((ref: string) => void) | undefined,
): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const file = handle;
    let table = new KeyTable();
    let name: string | undefined;
    let generation: string | undefined;
    let closed = true;
    let labels = false;
    let number = 0;
    const damaged = (): void => onProblem(`${path}: line ${number} is damaged`);
    const read: ReadAt = async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead;
    for await (const lines of scanLines(read, 0))
      for (const { text, torn, offset } of lines) {
        number++;
        if (torn) {
          // What a killed run left of a line is no damage; a whole line whose line end was changed is.
          if (await lacksOnlyItsEnd(read, offset)) damaged();
          closed = false;
          continue;
        }
        if (text === undefined) {
          damaged();
          continue;
        }
        if (number === 1) {
          const header = JSON.parse(text) as { readonly sink?: unknown; readonly folder?: unknown };
          if (header.sink !== identity)
            onProblem(`${path}: it is the ledger of another archive (${String(header.sink)})`);
          if (typeof header.folder === "string") name = header.folder;
          continue;
        }
        const line = decode(text);
        if (line?.s === "forget") table = new KeyTable();
        if (line?.s === "open" || line?.s === "close") {
          closed = line.s === "close";
          generation = line.g ?? generation;
        }
        if (line?.s !== "done" || line.r === undefined) continue;
        onReceipt?.(line.r);
        labels ||= line.l !== undefined;
        const key = nameKey(line.r);
        if (table.find(key).next().done === true) table.add(key, NO_TRAITS, firstWord(line.k));
      }
    if (name !== undefined) merge(folders, name, { table, generations: setOf(generation), closed, labels });
  } catch (error) {
    throw ioError(`cannot read ${path}`, error);
  } finally {
    await handle?.close();
  }
}

function setOf(generation: string | undefined): Set<string> {
  return new Set(generation === undefined ? [] : [generation]);
}

function merge(folders: Map<string, Recorded>, name: string, found: Recorded): void {
  const before = folders.get(name);
  if (before === undefined) {
    folders.set(name, found);
    return;
  }
  for (const { key, id } of found.table.entries())
    if (before.table.find(key).next().done === true) before.table.add(key, NO_TRAITS, id);
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
