// What a run leaves in the ledger about itself: that it began, by which selection, and how it ended.

import { version } from "../core/version.ts";
import type { RunOptions } from "./context.ts";
import type { Ledger } from "./ledger.ts";
import type { RunTally } from "./tally.ts";

export interface RunLines extends AsyncDisposable {
  /** Only the first one counts. */
  end(outcome: string, inventory?: number): Promise<void>;
}

/** Durable when it resolves. Disposing of it without an end says that the run was stopped. */
export async function logRun(ledger: Ledger, options: RunOptions, tally: RunTally): Promise<RunLines> {
  await ledger.beginRun({ version: version(), selection: selectionOf(options) });
  let isEnded = false;
  const end = async (outcome: string, inventory?: number): Promise<void> => {
    if (isEnded) return;
    isEnded = true;
    const list = inventory === undefined ? {} : { inventory };
    const removed = tally.removed === 0 ? {} : { removed: tally.removed };
    await ledger.endRun({ outcome, balance: { ...tally.balance(), ...removed }, ...list });
  };
  // What was copied has its records, and a run without an end is what a killed one leaves.
  return { end, [Symbol.asyncDispose]: () => end("stopped").catch(() => undefined) };
}

/** The options that decide what is carried, where to, and what becomes of it; as they were given. */
function selectionOf(options: RunOptions): Record<string, unknown> {
  const { select, map, into, since, before, maxSize, recheck, prove, flags, skipDeleted, withExpunged, remove } =
    options;
  const all = {
    include: select?.include,
    exclude: select?.exclude,
    map,
    into,
    since,
    before,
    maxSize,
    recheck,
    prove,
    flags,
    skipDeleted,
    withExpunged,
    ...(remove === undefined ? {} : { remove: { olderThanSeconds: remove.olderThanSeconds, most: remove.most } }),
  };
  const isSaid = (value: unknown): boolean => value !== undefined && !(Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(all).filter(([, value]) => isSaid(value)));
}
