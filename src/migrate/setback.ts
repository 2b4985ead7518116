// Whether a target folder is still the one that was written: a receipt names a copy only as long as its store did not go back in time.

import { MailError } from "../mail/errors.ts";
import { MOST_GONE, type Receipt, type SinkFolder, type Stood } from "../sinks/sink.ts";
import { isProved } from "./copy.ts";
import type { FolderLedger } from "./ledger.ts";
import { Hash64Set, hash64 } from "./ledger-hash.ts";

/** Why nothing that was recorded of this folder may be believed, in words; undefined where it may. Throws what the sink throws. */
export async function setbackOf(
  folder: SinkFolder,
  ledger: FolderLedger,
  stood: Stood,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { why, strange = [], thinned } = folder.setback ?? {};
  if (why !== undefined) return why;
  for (const { receipt, key } of strange)
    if (!(await isThere(folder, receipt, key, signal))) return "other mail has the name of a copy";
  if (thinned !== true) return undefined;
  const gone = await countGone(folder, ledger, signal);
  return gone > 0 && gone >= MOST_GONE * stood.recorded
    ? `${gone} of the ${stood.recorded} copies are not there any more`
    : undefined;
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

/** Recorded copies that are not in the folder. */
async function countGone(folder: SinkFolder, ledger: FolderLedger, signal: AbortSignal): Promise<number> {
  const lacks = folder.lacks?.bind(folder) ?? (await listed(folder, signal));
  let gone = 0;
  for await (const { receipt } of ledger.records()) if (receipt !== undefined && lacks(receipt)) gone++;
  return gone;
}

async function listed(folder: SinkFolder, signal: AbortSignal): Promise<(receipt: Receipt) => boolean> {
  const there = new Hash64Set();
  const hash = { lo: 0, hi: 0 };
  for await (const { receipt } of folder.copies(undefined, signal)) there.add(hash64(receipt.ref, hash));
  return ({ ref }) => !there.has(hash64(ref, hash));
}
