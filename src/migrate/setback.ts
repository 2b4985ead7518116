// Whether a target folder is still the one that was written: a receipt names a copy only as long as its store did not go back in time.

import { MailError } from "../mail/errors.ts";
import { MOST_GONE, type Receipt, type SinkFolder, type Stood } from "../sinks/sink.ts";
import { isProved } from "./copy.ts";
import type { DoneRecord, FolderLedger } from "./ledger.ts";
import { Hash64Set, hash64 } from "./ledger-hash.ts";

export interface Look {
  /** Why nothing that was recorded of this folder may be believed, in words; undefined where it may. */
  readonly why?: string;
  /** Recorded copies that its owner deleted since the last run. */
  readonly deleted: number;
  /** Whether a copy is not there. */
  readonly lacks?: (receipt: Receipt) => boolean;
}

const NOTHING: Look = { deleted: 0 };

/** Throws what the sink throws. */
export async function lookBack(
  folder: SinkFolder,
  ledger: FolderLedger,
  stood: Stood,
  signal: AbortSignal,
): Promise<Look> {
  const { why, strange = [], thinned } = folder.setback ?? {};
  if (why !== undefined) return { ...NOTHING, why };
  for (const { receipt, key } of strange)
    if (!(await isThere(folder, receipt, key, signal))) return { ...NOTHING, why: "other mail has the name of a copy" };
  return thinned === true ? await countGone(folder, ledger, stood, signal) : NOTHING;
}

/** Servers that change dates and octets make a copy look strange. */
async function isThere(...copy: Parameters<typeof isProved>): Promise<boolean> {
  try {
    return await isProved(...copy);
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    return false;
  }
}

/** What earlier runs saw deleted counts neither as recorded nor as gone. */
async function countGone(folder: SinkFolder, ledger: FolderLedger, stood: Stood, signal: AbortSignal): Promise<Look> {
  const lacks = folder.lacks?.bind(folder) ?? (await listed(folder, signal));
  let deleted = 0;
  let known = 0;
  for await (const { receipt, gone } of ledger.records())
    if (gone === true) known++;
    else if (receipt !== undefined && lacks(receipt)) deleted++;
  const recorded = stood.recorded - known;
  if (deleted > 0 && deleted >= MOST_GONE * recorded)
    return { ...NOTHING, why: `${deleted} of the ${recorded} copies are not there any more` };
  return { deleted, lacks };
}

/** Records of what its owner deleted say so from here on. */
export async function noteDeleted(ledger: FolderLedger, { lacks }: Look): Promise<void> {
  if (lacks === undefined) return;
  let batch: DoneRecord[] = [];
  for await (const record of ledger.records()) {
    if (record.gone === true || record.receipt === undefined || !lacks(record.receipt)) continue;
    batch.push({ ...record, gone: true });
    if (batch.length < BATCH) continue;
    await ledger.putAll(batch);
    batch = [];
  }
  await ledger.putAll(batch);
}

const BATCH = 1000;

async function listed(folder: SinkFolder, signal: AbortSignal): Promise<(receipt: Receipt) => boolean> {
  const there = new Hash64Set();
  const hash = { lo: 0, hi: 0 };
  for await (const { receipt } of folder.copies(undefined, signal)) there.add(hash64(receipt.ref, hash));
  return ({ ref }) => !there.has(hash64(ref, hash));
}
