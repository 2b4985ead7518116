// A Maildir archive by itself: every message that its ledgers recorded is there, with the bytes that were recorded.

import { createHash } from "node:crypto";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { scanLines } from "../core/lines.ts";
import { errno, ioError, MailError } from "../mail/errors.ts";
import { type ContentKey, keyOf } from "../mail/key.ts";
import { NO_TRAITS, showPath } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { KeyTable } from "./key-table.ts";
import { decode } from "./ledger-codec.ts";

/**
 * Reads every message of the archive and every journal of its ledgers (`home` is the archive's `mailferry/`). Each damaged,
 * missing or unreadable message and each bad journal line is given to `onProblem`, in one line. A message that no ledger
 * records (put there by another program) is read, and cannot be judged.
 */
export async function verifyArchive(
  source: Source,
  home: string,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<{ messages: number }> {
  const recorded = await readLedgers(join(home, "ledger"), onProblem);
  const generations = new Set<string>();
  let messages = 0;
  for await (const folder of source.folders(signal)) {
    if (!folder.selectable) continue;
    const name = folder.name ?? showPath(folder.path);
    const expected = recorded.get(name);
    recorded.delete(name);
    for await (const slice of source.slices(folder, signal))
      for await (const { entry, content } of source.read(slice, { want: () => true, signal })) {
        messages++;
        const { id, generation } = entry.origin;
        generations.add(generation);
        try {
          const { key } = await keyOf(content);
          const [row] = expected?.find(nameKey(id)) ?? [];
          if (row === undefined) continue;
          expected?.take(row.index);
          if (row.id !== firstWord(key)) onProblem(`${showPath(folder.path)}: ${id} has other bytes than were stored`);
        } catch (error) {
          if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
          onProblem(`${showPath(folder.path)}: ${id} cannot be read: ${error.message}`);
        }
      }
    let gone = 0;
    for (const _ of expected?.left() ?? []) gone++;
    if (gone > 0) onProblem(`${showPath(folder.path)}: ${gone} messages that were stored are no longer there`);
  }
  // What file names cannot hold (labels, further keywords, odd dates) lies in a file a folder, under the folder's own id.
  for (const file of await list(join(home, "traits")))
    if (!generations.has(file.replace(/\.jsonl$/, "")))
      onProblem(`${join(home, "traits", file)} belongs to no folder: that folder's labels and keywords are not read`);
  for (const [name, table] of recorded)
    if (table.size > 0) onProblem(`${name}: the folder is gone, and with it ${table.size} messages that were stored`);
  return { messages };
}

/** By target folder: the names of the messages stored, each with the first 32 bits of its content key. */
async function readLedgers(directory: string, onProblem: (text: string) => void): Promise<Map<string, KeyTable>> {
  const tables = new Map<string, KeyTable>();
  for (const pair of await list(directory))
    for (const file of await list(join(directory, pair)))
      if (file.endsWith(".jsonl")) await readJournal(join(directory, pair, file), tables, onProblem);
  return tables;
}

async function readJournal(
  path: string,
  tables: Map<string, KeyTable>,
  onProblem: (text: string) => void,
): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const file = handle;
    let table = new KeyTable();
    let name: string | undefined;
    let number = 0;
    for await (const lines of scanLines(
      async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead,
      0,
    ))
      for (const { text, torn } of lines) {
        number++;
        if (text === undefined) {
          if (!torn) onProblem(`${path}: line ${number} is damaged`);
          continue;
        }
        if (number === 1) {
          name = folderOf(text);
          continue;
        }
        const line = decode(text);
        if (line?.s === "forget") table = new KeyTable();
        if (line?.s !== "done" || line.r === undefined) continue;
        const key = nameKey(line.r);
        if (table.find(key).next().done === true) table.add(key, NO_TRAITS, firstWord(line.k));
      }
    if (name !== undefined) merge(tables, name, table);
  } catch (error) {
    throw ioError(`cannot read ${path}`, error);
  } finally {
    await handle?.close();
  }
}

function merge(tables: Map<string, KeyTable>, name: string, table: KeyTable): void {
  const before = tables.get(name);
  if (before === undefined) {
    tables.set(name, table);
    return;
  }
  for (const { key, id } of table.entries()) if (before.find(key).next().done === true) before.add(key, NO_TRAITS, id);
}

/** A message's unique name in the form of a key. */
function nameKey(name: string): ContentKey {
  return createHash("sha256").update(name).digest("hex") as ContentKey;
}

function firstWord(key: string): number {
  return Number.parseInt(key.slice(0, 8), 16);
}

function folderOf(header: string): string | undefined {
  const parsed: unknown = JSON.parse(header);
  if (typeof parsed !== "object" || parsed === null || !("folder" in parsed)) return undefined;
  return typeof parsed.folder === "string" ? parsed.folder : undefined;
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}
