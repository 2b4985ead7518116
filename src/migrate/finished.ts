// A run onto a target that is finished already (FILE.zip): nothing is copied; what is in it may still go at the source.

import { MailError } from "../mail/errors.ts";
import type { Entry } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import { isFiltered, type RunContext } from "./context.ts";
import type { FolderResult } from "./folder.ts";
import { announce, settle, startJob } from "./job.ts";
import type { FolderLedger } from "./ledger.ts";
import type { FolderJob } from "./plan.ts";

/**
 * Finds each listed message in the finished target by its origin. One that is not there cannot be added any more: it counts as
 * failed, and stays. Throws what source and sink throw.
 */
export async function compareFinished(context: RunContext, jobs: readonly FolderJob[]): Promise<FolderResult> {
  const { source, sink, options, soft, hard } = context;
  const states = jobs.map((job) => startJob(context, job));
  const [first] = jobs;
  if (first === undefined) return { states, ledger: undefined, folder: undefined };
  const ledger = await context.ledger.folder(first.plan.name);
  const folder = await sink.open(first.target, hard);
  await record(folder, ledger, sink.sealed?.since, hard);
  const missing = new MailError("config", "the target is finished and does not hold this message", {
    scope: "message",
    remedy: "give-up",
    hint: "Carry it to another target.",
  });
  for (const state of states) {
    await announce(context, state);
    const want = async (entry: Entry): Promise<boolean> => {
      state.generation = entry.origin.generation;
      const isHere = ledger.find(entry.origin) !== undefined;
      const isLeft = isFiltered(entry, options, entry.traits.received, entry.size);
      if (isHere && !isLeft) state.selected?.add(entry.origin.id);
      const as = isLeft ? "filtered" : isHere ? "already-copied" : "failed";
      await settle(context, state, ledger, entry, { as, losses: [] }, 0, as === "failed" ? missing : undefined);
      return false;
    };
    const unlisted = (messages: number): void => {
      state.tally.unlisted += messages;
    };
    for await (const slice of source.slices(state.job.folder, soft))
      for await (const _ of source.read(slice, { want, unlisted, signal: soft }));
    state.tally.isCut = soft.aborted;
    await context.events.emit({ type: "folder-finished", folder: state.job.folder, summary: state.tally.summary() });
  }
  return { states, ledger, folder };
}

/** What the target says of itself stands in for the ledger, which went when it was finished. */
async function record(
  folder: SinkFolder,
  ledger: FolderLedger,
  since: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const firstSeen = since ?? Math.floor(Date.now() / 1000);
  for await (const { receipt, traits, size, key, origin } of folder.copies(undefined, signal))
    if (key !== undefined && origin !== undefined)
      await ledger.put({ state: "done", origin, key, size, receipt, traits, firstSeen, proved: false });
}
