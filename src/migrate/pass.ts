// One pass over a target folder and the source folders that lead to it.

import { AbortChild } from "../core/abort.ts";
import { DEFAULT_PATIENCE, delayToSettle, pause } from "../core/retry.ts";
import { plural } from "../core/words.ts";
import { MailError } from "../mail/errors.ts";
import { samePath } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import { Ahead } from "./ahead.ts";
import { tryAlone } from "./alone.ts";
import { type Candidates, gatherCandidates, NO_CANDIDATES } from "./candidates.ts";
import { filtersMessages, type RunContext } from "./context.ts";
import { planMessages } from "./dry-run.ts";
import { settleNameless } from "./failures.ts";
import { announce, type JobState } from "./job.ts";
import { Later } from "./later.ts";
import type { FolderLedger, Head } from "./ledger.ts";
import { leavesOut } from "./left-out.ts";
import { type Pass, readFolder, readLater } from "./read.ts";
import { Rivals } from "./rivals.ts";
import { type Look, lookBack, noteDeleted } from "./setback.ts";
import { setSpoiltAside } from "./spoilt.ts";
import type { Suspects } from "./suspects.ts";
import { nameAll, strayed } from "./unnamed.ts";

/**
 * Returns the opened target folder, or undefined where nothing had to be opened. Throws what ended the pass: whatever was
 * settled until then has its record, and another pass goes on from there.
 */
export async function pass(
  context: RunContext,
  states: readonly JobState[],
  ledger: FolderLedger,
  suspects: Suspects,
  number: number,
): Promise<SinkFolder | undefined> {
  const { options } = context;
  const [first] = states;
  if (first === undefined) return undefined;
  if (options.dryRun === true) {
    await planMessages(context, states, ledger);
    return undefined;
  }

  using reader = new AbortChild(context.soft);
  const { signal } = reader;
  const knowsNothing = (): boolean => number === 1 && ledger.size === 0 && !filtersMessages(options);
  const isAhead = context.ahead.pays && knowsNothing();
  await using ahead = isAhead ? new Ahead(context.source, first.job.folder, signal) : undefined;
  // Whichever pass is the first to see the target.
  const isFirst = !first.opened;
  const stood = isFirst && options.recheck !== true && ledger.size > 0 ? ledger.stood : undefined;
  let folder: SinkFolder;
  try {
    context.hold();
    folder = await context.sink.open(first.job.target, context.hard, stood);
  } catch (error) {
    // Where one cannot be opened others may not either, and what was begun for each would be thrown away.
    context.ahead.pays = false;
    throw error;
  }
  await rememberNames(context, states, folder);
  // Another generation, in the middle of a run too, or one that had to be made, whatever it calls itself: what was recorded is gone.
  const recorded = ledger.begunGeneration ?? ledger.sinkGeneration;
  const anew =
    (isFirst && (options.recheck === true || (folder.created && ledger.size > 0))) ||
    (recorded !== undefined && recorded !== folder.generation);
  const back = anew || stood === undefined ? undefined : await lookBack(folder, ledger, stood, context.hard);
  const why = back?.why;
  if (why !== undefined) await tellSetback(context, first, folder, why);
  first.opened = true;
  const fresh = anew || why !== undefined;
  const altered = new Set<string>();
  if (fresh && ledger.size > 0)
    for await (const { state, origin } of ledger.records())
      if (state === "altered") altered.add(JSON.stringify(origin));
  if (isFirst && options.recheck === true) await setSpoiltAside(context, first, ledger, folder);
  if (fresh) await ledger.forget();
  ledger.unclaim();
  if (number > 1) ledger.relist();
  const trusted = number === 1 && !fresh && ledger.clean && ledger.sinkGeneration === folder.generation;
  // Where whole parts of an archive are lost (zips), nobody deleted anything.
  const isThinner =
    context.sink.home !== undefined && folder.lacks === undefined && back !== undefined && back.deleted > 0;
  if (isThinner) await tellDeleted(context, first, ledger, folder, back);
  // What an earlier run sent there before it died may be stored only now.
  const isUntouched = folder.pristine === true && recorded === undefined && ledger.brokenOffAt === undefined;
  const certainlyEmpty = number === 1 && (folder.created || isUntouched) && ledger.size === 0;
  // Copies that nobody has seen yet are none, whichever run made them.
  const isUnseen = ledger.nameless > 0 && folder.merges !== true;
  // What lies below the position was looked at for those source folders alone that had been read by then.
  const since =
    trusted && !isUnseen && states.every(({ job }) => ledger.head(job.folder.path) !== undefined)
      ? ledger.sinkPosition
      : undefined;

  const name = (seen: Candidates): Promise<number> => nameAll(context, states, ledger, folder, seen);
  let candidates: Promise<Candidates> | undefined;
  const look = async (): Promise<Candidates> => {
    if (number === 1 && context.sink.storesLate === true) await afterDeath(context, ledger);
    const seen = await gatherCandidates(folder, ledger, since, context.hard);
    if (since === undefined) await name(seen);
    return seen;
  };
  let begun: Promise<void> | undefined;
  suspects.beginPass();
  const before = { source: suspects.through("source"), target: suspects.through("target") };
  const current: Pass = {
    context,
    states,
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
      rivals: certainlyEmpty ? undefined : new Rivals(),
      later: certainlyEmpty ? undefined : new Later(context.alterations),
      wasBrokenOff: ledger.brokenOffAt !== undefined,
      wasAltered: (origin) => altered.size > 0 && altered.has(JSON.stringify(origin)),
      suspects,
      alone: false,
    },
    reader,
    signal,
    tasks: new Set(),
    waiting: [],
    error: undefined,
    doubtful: false,
    again: undefined,
    nameless: [],
    refused: false,
    vain: { source: 0, target: 0 },
    fresh: { source: true, target: true },
    changed: fresh || isThinner,
    uncertain: false,
    everything: knowsNothing(),
  };
  // A copy must have its name before its flags can follow those of the source.
  if (isUnseen || (ledger.nameless > 0 && !trusted)) await current.target.candidates();
  for (const state of states) {
    await announce(context, state, folder);
    await readFolder(current, state, state === first ? ahead : undefined);
    if (current.error !== undefined || context.soft.aborted) break;
  }
  await Promise.all(current.tasks);
  if (current.error === undefined && !context.soft.aborted && suspects.apart > 0) {
    for (const side of ["source", "target"] as const) current.fresh[side] = suspects.through(side) === before[side];
    await tryAlone(current);
  }
  if (current.error === undefined && !context.soft.aborted) await readLater(current, states);
  await settleNameless(current);
  const all = current.refused ? await context.refusals.atEnd() : undefined;
  if (current.error !== undefined) throw current.doubtful ? asDoubtful(current.error) : current.error;
  if (all !== undefined) throw all;
  if (context.hard.aborted) return folder;
  if (ledger.nameless > 0 && (begun !== undefined || !trusted)) {
    const strays = await name(await gatherCandidates(folder, ledger, since, context.hard));
    if (!context.soft.aborted && strays > 0) throw strayed(strays, folder);
  }
  if (current.again !== undefined) throw current.doubtful ? asDoubtful(current.again) : current.again;
  const lost = states.reduce((sum, { tally }) => sum + tally.unresolved, 0);
  if (lost > 0 && !context.soft.aborted)
    throw new MailError(
      "protocol",
      `${plural(lost, "message")} of ${folder.name} ${lost === 1 ? "was" : "were"} listed but never delivered`,
      {
        scope: "folder",
        remedy: "retry",
      },
    );
  if (options.prove === true && ledger.nameless > 0) await tellUnproved(context, folder, ledger.nameless);
  // Not closed: the next run looks at everything.
  if (current.uncertain) return folder;
  const isWhole = !context.soft.aborted && states.every((state) => leftNothing(context, state));
  const ours = ledger.heads().every((path) => states.some(({ job }) => samePath(job.folder.path, path)));
  const isLookedAt = options.recheck === true && context.looked !== undefined;
  if (isLookedAt) await current.target.candidates();
  const left = await leftOver(candidates, certainlyEmpty);
  if (isLookedAt) context.looked?.set(folder.generation, left ?? 0);
  const known = left !== undefined && (left === 0 || (isWhole && ours));
  const position = known ? await folder.position(context.hard) : since;
  await closeLedger(context, folder, position, ledger, states, current.changed || begun !== undefined);
  return folder;
}

async function tellSetback(
  { events }: RunContext,
  { job }: JobState,
  { name }: SinkFolder,
  why: string,
): Promise<void> {
  const text = `${name} in the target is not as it was left (${why}): it is looked at anew, and what is missing is copied again`;
  await events.emit({ type: "notice", text, folder: job.folder.path });
}

/** Said once, as from then on their records say it. */
async function tellDeleted(
  { events }: RunContext,
  { job }: JobState,
  ledger: FolderLedger,
  { name }: SinkFolder,
  look: Look,
): Promise<void> {
  const [were, they] =
    look.deleted === 1
      ? ["was", "it stays deleted, and its original stays"]
      : ["were", "they stay deleted, and their originals stay"];
  const text = `${plural(look.deleted, "message")} of ${name} ${were} deleted from the archive: ${they} at the source (--recheck copies again what the source still has)`;
  await events.emit({ type: "notice", text, folder: job.folder.path });
  await noteDeleted(ledger, look);
}

/** Said of what has no name, so that nothing of it could be read back. */
async function tellUnproved({ events }: RunContext, { name }: SinkFolder, count: number): Promise<void> {
  const text = `${plural(count, "message")} in ${name} could not be read back: the server keeps equal messages once, and does not say where`;
  await events.emit({ type: "notice", text });
}

/** Where a store gave a folder another name than the rule says, the next run and a comparison go by it. */
async function rememberNames(
  { sink, ledger }: RunContext,
  states: readonly JobState[],
  { name }: SinkFolder,
): Promise<void> {
  if (sink.recall === undefined) return;
  for (const { job } of states) {
    const known = await ledger.nameOf(job.target.path);
    if (known !== name && (known !== undefined || name !== job.plan.name))
      await ledger.rememberName(job.target.path, name);
  }
}

/** A run that died a moment ago may have left a server with something to store: as long as within a run, it is waited for. */
async function afterDeath({ options, hard }: RunContext, { brokenOffAt }: FolderLedger): Promise<void> {
  if (brokenOffAt === undefined) return;
  const patience = options.patience ?? DEFAULT_PATIENCE;
  const settleMs = delayToSettle(1, patience);
  // A clock that was set back makes it neither longer nor endless.
  const left = Math.min(brokenOffAt + settleMs - Date.now(), settleMs);
  if (left > 0) await pause(left, patience, hard);
}

/** Whatever ended the pass first: something may have been stored. */
function asDoubtful(error: unknown): unknown {
  if (!(error instanceof MailError) || error.details.outcome === "unknown") return error;
  return new MailError(error.code, error.message, { ...error.details, outcome: "unknown" });
}

/** Copies in the target that are nobody's; undefined when nobody looked. */
async function leftOver(candidates: Promise<Candidates> | undefined, isEmpty: boolean): Promise<number | undefined> {
  if (candidates === undefined) return isEmpty ? 0 : undefined;
  return (await candidates).left();
}

/** Nothing of this source folder stayed behind, by choice or by failure. */
function leftNothing({ options }: RunContext, { tally }: JobState, expunged = 0): boolean {
  return tally.balance.failed === 0 && tally.balance.filtered === expunged && !filtersMessages(options);
}

/**
 * Closes the ledger cleanly: from here on every copy of ours in this folder has its record. `position`: below it no copy is
 * nobody's that may be one of a message without a record; undefined where that is not known.
 */
async function closeLedger(
  context: RunContext,
  folder: SinkFolder,
  position: string | undefined,
  ledger: FolderLedger,
  states: readonly JobState[],
  changed: boolean,
): Promise<void> {
  const heads: { source: readonly string[]; head: Head }[] = [];
  if (!context.soft.aborted)
    for (const state of states) {
      const { job, generation, expunged, behind } = state;
      const listed = state.listed - expunged;
      // Only a folder that left nothing behind may be skipped next time, but for what is left behind by the same rule then.
      const isWhole = leftNothing(context, state, expunged) && !behind && !leavesOut(context.source, job.folder.path);
      const before = ledger.head(job.folder.path);
      const now = isWhole ? job.folder.state : undefined;
      const sourceState =
        now === undefined || before?.sourceState === undefined
          ? now
          : (context.source.stateAfter?.(before.sourceState, now) ?? now);
      const head: Head = {
        generation: generation ?? "",
        listed,
        ...(sourceState === undefined ? {} : { sourceState }),
      };
      if (
        before?.sourceState !== head.sourceState ||
        before?.listed !== listed ||
        before.generation !== head.generation
      )
        heads.push({ source: job.folder.path, head });
    }
  if (!changed && heads.length === 0 && ledger.clean) return;
  await ledger.close(position, heads, folder.stand?.());
}
