// One message: from its staged bytes to exactly one disposition.

import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { difference, type Loss, narrow } from "../mail/fidelity.ts";
import { receivedFromHeader } from "../mail/headers.ts";
import { keyOf } from "../mail/key.ts";
import type { Entry, Traits } from "../mail/model.ts";
import type { Receipt, SinkFolder } from "../sinks/sink.ts";
import type { Candidates } from "./candidates.ts";
import { isFiltered, type RunContext } from "./context.ts";
import type { Disposition } from "./events.ts";
import type { DoneRecord, FolderLedger, Known } from "./ledger.ts";

/** One target folder during one pass. */
export interface Target {
  readonly folder: SinkFolder;
  readonly ledger: FolderLedger;
  /** What the folder holds without our knowing; looked at once, before the first append of the pass. */
  candidates(): Promise<Candidates>;
  /** Marks the ledger open, durably, once. */
  begin(): Promise<void>;
}

export interface Settled {
  readonly as: Disposition;
  readonly losses: readonly Loss[];
  readonly quarantine?: string;
  readonly note?: string;
  readonly traitsUpdated?: boolean;
  /** Stored, but the sink could not say under which name. */
  readonly unnamed?: boolean;
}

const NO_LOSSES: readonly Loss[] = [];

/** Throws MailError: scope "message" when this message alone failed, else the pass cannot go on. */
export async function copyMessage(context: RunContext, target: Target, entry: Entry, body: Body): Promise<Settled> {
  const { options, hard } = context;
  const { folder, ledger } = target;
  const received = entry.traits.received ?? receivedFromHeader(body.head);
  if (isFiltered(entry, options, received, body.shape.size)) return { as: "filtered", losses: NO_LOSSES };

  const moved = await ledger.adopt(entry.origin, body.key);
  if (moved !== undefined) {
    const traitsUpdated = await carryTraits(context, target, moved, entry);
    return { as: "already-copied", losses: NO_LOSSES, traitsUpdated };
  }

  const traits: Traits = received === undefined ? entry.traits : { ...entry.traits, received };
  const { kept, losses } = narrow(traits, folder.fidelity);
  const found = await (await target.candidates()).find(body, kept, hard);
  if (found !== undefined) {
    // From here on records name copies of this generation of the folder.
    await target.begin();
    // Labels are not listed with a copy, so they are only ever added.
    const change = difference(found.traits, kept);
    if (change !== undefined && options.flags !== false) await folder.update?.(found.receipt, change, hard);
    await ledger.put(record(found.exact ? "done" : "altered", entry, body, found.receipt, found.exact));
    return { as: found.exact ? "adopted" : "altered", losses, traitsUpdated: false };
  }

  if (folder.fidelity.maxBytes !== undefined && body.shape.size > folder.fidelity.maxBytes)
    throw new MailError(
      "too-large",
      `the message has ${body.shape.size} octets; the target takes ${folder.fidelity.maxBytes} at the most`,
      { scope: "message", remedy: "give-up", outcome: "none" },
    );
  await target.begin();
  const stored = await folder.append({ entry, traits: kept, body }, hard);
  const allLosses = stored.losses === undefined ? losses : [...losses, ...stored.losses];
  let altered = stored.altered;
  let proved = false;
  if (options.prove === true && altered === undefined && stored.receipt !== undefined) {
    proved = await isProved(folder, stored.receipt, body.key, hard);
    if (!proved) altered = "read back, the copy has other bytes";
  }
  if (altered !== undefined) {
    const quarantine = await context.quarantine.setAside(entry.origin, body, altered);
    await ledger.put(record("altered", entry, body, stored.receipt, false));
    return { as: "altered", losses: allLosses, quarantine, note: altered };
  }
  await ledger.put(record("done", entry, body, stored.receipt, proved));
  return { as: "copied", losses: allLosses, unnamed: stored.receipt === undefined };

  function record(
    state: "done" | "altered",
    of: Entry,
    bytes: Body,
    receipt: Receipt | undefined,
    isProof: boolean,
  ): DoneRecord {
    return {
      state,
      origin: of.origin,
      key: bytes.key,
      size: bytes.shape.size,
      ...(receipt === undefined ? {} : { receipt }),
      traits: of.traits,
      firstSeen: ledger.firstSeen(of.origin) ?? Math.floor(Date.now() / 1000),
      proved: isProof,
    };
  }
}

/** True when the copy, read back, has this key; false when it has another or is gone. */
export async function isProved(
  folder: SinkFolder,
  receipt: Receipt,
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await keyOf(folder.reopen(receipt, signal))).key === key;
  } catch (error) {
    if (error instanceof MailError && error.code === "not-found") return false;
    throw error;
  }
}

/** Carries the source's change of traits since the last run over to a copy made earlier. True when something was changed. */
export async function updateKnown(context: RunContext, target: Target, known: Known, entry: Entry): Promise<boolean> {
  const done = await known.read();
  return done === undefined ? false : carryTraits(context, target, done, entry);
}

async function carryTraits(context: RunContext, target: Target, done: DoneRecord, entry: Entry): Promise<boolean> {
  if (context.options.flags === false) return false;
  const { folder, ledger } = target;
  const change = difference(narrow(done.traits, folder.fidelity).kept, narrow(entry.traits, folder.fidelity).kept);
  let changed = false;
  if (change !== undefined && done.receipt !== undefined && folder.update !== undefined) {
    try {
      await folder.update(done.receipt, change, context.hard);
      changed = true;
    } catch (error) {
      // Its user deleted the copy in the target: it stays deleted, and the record follows the source.
      if (!(error instanceof MailError && error.code === "not-found")) throw error;
    }
  }
  if (difference(done.traits, entry.traits) !== undefined)
    await ledger.put({ ...done, origin: entry.origin, traits: entry.traits });
  return changed;
}
