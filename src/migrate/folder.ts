// One target folder: passes over its source folders until every listed origin is settled. Crash, retry, a lost ledger and a
// target that somebody else filled all go this one way: what has no record is looked for in the target before it is copied.

import { DEFAULT_PATIENCE, delayBefore, delayToSettle, pause } from "../core/retry.ts";
import { isAbort, MailError } from "../mail/errors.ts";
import type { Entry } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import { filtersMessages, isFiltered, isGone, type RunContext } from "./context.ts";
import type { Settled } from "./copy.ts";
import { DESCRIBED, headsOf, knownBy } from "./failures.ts";
import { type JobState, settle, startJob } from "./job.ts";
import type { FolderLedger, Known } from "./ledger.ts";
import { pass } from "./pass.ts";
import type { FolderJob } from "./plan.ts";
import { noteShort } from "./short.ts";
import { Suspects } from "./suspects.ts";

/** For deleting at the source alone: with thousands of folders it would be most of what a run holds. */
export interface FolderResult {
  /**
   * It was given up with all patience, and nothing else got through meanwhile: it may be the account. What is left to do once that is
   * known not to be so.
   */
  readonly undecided?: { readonly error: MailError; readonly giveUp: () => Promise<void> };
  readonly states: readonly JobState[];
  /** Both absent when no pass was needed, or none could begin. */
  readonly ledger: FolderLedger | undefined;
  readonly folder: SinkFolder | undefined;
}

export const LET_GO: FolderResult = { states: [], ledger: undefined, folder: undefined };

/** Throws what makes the whole run impossible; a failure of this folder alone is in its tally. */
export async function runFolder(context: RunContext, jobs: readonly FolderJob[]): Promise<FolderResult> {
  const { options, soft } = context;
  const states = jobs.map((job) => startJob(context, job));
  const name = jobs[0]?.plan.name ?? "";
  if (await skipUnchanged(context, states, name)) {
    for (const state of states) await finished(context, state);
    return LET_GO;
  }
  const ledger = await context.ledger.folder(name);
  const { course } = context;
  const patience = options.patience ?? DEFAULT_PATIENCE;
  let life = 0;
  const suspects = new Suspects(context.course);
  let folder: SinkFolder | undefined;
  let settledBefore = -1;
  const end = async (): Promise<void> => {
    for (const state of states) await finished(context, state);
    // Nobody asks it again.
    if (options.remove === undefined) await ledger[Symbol.asyncDispose]();
  };
  for (let number = 1, vain = 0; !soft.aborted; number++) {
    try {
      folder = await pass(context, states, ledger, suspects, number);
      course.folders++;
      course.isDoubtful = false;
      break;
    } catch (error) {
      if (soft.aborted && (isAbort(error) || error instanceof MailError)) break;
      if (!(error instanceof MailError)) throw error;
      const done = states.reduce((sum, { tally }) => sum + tally.summary().listed - tally.unresolved, 0);
      const settled = done + suspects.condemned;
      vain = settled > settledBefore ? 1 : vain + 1;
      if (vain === 1) life = course.life;
      settledBefore = settled;
      const { scope, remedy, waitMs, outcome } = error.details;
      const isVerdict = context.refusals.isVerdict(error);
      if (isVerdict || remedy === "give-up" || vain >= (course.isDoubtful ? 1 : patience.attempts)) {
        // Who says what ails the account, or for how long it is to be left alone, is believed at once.
        if (scope === "account" && (remedy === "give-up" || waitMs !== undefined)) throw error;
        const giveUpAll = async (): Promise<void> => {
          for (const state of states) await giveUp(context, state, ledger, error);
        };
        if (scope !== "folder" && course.life <= life)
          return { states, ledger, folder: undefined, undecided: { error, giveUp: () => giveUpAll().then(end) } };
        await giveUpAll();
        break;
      }
      suspects.isLastTry = vain + 1 >= patience.attempts;
      const delayMs = Math.max(
        waitMs ?? 0,
        outcome === "unknown" ? delayToSettle(vain, patience) : delayBefore(vain, patience),
      );
      await context.events.emit({ type: "retry-scheduled", what: name, attempt: vain, delayMs, error });
      await pause(delayMs, patience, soft);
    }
  }
  if (options.remove === undefined) await noteShort(context, states, ledger);
  await end();
  return options.remove === undefined ? LET_GO : { states, ledger, folder };
}

/**
 * What is left of a folder that cannot be carried: each of its messages is named as failed. Where not even the source can list
 * them, the folder stays open in the balance.
 */
async function giveUp(context: RunContext, state: JobState, ledger: FolderLedger, error: MailError): Promise<void> {
  const { source, soft } = context;
  let isBehind = false;
  /** The first of them, to be described when nothing else is asked of the source. */
  const nameless: Entry[] = [];
  const nameFailed = async (): Promise<void> => {
    const all = nameless.splice(0);
    const heads = soft.aborted
      ? undefined
      : await headsOf(
          context,
          all.map(({ origin }) => origin),
        );
    for (const entry of all) {
      const head = heads?.get(entry.origin.id);
      const known = head === undefined ? {} : await knownBy(head);
      await settle(context, state, ledger, entry, { as: "failed", losses: [], ...known }, 0, error);
    }
  };
  // Without a name nobody has seen it in the target.
  const isUnseen = async (known: Known): Promise<boolean> =>
    ledger.nameless > 0 && known.state !== "removed" && (await known.read())?.receipt === undefined;
  const want = async (entry: Entry): Promise<boolean> => {
    const known = ledger.find(entry.origin);
    const isLeft = isFiltered(entry, context.options, entry.traits.received, entry.size);
    const isHere = known !== undefined && known.state !== "failed" && !(await isUnseen(known));
    // A target that is written once waits for another run of what failed for the first time, and for no third one.
    const isNew = context.sink.once === true && !isLeft && !isHere && known?.state !== "failed";
    if (known?.state === "failed") state.retried.add(entry.origin.id);
    // Its copy cannot be read back: it stays at the source, and is to be named for that.
    state.generation = entry.origin.generation;
    if (isHere && !isLeft) state.selected?.add(entry.origin.id);
    isBehind ||= isHere && !isLeft && context.options.flags !== false && !known.sameTraits(entry.traits);
    const outcome: Settled = { as: isLeft ? "filtered" : isHere ? "already-copied" : "failed", losses: [] };
    // Not that the message is the reason, which would be asked for by itself next time.
    const code = error.code === "connection" ? "protocol" : error.code;
    if (isNew) await ledger.put({ state: "failed", origin: entry.origin, code });
    if (outcome.as === "failed" && nameless.length < DESCRIBED) nameless.push(entry);
    else await settle(context, state, ledger, entry, outcome, 0, outcome.as === "failed" ? error : undefined);
    return false;
  };
  try {
    for await (const slice of source.slices(state.job.folder, soft))
      for await (const _ of source.read(slice, { want, signal: soft }));
    await nameFailed();
    if (!soft.aborted) {
      state.tally.unresolved = 0;
      state.tally.isCut = false;
      // Its copies went with it, those too that have their record; or they do not have the flags of their originals.
      if (error.code === "not-found" || isBehind) state.tally.error = error.message;
    } else state.tally.error = error.message;
  } catch {
    await nameFailed();
    state.tally.error = error.message;
  }
}

async function finished(context: RunContext, { job, tally }: JobState): Promise<void> {
  await context.events.emit({ type: "folder-finished", folder: job.folder, summary: tally.summary() });
}

/**
 * Folders whose state is the one that their last clean run saw hold nothing new, if their target is still the one that was filled
 * then. Of those that share a target none is skipped alone.
 */
async function skipUnchanged(context: RunContext, states: readonly JobState[], name: string): Promise<boolean> {
  const { options, ledger, events } = context;
  if (options.recheck === true || options.remove !== undefined || filtersMessages(options)) return false;
  if (states.some(({ job }) => job.folder.state === undefined)) return false;
  const glance = await ledger.glance(name);
  const heads = states.map(({ job }) => {
    const head = glance?.head(job.folder.path);
    return head?.sourceState === job.folder.state ? head : undefined;
  });
  const [first] = states;
  if (heads.includes(undefined) || first === undefined) return false;
  const closely = glance?.isLatest === true && context.closeLooks.left-- > 0;
  try {
    if ((await isGone(context, first, glance?.sinkGeneration, glance?.stood, closely)) !== false) return false;
  } catch (error) {
    // A pass will meet whatever is the matter, and has patience.
    if (error instanceof MailError) return false;
    throw error;
  }
  for (const [i, state] of states.entries()) {
    const head = heads[i];
    if (head === undefined) continue;
    state.generation = head.generation;
    state.tally.isCut = false;
    state.tally.balance["already-copied"] += head.listed;
    await events.emit({ type: "folder-unchanged", folder: state.job.folder, messages: head.listed });
  }
  return true;
}
