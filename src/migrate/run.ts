// A run: folders × lanes from a source to a sink, then seal, then (if asked) removal, then the balance.

import { setMaxListeners } from "node:events";
import { dirname, join } from "node:path";
import PQueue from "p-queue";
import { ensureDirectory } from "../core/files.ts";
import { acquireLock, type Hold } from "../core/lock.ts";
import { Budget } from "../core/pool.ts";
import { Widening } from "../core/widening.ts";
import { plural } from "../core/words.ts";
import { configError, firstOf, isAbort, MailError } from "../mail/errors.ts";
import type { LeftOut } from "../mail/left-out.ts";
import { type Folder, showPath } from "../mail/model.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { Alterations } from "./alterations.ts";
import type { RunContext, RunOptions } from "./context.ts";
import { type EventStream, eventStream } from "./event-stream.ts";
import type { MigrationEvent, RunSummary } from "./events.ts";
import { compareFinished } from "./finished.ts";
import { type FolderResult, runFolder } from "./folder.ts";
import { callAsBefore } from "./former-names.ts";
import { memoryLedger, openLedger } from "./journal.ts";
import { InventoryKeeper, tellArchive } from "./keep-inventory.ts";
import { leftOutOf } from "./left-out.ts";
import { looksForAll, tellMissing } from "./missing.ts";
import { tellOthers } from "./other-sources.ts";
import { ledgerDirectoryOf, pairDirectory } from "./pair.ts";
import { patiently } from "./patiently.ts";
import { type FolderJob, planFolders } from "./plan.ts";
import { Present } from "./present.ts";
import { quarantineIn } from "./quarantine.ts";
import { ArchiveRecords } from "./recorded.ts";
import { Refusals } from "./refusals.ts";
import { removeProved, tellBound } from "./remove.ts";
import { Room } from "./room.ts";
import { logRun, type RunLines } from "./run-log.ts";
import { selectFolders } from "./select.ts";
import { tellShort } from "./short.ts";
import { Course } from "./suspects.ts";
import { RunTally, sumOf } from "./tally.ts";
import { recallNames, rememberRespelled } from "./target-names.ts";
import { finishTrial } from "./trial.ts";
import { suspectOnePlace } from "./two-places.ts";
import { lookAtUnvisited } from "./unvisited.ts";
import { Verdicts } from "./verdicts.ts";
import { Whole } from "./whole.ts";

export type { RunOptions } from "./context.ts";

/** A dry run writes nothing, and holds nothing. */
const UNGUARDED: Hold = () => undefined;
/** A target that went back and grew as far again shows in the folders that were written last; each look is a round trip. */
const CLOSE_LOOKS = 3;
/** Folders that stand in line for a lane: each costs as much as five that do not. */
const QUEUED = 64;
/** Octets of messages in flight, over all lanes. */
const BYTES_IN_FLIGHT = 16 << 20;

export interface Run extends AsyncIterable<MigrationEvent> {
  /**
   * Resolves with the sums, also of a run that was stopped. Rejects with a MailError when the run could not go on (the
   * run-finished event before it still has the sums so far).
   */
  readonly finished: Promise<RunSummary>;
  /** Reads no more, finishes what is in flight, and ends with the outcome "stopped". */
  stop(): void;
}

/**
 * Starts on the next tick. The events may be read by one reader, or not at all. Neither source nor sink is closed. Aborting
 * the signal leaves everything at once; the same run may always be started again and goes on where it was.
 */
export function run(source: Source, sink: Sink, options: RunOptions, signal: AbortSignal): Run {
  const stopper = new AbortController();
  const breaker = new AbortController();
  const hard = breaker.signal;
  const soft = AbortSignal.any([stopper.signal, hard]);
  // Whatever its reason (a time-out is one): inside, an abort is an AbortError.
  const onAbort = (): void => breaker.abort();
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  const events = eventStream(hard);
  // Every message in flight listens to them.
  setMaxListeners(0, hard, soft);
  const finished = new Promise<void>((resolve) => setImmediate(resolve))
    .then(() => carry(source, sink, options, events, soft, hard))
    .finally(() => {
      signal.removeEventListener("abort", onAbort);
      events.end();
    });
  // Whoever reads the events alone must not be ended by an unhandled rejection.
  finished.catch(() => undefined);
  return {
    finished,
    stop: () => stopper.abort(),
    [Symbol.asyncIterator]: () => events[Symbol.asyncIterator](),
  };
}

async function carry(
  source: Source,
  sink: Sink,
  options: RunOptions,
  events: ReturnType<typeof eventStream>,
  soft: AbortSignal,
  hard: AbortSignal,
): Promise<RunSummary> {
  const started = Date.now();
  const tally = new RunTally();
  let isLeftOutTold = false;
  const lost: LeftOut[] = [];
  let endLine: ((outcome: string) => Promise<void>) | undefined;
  const tellLeftOut = async (): Promise<void> => {
    if (isLeftOutTold) return;
    isLeftOutTold = true;
    const items = [...lost, ...leftOutOf(source, options.select)];
    tally.leftOut = items.length;
    for (const item of items) await events.emit({ type: "left-out", ...item });
  };
  const end = async (outcome: RunSummary["outcome"], error?: MailError): Promise<RunSummary> => {
    // A disk that takes no line more ends no run as complete, and hides no other error.
    const line = endLine?.(outcome);
    await (outcome === "stopped" ? line?.catch(() => undefined) : line);
    await tellLeftOut();
    const sums = summarise(tally, outcome, (Date.now() - started - tally.waitedMs) / 1000, error);
    const summary = {
      ...sums,
      ...(sink.sealed === undefined ? {} : { targetFinished: true as const }),
      ...(options.remove === undefined || options.dryRun !== true ? {} : { due: tally.due }),
    };
    await events.emit({ type: "run-finished", summary });
    return summary;
  };
  if (source.identity === sink.identity)
    throw configError("source and target are the same place", "Name another target; mail is not copied onto itself.");
  if (options.remove !== undefined && source.remove === undefined)
    throw configError(`a ${source.kind} source cannot delete messages`, "Run it without deleting at the source.");
  if (sink.sealed !== undefined) {
    const { messages, failed } = sink.sealed;
    const but = failed === 0 ? "" : ` and without ${failed} that failed`;
    const text = `the target is finished, with ${plural(messages, "message")}${but}; nothing is added to it, it is compared with the source`;
    await events.emit({ type: "notice", text });
  }

  try {
    tally.missing = [...(source.missing ?? []), ...(sink.missing ?? [])];
    await tellMissing(source, sink, options, events);
    if (source.home !== undefined) await tellArchive({ home: source.home, kind: source.kind }, tally, events, soft);
    callAsBefore(source, sink, options, soft);
    const groups = await planPatiently(source, sink, options, tally, events, soft);
    const home = sink.home ?? pairDirectory(options.stateDirectory, source.identity, sink.identity);
    const pair = { source: source.identity, sink: sink.identity };
    const ledgerDirectory = ledgerDirectoryOf(home, source.identity);
    const isFinished = sink.sealed !== undefined;
    const keepsAnnounced = source.idsMove === true;
    // Neither writes anything.
    const isDry = options.dryRun === true || isFinished;
    if (sink.home !== undefined && !isFinished) await tellOthers(home, source.identity, events);
    if (!isDry) await ensureDirectory(home);
    await using lock = isDry
      ? undefined
      : await acquireLock(
          join(home, "lock"),
          // An archive's identity is a number of its own that nobody has ever seen.
          sink.home === undefined ? `copying ${source.identity} to ${sink.identity}` : `the archive ${dirname(home)}`,
          {
            signal: soft,
            onWait: (text) => void events.emit({ type: "notice", text }),
            ...(options.lockClock === undefined ? {} : { clock: options.lockClock }),
          },
        );
    const hold = lock?.hold ?? UNGUARDED;
    sink.guard?.(hold);
    const isLookedFor = looksForAll(source, options);
    const keeper =
      sink.home === undefined || sink.once === true
        ? undefined
        : await InventoryKeeper.open(home, sink.identity, { isWritable: !isDry, isLookedFor });
    await keeper?.tell(tally, events, isLookedFor);
    const { written } = keeper ?? {};
    await using ledger = isDry
      ? memoryLedger(isFinished ? undefined : { directory: ledgerDirectory, pair }, { keepsAnnounced })
      : await openLedger(ledgerDirectory, pair, {
          hold,
          keepsAnnounced,
          ...(written === undefined ? {} : { written }),
        });
    await recallNames(sink, ledger, groups);
    const begin = (): Promise<RunLines> => logRun(ledger, options, tally);
    await using log = isDry
      ? undefined
      : await patiently("the ledger", begin, { patience: options.patience, events }, soft);
    if (log !== undefined)
      endLine = async (outcome) => {
        hold(true);
        const anew = outcome !== "stopped" && tally.closes && isLookedFor;
        await log.end(outcome, await keeper?.write(anew));
      };
    const recorded = await ArchiveRecords.of(source);
    const all = options.select === undefined;
    for (const { folder, gone, isLost, why } of recorded?.fewer(
      groups.flat().map((job) => job.folder),
      all,
    ) ?? []) {
      const name = showPath(folder);
      if (isLost)
        lost.push({
          name,
          why,
          folder,
          messages: gone,
          hint: "A backup with --recheck brings what is still where it came from.",
        });
      else await events.emit({ type: "notice", text: `${name}: ${why}` });
    }
    const context: RunContext = {
      source,
      sink,
      options,
      events,
      tally,
      ledger,
      quarantine: quarantineIn(join(home, "quarantine")),
      room: new Room(),
      present:
        options.dryRun === true && options.present !== undefined
          ? new Present(options.present, source, soft)
          : undefined,
      whole: source.announces === true ? new Whole() : undefined,
      alterations: new Alterations(),
      course: new Course(),
      refusals: new Refusals(),
      ahead: { pays: source.readsAhead === true },
      closeLooks: { left: CLOSE_LOOKS },
      looked: keeper?.looked,
      recorded,
      trial: join(home, "trial.json"),
      staging: join(home, "staging"),
      bytes: new Budget(BYTES_IN_FLIGHT),
      writes: new Budget(sink.limits.writes),
      soft,
      hard,
      hold,
    };
    const folders = groups.flat().map(({ folder }) => folder);
    const isMeasured = folders.every(({ bytes }) => bytes !== undefined);
    await events.emit({
      type: "run-planned",
      folders: folders.length,
      messages: folders.reduce((sum, { messages }) => sum + (messages ?? 0), 0),
      ...(isMeasured ? { bytes: folders.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0) } : {}),
    });
    if (!isDry) await finishTrial(context, groups.flat());
    const results = await runLanes(context, groups, isFinished ? compareFinished : runFolder);
    if (!soft.aborted) throwIfGone(options);
    if (!isDry && !soft.aborted) await rememberRespelled(context);
    const isOpen = !isDry && !soft.aborted && sink.once === true && (await staysOpen(tally, events));
    const full = context.room.refusal;
    if (options.remove === undefined && !isDry && !soft.aborted) await suspectOnePlace(context);
    if (options.remove === undefined && !isDry && source.remove !== undefined) await tellShort(context);
    if (!soft.aborted && full !== undefined) throw full;
    if (!soft.aborted && !isDry && !isOpen) await seal(context, tally.balance().failed);
    if (options.remove !== undefined && !soft.aborted && options.dryRun !== true && !isOpen)
      await removeProved(context, results);
    if (options.remove !== undefined && options.dryRun === true) await tellBound(context);
    if (soft.aborted) return await end("stopped");
    if (keeper !== undefined && isLookedFor && !isDry && tally.closes && sink.kind === "maildir")
      await lookAtUnvisited(context, keeper.looked, home, ledgerDirectory);
    const balance = tally.balance();
    await tellLeftOut();
    // What an archive sees of itself only where it has to read it.
    tally.missing = [...new Set([...tally.missing, ...(sink.missing ?? [])])];
    throwIfGone(options);
    const isComplete = tally.leftOut === 0 && tally.closes && balance.failed === 0 && tally.kept === 0;
    if (isComplete && !isDry && looksForAll(source, options) && (sink.missing ?? []).length > 0) await sink.forgive?.();
    return await end(isComplete && tally.missing.length + tally.unmatched.length === 0 ? "complete" : "partial");
  } catch (caught) {
    const first = firstOf(caught);
    if (soft.aborted && isAbort(first)) return await end("stopped");
    // Whatever failed, failed over that.
    const error = first instanceof MailError ? (options.standing?.gone() ?? first) : first;
    await end("stopped", error instanceof MailError ? error : undefined);
    throw error;
  }
}

/** A place that is empty because its disk is gone looks like one from which all was deleted. */
function throwIfGone({ standing }: RunOptions): void {
  const gone = standing?.gone();
  if (gone !== undefined) throw gone;
}

async function seal({ sink, options, events, hard, hold }: RunContext, failed: number): Promise<void> {
  const what = "the end of the target";
  hold(true);
  await patiently(what, () => sink.seal(hard, failed), { patience: options.patience, events }, hard);
  if (sink.once !== true || failed === 0) return;
  const text = `the target is finished without ${plural(failed, "message")} that failed again; carry those to another target`;
  await events.emit({ type: "notice", text });
}

/**
 * Whether a target that is written once is left for another run of the same command: when a folder did not come to its end, or
 * messages failed for the first time. Those that fail again it is finished without.
 */
async function staysOpen(tally: RunTally, events: EventStream): Promise<boolean> {
  const { failed } = tally.balance();
  const { failedAgain: again } = tally;
  const closes = tally.isDone;
  if (closes && failed <= again) return false;
  const why = closes ? `${plural(failed - again, "message")} failed` : "not every folder came to its end";
  const next = closes ? "; what fails again is then left out of it" : "";
  const text = `the target is not finished yet: ${why}. Run the same command again${next}`;
  await events.emit({ type: "notice", text });
  return true;
}

/** The folders to carry; a listing that a passing fault cut is asked for again. */
async function planPatiently(
  source: Source,
  sink: Sink,
  options: RunOptions,
  tally: RunTally,
  events: EventStream,
  soft: AbortSignal,
): Promise<readonly (readonly FolderJob[])[]> {
  const work = async (): Promise<readonly (readonly FolderJob[])[]> => {
    const refused: { folder: Folder; error: MailError }[] = [];
    if (options.remove !== undefined) {
      const text = await source.checkRemove?.(soft);
      if (text !== undefined) await events.emit({ type: "notice", text });
    }
    const chosen = await selectFolders(source, options, soft);
    tally.unmatched = chosen.unmatched;
    for (const text of [...chosen.unmatched, ...chosen.idle]) await events.emit({ type: "notice", text });
    const refuse = (folder: Folder, error: MailError): void => void refused.push({ folder, error });
    const groups = await planFolders(chosen.folders, sink, options, refuse, soft);
    for (const { folder, error } of refused) tally.refuse(folder.path, error);
    const planned = new Set(groups.flat().map(({ folder }) => folder));
    tally.plan(chosen.folders.filter((folder) => planned.has(folder)));
    return groups;
  };
  return await patiently("the list of folders", work, { patience: options.patience, events }, soft);
}

/**
 * Each group of folders with one target in a lane; what concerns the whole account stops all lanes: the first error that says so, or
 * two folders given up one after the other, with nothing that got through between.
 */
async function runLanes(
  context: RunContext,
  groups: readonly (readonly FolderJob[])[],
  work: typeof runFolder,
): Promise<readonly FolderResult[]> {
  const { source, sink } = context;
  const most = Math.min(source.limits.sessions, sink.limits.folders);
  const lanes = new PQueue();
  using width = new Widening({
    first: sink.limits.foldersAtFirst ?? most,
    most,
    wanted: () => lanes.size > 0,
    onGrown: (now) => {
      lanes.concurrency = now;
    },
  });
  lanes.concurrency = width.now;
  const broken = new AbortController();
  const lane: RunContext = { ...context, soft: AbortSignal.any([context.soft, broken.signal]) };
  setMaxListeners(0, lane.soft);
  // In the order of the folders, whichever lane is done first.
  const results = new Array<FolderResult | undefined>(groups.length);
  let failure: unknown;
  const verdicts = new Verdicts(context.course);
  // The largest first: begun last, it would go on alone when all others are done.
  const size = (group: readonly FolderJob[]): number =>
    group.reduce((sum, { folder: { messages = 0 } }) => sum + messages, 0);
  const order = [...groups.entries()].sort(([, a], [, b]) => size(b) - size(a));
  width.ask();
  for (const [at, group] of order) {
    if (lanes.size === QUEUED) await lanes.onSizeLessThan(QUEUED);
    void lanes.add(async () => {
      if (lane.soft.aborted) return;
      try {
        const result = await work(lane, group);
        results[at] = result;
        verdicts.add(result);
      } catch (error) {
        failure ??= error;
        broken.abort();
      }
    });
  }
  await lanes.onIdle();
  if (failure !== undefined) throw failure;
  await verdicts.end(context.soft);
  return results.filter((result) => result !== undefined);
}

function summarise(tally: RunTally, outcome: RunSummary["outcome"], seconds: number, error?: MailError): RunSummary {
  const folders = tally.inOrder().map((folder) => folder.summary());
  const balance = tally.balance();
  const listed = folders.reduce((sum, folder) => sum + folder.listed, 0);
  return {
    outcome,
    listed,
    balance,
    closes: listed === sumOf(balance) && tally.closes,
    bytes: tally.bytes,
    traitsUpdated: tally.traitsUpdated,
    removed: tally.removed,
    kept: tally.kept,
    losses: tally.losses,
    folders,
    seconds,
    ...(tally.missing.length === 0 ? {} : { missing: tally.missing }),
    ...(tally.leftOut === 0 ? {} : { leftOut: tally.leftOut }),
    ...(tally.unmatched.length === 0 ? {} : { unmatched: tally.unmatched }),
    ...(outcome === "stopped" ? { progress: tally.progress() } : {}),
    ...(error === undefined ? {} : { error }),
  };
}
