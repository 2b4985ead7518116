// One pass over a target folder and the source folders that lead to it.

import { setMaxListeners } from "node:events";
import { MailError } from "../mail/errors.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import { type Candidates, gatherCandidates, NO_CANDIDATES, nameCopies } from "./candidates.ts";
import { filtersMessages, type RunContext } from "./context.ts";
import { planMessages } from "./dry-run.ts";
import { announce, type JobState } from "./job.ts";
import type { FolderLedger, Head } from "./ledger.ts";
import { type Pass, readFolder } from "./read.ts";

/**
 * Returns the opened target folder, or undefined where nothing had to be opened. Throws what ended the pass: whatever was
 * settled until then has its record, and another pass goes on from there.
 */
export async function pass(
  context: RunContext,
  states: readonly JobState[],
  ledger: FolderLedger,
  number: number,
): Promise<SinkFolder | undefined> {
  const { options } = context;
  const open = states.filter(({ unchanged }) => !unchanged);
  const first = open[0];
  if (first === undefined) return undefined;
  if (options.dryRun === true) {
    await planMessages(context, open, ledger);
    return undefined;
  }

  const folder = await context.sink.open(first.job.target, context.hard);
  const fresh =
    number === 1 &&
    (options.recheck === true || (ledger.sinkGeneration !== undefined && ledger.sinkGeneration !== folder.generation));
  if (fresh) await ledger.forget();
  const trusted = number === 1 && !fresh && ledger.clean && ledger.sinkGeneration === folder.generation;
  const certainlyEmpty = number === 1 && folder.created && ledger.size === 0;

  const since = trusted ? ledger.sinkPosition : undefined;
  const sources = states.map(({ job }) => job.folder.path);
  const look = async (): Promise<Candidates> => {
    const seen = await gatherCandidates(folder, ledger, since, context.hard);
    if (!trusted) await nameCopies(seen, ledger, sources, context.hard);
    return seen;
  };
  let candidates: Promise<Candidates> | undefined;
  let begun: Promise<void> | undefined;
  const reader = new AbortController();
  const current: Pass = {
    context,
    target: {
      folder,
      ledger,
      candidates() {
        candidates ??= certainlyEmpty ? Promise.resolve(NO_CANDIDATES) : look();
        return candidates;
      },
      begin() {
        begun ??= ledger.begin(folder.generation);
        return begun;
      },
    },
    reader,
    signal: listenedTo(AbortSignal.any([context.soft, reader.signal])),
    tasks: new Set(),
    error: undefined,
    again: undefined,
    changed: fresh,
    unnamed: false,
  };
  for (const state of open) {
    await announce(context, state, folder.created);
    await readFolder(current, state);
    if (current.error !== undefined || context.soft.aborted) break;
  }
  await Promise.all(current.tasks);
  if (current.error !== undefined) throw current.error;
  if (context.hard.aborted) return folder;
  if (current.again !== undefined && !context.soft.aborted) throw current.again;
  const lost = open.reduce((sum, { tally }) => sum + tally.unresolved, 0);
  if (lost > 0 && !context.soft.aborted)
    throw new MailError("protocol", `${lost} messages of ${folder.name} were listed but never delivered`, {
      scope: "folder",
      remedy: "retry",
    });
  if (current.unnamed)
    await nameCopies(await gatherCandidates(folder, ledger, since, context.hard), ledger, sources, context.hard);
  await closeLedger(context, folder, ledger, open, current.changed || begun !== undefined);
  return folder;
}

/** Everything in flight listens to it, which is no leak. */
function listenedTo(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}

/** Closes the ledger cleanly: from here on every copy of ours in this folder has its record. */
async function closeLedger(
  context: RunContext,
  folder: SinkFolder,
  ledger: FolderLedger,
  states: readonly JobState[],
  changed: boolean,
): Promise<void> {
  const heads: { source: readonly string[]; head: Head }[] = [];
  if (!context.soft.aborted)
    for (const { job, generation, listed, tally } of states) {
      // Only a folder that left nothing behind may be skipped next time.
      const all = tally.balance.failed === 0 && tally.balance.filtered === 0 && !filtersMessages(context.options);
      const state = all ? job.folder.state : undefined;
      const head: Head = {
        generation: generation ?? "",
        listed,
        ...(state === undefined ? {} : { sourceState: state }),
      };
      const before = ledger.head(job.folder.path);
      if (
        before?.sourceState !== head.sourceState ||
        before?.listed !== listed ||
        before.generation !== head.generation
      )
        heads.push({ source: job.folder.path, head });
    }
  if (!changed && heads.length === 0 && ledger.clean) return;
  await ledger.close(await folder.position(context.hard), heads);
}
