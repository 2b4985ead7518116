// What the runs into an archive left in it about themselves: which of them came to no end, and which inventory the last one wrote.

import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { type ReadAt, scanLines } from "../core/lines.ts";
import { isObstacle, openOwn } from "../core/own-file.ts";
import { errno, ioError } from "../mail/errors.ts";
import { RUNS_FILE } from "./ledger-runs.ts";
import { decodeRun, type RunLine } from "./ledger-runs-codec.ts";
import { list } from "./verify-journals.ts";

export interface ArchiveRuns {
  /** A line for each run that was broken off, and that no later one made good. */
  readonly unfinished: readonly string[];
  /** The number of the newest inventory that a run said it wrote; undefined where none did. */
  readonly inventory: number | undefined;
}

type Start = Extract<RunLine, { readonly s: "start" }>;

/** `home`: the archive's `mailferry/`. What is damaged is passed over, and told where the ledgers are checked. */
export async function readArchiveRuns(home: string): Promise<ArchiveRuns> {
  const unfinished: string[] = [];
  let inventory: number | undefined;
  for (const pair of await list(join(home, "ledger"))) {
    const { source, open, last } = await readRuns(join(home, "ledger", pair, RUNS_FILE));
    if (last !== undefined) inventory = Math.max(inventory ?? 0, last);
    const first = open[0];
    if (first === undefined) continue;
    const when = new Date(first.a * 1000).toISOString().replace(/\.\d+Z$/, "Z");
    unfinished.push(
      `the run from ${source} that began ${when} did not come to its end: run the same command again for what is open`,
    );
  }
  return { unfinished, inventory };
}

async function readRuns(path: string): Promise<{ source: string; open: readonly Start[]; last: number | undefined }> {
  let source = "its source";
  let open: Start[] = [];
  const starts = new Map<number, Start>();
  let last: number | undefined;
  const take = (line: RunLine): void => {
    if (line.s === "start") {
      starts.set(line.n, line);
      open.push(line);
    }
    if (line.s !== "end") return;
    if (line.i !== undefined) last = Math.max(last ?? 0, line.i);
    const start = starts.get(line.n);
    if (start !== undefined && line.w !== "stopped") open = open.filter((run) => run !== start && !covers(start, run));
  };
  let handle: FileHandle | undefined;
  try {
    handle = await openOwn(path);
    const file = handle;
    const read: ReadAt = async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead;
    let number = 0;
    for await (const lines of scanLines(read, 0))
      for (const { text } of lines) {
        const line = text === undefined ? undefined : decodeRun(text);
        if (line !== undefined) take(line);
        else if (number === 0 && text !== undefined) source = sourceOf(text) ?? source;
        number++;
      }
  } catch (error) {
    const isGone = errno(error) === "ENOENT" || errno(error) === "ENOTDIR";
    if (!isGone && !isObstacle(error)) throw ioError(`cannot read ${path}`, error);
  } finally {
    await handle?.close();
  }
  return { source, open, last };
}

function sourceOf(header: string): string | undefined {
  try {
    const { source } = JSON.parse(header) as { readonly source?: unknown };
    return typeof source === "string" ? source : undefined;
  } catch {
    return undefined;
  }
}

const CHOICE = ["include", "exclude", "map", "into", "maxSize", "skipDeleted"] as const;
const DAY = 86_400;

/** Whether a run looked for all that another one was to bring. Bounds in time that move with the calendar are the same bounds. */
function covers(later: Start, earlier: Start): boolean {
  const chosen = ({ o }: Start): unknown[] => CHOICE.map((name) => o[name]);
  const isSame = JSON.stringify(chosen(later)) === JSON.stringify(chosen(earlier));
  const isLess = earlier.o.withExpunged === true && later.o.withExpunged !== true;
  if (isLess || (!isSame && chosen(later).some((value) => value !== undefined && value !== false))) return false;
  const bound = ({ o }: Start, name: "since" | "before", none: number): number => {
    const value = o[name];
    return typeof value === "number" ? value : none;
  };
  const passed = Math.max(0, later.a - earlier.a) + DAY;
  const since = [later, earlier].map((run) => bound(run, "since", Number.NEGATIVE_INFINITY)) as [number, number];
  const before = [later, earlier].map((run) => bound(run, "before", Number.POSITIVE_INFINITY)) as [number, number];
  return since[0] <= since[1] + passed && before[0] >= before[1];
}
