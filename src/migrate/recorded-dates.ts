// The dates that an archive's ledgers recorded, by the names of its files: for those that lost theirs, and to compare.

import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { type ReadAt, scanLines } from "../core/lines.ts";
import { isObstacle, openOwn } from "../core/own-file.ts";
import { compactIndex } from "../formats/maildir/compact-index.ts";
import type { RecordedDates } from "../formats/maildir/dates.ts";
import { errno, ioError } from "../mail/errors.ts";
import type { Received } from "../mail/model.ts";
import { decode } from "./ledger-codec.ts";
import { RUNS_FILE } from "./ledger-runs.ts";
import { list } from "./verify-journals.ts";

/** An instant and its zone as one number: the zone in the low digits, one of which stands for none. */
const ZONES = 4096;
const NO_ZONE = ZONES - 1;
const MIDDLE = 2048;
const NO_DATE = Number.NEGATIVE_INFINITY;

/** Reads every journal below the archive's `mailferry/` once; lines that are damaged say nothing. 16 to 32 octets a message. */
export async function recordedDates(home: string): Promise<RecordedDates> {
  const index = compactIndex();
  const directory = join(home, "ledger");
  for (const pair of await list(directory))
    for (const file of await list(join(directory, pair)))
      if (file.endsWith(".jsonl") && file !== RUNS_FILE)
        for await (const text of linesOf(join(directory, pair, file))) {
          const line = decode(text);
          if ((line?.s !== "done" && line?.s !== "altered") || line.r === undefined) continue;
          index.add(line.r, line.d === undefined ? NO_DATE : pack(line.d, line.z));
        }
  return { of: (base) => index.find(base).map(unpack) };
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let handle: FileHandle | undefined;
  try {
    handle = await openOwn(path);
    const file = handle;
    const read: ReadAt = async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead;
    for await (const lines of scanLines(read, 0)) for (const { text } of lines) if (text !== undefined) yield text;
  } catch (error) {
    // What stands in its place is told by who checks the ledger.
    if (errno(error) !== "ENOENT" && !isObstacle(error)) throw ioError(`cannot read ${path}`, error);
  } finally {
    await handle?.close();
  }
}

function pack(epochSeconds: number, zone: number | undefined): number {
  return epochSeconds * ZONES + (zone === undefined ? NO_ZONE : zone + MIDDLE);
}

function unpack(value: number): { readonly received?: Received } {
  if (value === NO_DATE) return {};
  const epochSeconds = Math.floor(value / ZONES);
  const zone = value - epochSeconds * ZONES;
  return { received: zone === NO_ZONE ? { epochSeconds } : { epochSeconds, zoneMinutes: zone - MIDDLE } };
}
