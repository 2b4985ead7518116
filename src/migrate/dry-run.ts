// A dry run over one target folder: every message is offered and judged, none is transferred, nothing is written.

import { MailError } from "../mail/errors.ts";
import { narrow } from "../mail/fidelity.ts";
import type { Entry, FolderPath } from "../mail/model.ts";
import { isFiltered, isGone, type RunContext } from "./context.ts";
import type { Disposition } from "./events.ts";
import { announce, type JobState, settle } from "./job.ts";
import type { FolderLedger, Known } from "./ledger.ts";
import type { Copies } from "./present.ts";
import { isDue } from "./remove.ts";

export async function planMessages(
  context: RunContext,
  states: readonly JobState[],
  ledger: FolderLedger,
): Promise<void> {
  // Looked at when the first message comes that the ledger does not know.
  let copies: Promise<Copies | undefined> | undefined;
  const isThere = async (entry: Entry, state: JobState, known: number): Promise<boolean> => {
    copies ??= copiesIn(context, state.job.plan.path, known);
    return (await copies)?.take(entry) === true;
  };
  for (const state of states) {
    // The records of a folder that is not there any more are forgotten when it is opened.
    const isForgotten =
      context.options.recheck === true || (await isGone(context, state, ledger.sinkGeneration, ledger.stood)) === true;
    await announce(context, state);
    for await (const slice of context.source.slices(state.job.folder, context.soft)) {
      const want = async (entry: Entry): Promise<boolean> => {
        const known = ledger.find(entry.origin);
        const filtered = isFiltered(entry, context.options, entry.traits.received, entry.size);
        const isKnown = known !== undefined && known.state !== "failed" && !isForgotten;
        let as: Disposition = filtered ? "filtered" : isKnown ? "already-copied" : "planned";
        if (as === "planned" && (await isThere(entry, state, isForgotten ? 0 : ledger.size))) as = "adopted";
        if (as !== "filtered" && (await wouldGo(context, known))) state.tally.due++;
        const losses = as === "planned" ? narrow(entry.traits, state.job.plan.fidelity).losses : [];
        await settle(context, state, ledger, entry, { as, losses }, entry.size ?? 0);
        return false;
      };
      const unlisted = (messages: number): void => {
        state.tally.unlisted += messages;
      };
      for await (const incoming of context.source.read(slice, { want, unlisted, signal: context.soft }))
        await settle(context, state, ledger, incoming.entry, { as: "planned", losses: [] }, incoming.entry.size ?? 0);
    }
    state.tally.isCut = context.soft.aborted;
  }
}

/** Undefined where nothing is there beside what is known, or it cannot be looked at: that is said, and no reason to plan nothing. */
async function copiesIn({ present, events }: RunContext, path: FolderPath, known: number): Promise<Copies | undefined> {
  try {
    return await present?.of(path, known);
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
    const text = `the target could not be looked at (${error.message}): what is there without a record of earlier runs counts as to be copied`;
    await events.emit({ type: "notice", folder: path, text });
    return undefined;
  }
}

/** Whether a run that deletes would delete it at the source, once it is proved: what is copied by that very run is too new for any age. */
async function wouldGo(context: RunContext, known: Known | undefined): Promise<boolean> {
  const { remove } = context.options;
  if (remove === undefined || known?.state === "altered") return false;
  const record = await known?.read();
  return record === undefined ? remove.olderThanSeconds === undefined : isDue(context, record);
}
