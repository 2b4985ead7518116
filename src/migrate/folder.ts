// One target folder: passes over its source folders until every listed origin is settled. Crash, retry, a lost ledger and a
// target that somebody else filled all go this one way: what has no record is looked for in the target before it is copied.

import { setMaxListeners } from "node:events";
import { DEFAULT_PATIENCE, delayBefore, pause } from "../core/retry.ts";
import { type Body, MEMORY_LIMIT, stage } from "../mail/body.ts";
import { isAbort, MailError } from "../mail/errors.ts";
import { type Loss, narrow } from "../mail/fidelity.ts";
import { type Entry, samePath } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { Incoming } from "../sources/source.ts";
import { type Candidates, gatherCandidates, NO_CANDIDATES, nameCopies } from "./candidates.ts";
import { filtersMessages, isFiltered, type RunContext } from "./context.ts";
import { copyMessage, type Settled, type Target, updateKnown } from "./copy.ts";
import type { Disposition } from "./events.ts";
import { IdSet } from "./id-set.ts";
import type { FolderLedger, Head, Known } from "./ledger.ts";
import type { FolderJob } from "./plan.ts";
import { FolderTally } from "./tally.ts";

/** Tries of one message whose failure may pass (a server's UNAVAILABLE). */
const MESSAGE_TRIES = 3;
/** What a message in flight costs beside its bytes. */
const MESSAGE_OVERHEAD = 4096;

/** One source folder on its way, over all its passes. */
export interface JobState {
  readonly job: FolderJob;
  readonly tally: FolderTally;
  /** The origins that this run is about, where they are to be removed afterwards. */
  readonly selected: IdSet | undefined;
  generation: string | undefined;
  listed: number;
  failed: number;
  announced: boolean;
  unchanged: boolean;
  readonly tries: Map<string, number>;
  /** Ids that failed in an earlier run and are tried again. */
  readonly retried: Set<string>;
}

export interface FolderResult {
  readonly states: readonly JobState[];
  /** Both absent when no pass was needed, or none could begin. */
  readonly ledger: FolderLedger | undefined;
  readonly folder: SinkFolder | undefined;
}

/** Throws what makes the whole run impossible; a failure of this folder alone is in its tally. */
export async function runFolder(context: RunContext, jobs: readonly FolderJob[]): Promise<FolderResult> {
  const { options, soft } = context;
  const states = jobs.map((job): JobState => {
    const tally = new FolderTally(job.folder.path, job.plan.name);
    context.tally.folders.push(tally);
    const selected = options.remove === undefined ? undefined : new IdSet();
    return {
      job,
      tally,
      selected,
      generation: undefined,
      listed: 0,
      failed: 0,
      announced: false,
      unchanged: false,
      tries: new Map(),
      retried: new Set(),
    };
  });
  const name = jobs[0]?.plan.name ?? "";
  for (const state of states) await skipUnchanged(context, state, name);
  if (states.every(({ unchanged }) => unchanged)) {
    for (const state of states) await finished(context, state);
    return { states, ledger: undefined, folder: undefined };
  }
  const ledger = await context.ledger.folder(name);
  const patience = options.patience ?? DEFAULT_PATIENCE;
  let folder: SinkFolder | undefined;
  let settledBefore = -1;
  for (let number = 1, vain = 0; !soft.aborted; number++) {
    try {
      folder = await pass(context, states, ledger, number);
      break;
    } catch (error) {
      if (soft.aborted && (isAbort(error) || error instanceof MailError)) break;
      if (!(error instanceof MailError)) throw error;
      const settled = states.reduce((sum, { tally }) => sum + tally.summary().listed - tally.unresolved, 0);
      vain = settled > settledBefore ? 1 : vain + 1;
      settledBefore = settled;
      const { scope, remedy, waitMs } = error.details;
      if (remedy === "give-up" || vain >= patience.attempts) {
        if (scope === "account") throw error;
        for (const { tally } of states) tally.error = error.message;
        break;
      }
      const delayMs = Math.max(waitMs ?? 0, delayBefore(vain, patience));
      await context.events.emit({ type: "retry-scheduled", what: name, attempt: vain, delayMs, error });
      await pause(delayMs, soft);
    }
  }
  for (const state of states) await finished(context, state);
  return { states, ledger, folder };
}

async function finished(context: RunContext, { job, tally }: JobState): Promise<void> {
  await context.events.emit({ type: "folder-finished", folder: job.folder, summary: tally.summary() });
}

/** Everything that one pass over a target folder holds on to. */
interface Pass {
  readonly context: RunContext;
  readonly target: Target;
  /** Aborted when reading further makes no sense. */
  readonly reader: AbortController;
  readonly signal: AbortSignal;
  readonly tasks: Set<Promise<void>>;
  error: unknown;
  /** A message-scoped failure that another pass may mend. */
  again: MailError | undefined;
  changed: boolean;
  /** The sink stored something that it could not name. */
  unnamed: boolean;
}

async function pass(
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
    await plan(context, open, ledger);
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

/** A folder whose state is the one that its last clean run saw holds nothing new. */
async function skipUnchanged(context: RunContext, state: JobState, name: string): Promise<void> {
  const { options } = context;
  const { folder } = state.job;
  if (options.recheck === true || options.remove !== undefined || filtersMessages(options)) return;
  if (folder.state === undefined) return;
  const head = (await context.ledger.glance(name))?.head(folder.path);
  if (head?.sourceState === undefined || head.sourceState !== folder.state) return;
  state.unchanged = true;
  state.generation = head.generation;
  state.tally.balance["already-copied"] += head.listed;
  await context.events.emit({ type: "folder-unchanged", folder, messages: head.listed });
}

/** Says once a run what this folder is called in the target, and whether its name could be kept. */
async function announce(context: RunContext, state: JobState, created: boolean): Promise<void> {
  if (state.announced) return;
  state.announced = true;
  const { folder, target, plan: planned } = state.job;
  const losses: Loss[] = samePath(planned.path, target.path)
    ? []
    : [{ kind: "folder-name", from: target.path, to: planned.name }];
  context.tally.addLosses(losses);
  await context.events.emit({ type: "folder-opened", folder, name: planned.name, losses, created });
}

/** Dry run: every message is offered, none is transferred. */
async function plan(context: RunContext, states: readonly JobState[], ledger: FolderLedger): Promise<void> {
  for (const state of states) {
    await announce(context, state, false);
    for await (const slice of context.source.slices(state.job.folder, context.soft)) {
      const want = async (entry: Entry): Promise<boolean> => {
        const known = ledger.find(entry.origin);
        const filtered = isFiltered(entry, context.options, entry.traits.received, entry.size);
        const isKnown = known !== undefined && known.state !== "failed" && context.options.recheck !== true;
        const as: Disposition = filtered ? "filtered" : isKnown ? "already-copied" : "planned";
        const losses = as === "planned" ? narrow(entry.traits, state.job.plan.fidelity).losses : [];
        await settle(context, state, ledger, entry, { as, losses }, entry.size ?? 0);
        return false;
      };
      for await (const incoming of context.source.read(slice, { want, signal: context.soft }))
        await settle(context, state, ledger, incoming.entry, { as: "planned", losses: [] }, incoming.entry.size ?? 0);
    }
  }
}

async function readFolder(current: Pass, state: JobState): Promise<void> {
  const { context, target } = current;
  const { tally } = state;
  const { ledger } = target;
  state.listed = 0;
  tally.unresolved = 0;

  const want = (entry: Entry): boolean | Promise<boolean> => {
    state.listed++;
    state.generation = entry.origin.generation;
    const known = ledger.find(entry.origin);
    if (isFiltered(entry, context.options, entry.traits.received, entry.size))
      return settled(entry, { as: "filtered", losses: [] });
    if (known !== undefined && known.state !== "failed") {
      state.selected?.add(entry.origin.id);
      const stale = context.options.flags !== false && !known.sameTraits(entry.traits);
      return stale ? update(known, entry) : settled(entry, { as: "already-copied", losses: [] });
    }
    if (known !== undefined) state.retried.add(entry.origin.id);
    tally.unresolved++;
    return true;
  };
  const settled = (entry: Entry, outcome: Settled): boolean | Promise<boolean> => {
    const wait = settle(context, state, ledger, entry, outcome, 0);
    return wait === undefined ? false : wait.then(() => false);
  };
  const update = async (known: Known, entry: Entry): Promise<boolean> => {
    const release = await context.writes.acquire(1, context.hard);
    spawn(current, release, async () => {
      const changed = await updateKnown(context, target, known, entry);
      current.changed = true;
      await settle(context, state, ledger, entry, { as: "already-copied", losses: [], traitsUpdated: changed }, 0);
    });
    return false;
  };
  const listed = (): void => {
    if (state.generation !== undefined) ledger.listedAll(state.job.folder.path, state.generation);
  };

  try {
    for await (const slice of context.source.slices(state.job.folder, current.signal))
      for await (const incoming of context.source.read(slice, { want, listed, signal: current.signal }))
        await receive(current, state, incoming);
  } catch (error) {
    fail(current, error);
  }
}

/** Stages one message and lets it go its way; the next is pulled as soon as the bounds have room. */
async function receive(current: Pass, state: JobState, { entry, content }: Incoming): Promise<void> {
  const { context } = current;
  const weight = Math.min(entry.size ?? MEMORY_LIMIT, MEMORY_LIMIT) + MESSAGE_OVERHEAD;
  const releaseBytes = await context.bytes.acquire(weight, context.hard);
  let body: Body | undefined;
  try {
    const releaseWrite = await context.writes.acquire(1, context.hard);
    try {
      body = await stage(content, context.staging);
    } catch (error) {
      releaseWrite();
      releaseBytes();
      await setAside(current, state, entry, undefined, error);
      return;
    }
    const staged = body;
    const release = (): void => {
      releaseWrite();
      releaseBytes();
    };
    spawn(current, release, async () => {
      await using bytes = staged;
      try {
        const outcome = await copyMessage(context, current.target, entry, bytes);
        if (outcome.as !== "filtered" && outcome.as !== "altered") state.selected?.add(entry.origin.id);
        if (outcome.as !== "already-copied") current.changed = true;
        if (outcome.unnamed === true) current.unnamed = true;
        if (state.retried.has(entry.origin.id)) await context.quarantine.release(entry.origin);
        resolve(state);
        await settle(context, state, current.target.ledger, entry, outcome, bytes.shape.size);
      } catch (error) {
        await setAside(current, state, entry, bytes, error);
      }
    });
  } catch (error) {
    releaseBytes();
    throw error;
  }
}

/** What becomes of a message that failed: vanished, tried again in another pass, or set aside for good. */
async function setAside(
  current: Pass,
  state: JobState,
  entry: Entry,
  body: Body | undefined,
  error: unknown,
): Promise<void> {
  const { context, target } = current;
  if (!(error instanceof MailError) || error.details.scope !== "message") {
    fail(current, error);
    return;
  }
  if (error.code === "not-found") {
    resolve(state);
    await settle(context, state, target.ledger, entry, { as: "vanished", losses: [] }, 0);
    return;
  }
  const tries = (state.tries.get(entry.origin.id) ?? 0) + 1;
  state.tries.set(entry.origin.id, tries);
  if (error.details.remedy !== "give-up" && tries < MESSAGE_TRIES) {
    current.again ??= error;
    return;
  }
  const quarantine = await context.quarantine.setAside(entry.origin, body, error.message);
  state.failed++;
  current.changed = true;
  await target.ledger.put({ state: "failed", origin: entry.origin, code: error.code });
  resolve(state);
  await settle(context, state, target.ledger, entry, { as: "failed", losses: [], quarantine }, 0, error);
}

function resolve(state: JobState): void {
  state.tally.unresolved--;
}

/** The first failure ends the pass; what is in flight still comes to its end. */
function fail(current: Pass, error: unknown): void {
  if (isAbort(error) && current.signal.aborted) return;
  current.error ??= error;
  current.reader.abort();
}

function spawn(current: Pass, release: () => void, work: () => Promise<void>): void {
  const task = work()
    .catch((error: unknown) => fail(current, error))
    .finally(() => {
      release();
      current.tasks.delete(task);
    });
  current.tasks.add(task);
}

/** Counts an origin once a run, and says so. */
function settle(
  context: RunContext,
  state: JobState,
  ledger: FolderLedger,
  entry: Entry,
  outcome: Settled,
  bytes: number,
  error?: MailError,
): Promise<void> | undefined {
  if (!ledger.settle(entry.origin)) return undefined;
  const { as, losses, quarantine, note } = outcome;
  state.tally.balance[as]++;
  context.tally.addLosses(losses);
  if (as === "copied" || as === "altered" || as === "planned") context.tally.bytes += bytes;
  if (outcome.traitsUpdated === true) {
    context.tally.traitsUpdated++;
    void context.events.emit({ type: "traits-updated", origin: entry.origin });
  }
  return context.events.emit({
    type: "message-settled",
    entry,
    as,
    bytes,
    losses,
    ...(error === undefined ? {} : { error }),
    ...(quarantine === undefined ? {} : { quarantine }),
    ...(note === undefined ? {} : { note }),
  });
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
