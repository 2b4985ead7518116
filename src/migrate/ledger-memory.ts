// A journal that is written in memory alone, on top of what is on the disk: the ledger of a dry run.

import type { ScannedLine } from "../core/lines.ts";
import type { JournalStore } from "./ledger-file.ts";

/** Reads `base` and never writes to it. */
export function memoryStore(base: JournalStore | undefined): JournalStore {
  let lines = new Map<number, string>();
  let beneath = base;
  let start = base?.size ?? 0;
  let size = start;
  let runs = base?.runs ?? 0;

  const add = (framed: string): void => {
    for (const line of framed.split("\n")) {
      if (line === "") continue;
      // Offsets count as they would in a file; the text stands behind the checksum and a space.
      lines.set(size, line.slice(9));
      size += line.length + 1;
    }
  };
  return {
    get runs() {
      return runs;
    },
    get size() {
      return size;
    },
    isOld: false,
    writtenAt: base?.writtenAt,
    async *scan(from = 0) {
      if (beneath !== undefined && from < start) yield* beneath.scan(from === 0 ? undefined : from);
      const batch: ScannedLine[] = [];
      for (const [offset, text] of lines) if (offset >= from) batch.push({ offset, text, torn: false });
      if (batch.length > 0) yield batch;
    },
    async lineAt(offset) {
      const text = lines.get(offset);
      if (text !== undefined) return text;
      if (beneath === undefined) throw new Error(`no line at ${offset}`);
      return await beneath.lineAt(offset);
    },
    async append(framed, next) {
      const at = size;
      add(framed);
      if (next !== undefined) runs = next;
      return at;
    },
    cut(to) {
      size = to;
      start = Math.min(start, to);
    },
    async replace(source, count) {
      let text = "";
      for await (const line of source) text += line;
      lines = new Map();
      beneath = undefined;
      start = 0;
      size = 0;
      runs = count;
      add(text);
    },
    async setAside() {
      return undefined;
    },
    async close() {
      await base?.close();
    },
  };
}
