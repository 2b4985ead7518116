// Compaction: the lines of a journal that still count, and where they stand afterwards.

import { frame } from "../core/lines.ts";
import type { Origin } from "../mail/model.ts";
import { decode, type JournalLine } from "./ledger-codec.ts";
import type { JournalStore } from "./ledger-file.ts";
import type { LedgerState } from "./ledger-state.ts";
import { BIT, STATE } from "./ledger-table.ts";

/**
 * Streams the lines that a journal of the same meaning needs, in their old order, framed; `last` comes at the end. What is
 * left of forgotten records is the day on which they were first seen.
 */
export async function* liveLines(store: JournalStore, state: LedgerState, last: string): AsyncGenerator<string> {
  const { table } = state;
  for (let row = 0; row < table.count; row++) table.mark(row, BIT.written, false);
  for await (const lines of store.scan())
    for (const { text, offset } of lines) {
      const line = text === undefined ? undefined : decode(text);
      if (line === undefined || text === undefined || line.s === "forget" || line.s === "open" || line.s === "close")
        continue;
      const origin: Origin = { folder: line.f, generation: line.g, id: line.i };
      const row = state.find(origin);
      if (row < 0) continue;
      if (counts(line, table.state(row), table.has(row, BIT.record), table.offset(row) === offset))
        yield frame(withoutOrigin(line, text));
      const seen = table.seen(row);
      // A record says its own day.
      if (!table.has(row, BIT.record) && seen !== undefined && table.mark(row, BIT.written)) {
        const left: JournalLine = { s: "seen", f: line.f, g: line.g, i: line.i, c: seen };
        yield frame(JSON.stringify(left));
      }
    }
  if (last !== "") yield last;
}

/** The line without the origin that it was taken over from: that one's own line is not written any more. */
function withoutOrigin(line: JournalLine, text: string): string {
  if (!("o" in line)) return text;
  const { o: _, ...rest } = line;
  return JSON.stringify(rest);
}

function counts(line: JournalLine, state: number, hasRecord: boolean, isLatest: boolean): boolean {
  if (line.s === "done" || line.s === "altered") return hasRecord && isLatest;
  if (line.s === "removed") return state === STATE.removed;
  return line.s === "failed" && state === STATE.failed && isLatest;
}

/** After a rewrite: every row's new offset, and the marks that the file has now. */
export async function replant(store: JournalStore, state: LedgerState): Promise<void> {
  const { table } = state;
  state.lines = 0;
  state.closedRun = undefined;
  for await (const lines of store.scan())
    for (const { text, offset } of lines) {
      const line = text === undefined ? undefined : decode(text);
      if (line === undefined) continue;
      if (line.s === "close" || line.s === "open") {
        state.apply(line, offset, true);
        continue;
      }
      state.lines++;
      if (line.s !== "done" && line.s !== "altered" && line.s !== "failed") continue;
      const row = state.find({ folder: line.f, generation: line.g, id: line.i });
      if (row >= 0) table.setOffset(row, offset);
    }
}
