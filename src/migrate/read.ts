// The reading side of a pass: what a source folder lists is judged, and what is wanted staged and let go its way.

import { type Body, MEMORY_LIMIT, stage, stageBytes } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import type { Entry, Origin } from "../mail/model.ts";
import type { Incoming } from "../sources/source.ts";
import { type Ahead, type Readings, readings } from "./ahead.ts";
import { isFiltered, type RunContext } from "./context.ts";
import { type Item, joinRivals, LATER, type Settled, type Target, updateKnown } from "./copy.ts";
import { copyTogether } from "./copy-batch.ts";
import { fail, giveUpOn, type KnownBy, resolve, setAside } from "./failures.ts";
import { IdSet } from "./id-set.ts";
import { type JobState, settle } from "./job.ts";
import type { Known } from "./ledger.ts";
import { lacks } from "./short.ts";
import type { Side } from "./suspects.ts";

/** What is recorded of a message that ended the connection, or was put off again and again. */
const ENDED = new Set<string | undefined>(["connection", "protocol"]);

/** What a message in flight costs beside its bytes. */
const MESSAGE_OVERHEAD = 4096;

/** Everything that one pass over a target folder holds on to. */
export interface Pass {
  readonly context: RunContext;
  readonly states: readonly JobState[];
  readonly target: Target;
  /** Aborted when reading further makes no sense. */
  readonly reader: AbortController;
  readonly signal: AbortSignal;
  readonly tasks: Set<Promise<void>>;
  /** Staged, and not yet on its way: what comes within one turn of the event loop goes together. */
  waiting: Staged[];
  error: unknown;
  /** One of the failures left open whether a message was stored. */
  doubtful: boolean;
  /** A message-scoped failure that another pass may mend. */
  again: MailError | undefined;
  /** Failed, and not settled before they were described. */
  readonly nameless: { readonly origin: Origin; readonly end: (known: KnownBy) => Promise<void> }[];
  /** A message was refused for good. */
  refused: boolean;
  /** Messages struck one after the other. */
  readonly vain: Record<Side, number>;
  /** Nothing came over the connection that is used now. */
  readonly fresh: Record<Side, boolean>;
  changed: boolean;
  /** A message failed for good that may have been stored all the same. */
  uncertain: boolean;
  /** The first pass over folders of which nothing is known and nothing is left out. */
  readonly everything: boolean;
}

/** One message, its bytes at hand. */
interface Staged extends Item {
  readonly state: JobState;
  readonly release: () => void;
}

/** Messages that go together at the most. */
const TOGETHER = 64;

/** Ends when everything that the folder lists was let go; a failure is in `current.error`. `ahead`: where it was begun already. */
export async function readFolder(current: Pass, state: JobState, ahead?: Ahead): Promise<void> {
  const { context, target, everything, signal } = current;
  const { tally } = state;
  const { ledger } = target;
  let isListed = false;
  state.listed = 0;
  state.expunged = 0;
  tally.unlisted = 0;
  tally.unresolved = 0;
  tally.isCut = true;
  state.later = new IdSet();
  state.forLast.clear();

  const { idsMove = false } = context.source;
  const want = (entry: Entry, doubtful = false): boolean | Promise<boolean> => {
    state.listed++;
    state.generation = entry.origin.generation;
    const known = ledger.find(entry.origin);
    const options = known?.hasOurMark === true ? { ...context.options, skipDeleted: false } : context.options;
    if (isFiltered(entry, options, entry.traits.received, entry.size)) {
      target.later?.leave(entry.traits.received);
      if (entry.isExpunged === true) state.expunged++;
      return settled(entry, { as: "filtered", losses: [] });
    }
    const { suspects } = target;
    // What failed for good in this run is left to the next one.
    if (!suspects.isEmpty && suspects.isFailed(entry.origin)) {
      target.later?.leave(entry.traits.received);
      return false;
    }
    if (known !== undefined && known.state !== "failed" && known.state !== "removed") {
      if (idsMove && (doubtful || isOther(known, entry))) return anew(entry);
      state.selected?.add(entry.origin.id);
      const stale = !known.sameTraits(entry.traits);
      if (stale && context.options.flags === false) state.behind = true;
      return stale && context.options.flags !== false
        ? update(known, entry)
        : settled(entry, { as: "already-copied", losses: [] });
    }
    tally.unresolved++;
    if (known?.state === "failed") {
      state.retried.add(entry.origin.id);
      return again(known, entry);
    }
    if (!suspects.isEmpty && suspects.isApart(entry.origin)) return forLast(entry);
    joinRivals(target.rivals, entry);
    return true;
  };
  /** It is not looked for yet, and its twins leave a copy of its date to it. */
  const forLast = (entry: Entry): boolean => {
    joinRivals(target.rivals, entry);
    state.forLast.add(entry.origin.id);
    return false;
  };
  /** What ended the connection, or was put off, in an earlier run is left for last. */
  const again = async (known: Known, entry: Entry): Promise<boolean> => {
    const { suspects } = target;
    if (suspects.isEmpty || suspects.strikesOf(entry.origin) === 0)
      if (ENDED.has(await known.failure())) suspects.remember(entry.origin);
    if (suspects.isApart(entry.origin)) return forLast(entry);
    joinRivals(target.rivals, entry);
    return true;
  };
  /** Its bytes say whether it is what was copied, or another message under the same id. */
  const anew = async (entry: Entry): Promise<boolean> => {
    await ledger.displace(entry.origin);
    current.changed = true;
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
      const carried = await updateKnown(context, target, known, entry);
      current.changed = true;
      if (carried.behind === true) state.behind = true;
      await settle(context, state, ledger, entry, { as: "already-copied", ...carried }, 0);
    });
    return false;
  };
  const listed = (): void => {
    isListed = true;
    // What the source counts and does not list may be any that was not met.
    if (state.generation !== undefined && tally.unlisted === 0)
      ledger.listedAll(state.job.folder.path, state.generation);
  };

  const unlisted = (messages: number): void => {
    tally.unlisted += messages;
    tally.isKnown = ledger.head(state.job.folder.path) !== undefined;
    // Its state tells nothing of them.
    state.behind = true;
  };

  const all =
    ahead?.read({ want, listed, unlisted }) ??
    readings(context.source, state.job.folder, {
      want,
      listed,
      unlisted,
      differs: (entry) => isOther(ledger.find(entry.origin), entry),
      everything,
      untilNothingNew: true,
      removesNext: context.options.remove !== undefined,
      signal,
    });
  await receiveAll(current, state, all);
  tally.isCut = signal.aborted && !isListed;
}

/** The same for those alone that wait for this turn. */
async function readAgain(current: Pass, state: JobState): Promise<void> {
  const { later } = state;
  state.later = new IdSet();
  const waits = ({ origin }: Entry): boolean => later.has(origin.id);
  const options = { want: waits, signal: current.signal };
  await receiveAll(current, state, readings(current.context.source, state.job.folder, options));
}

/** Settles what had to wait until every message of the pass was looked up by its bytes. */
export async function readLater(current: Pass, states: readonly JobState[]): Promise<void> {
  const { later } = current.target;
  for (const turn of ["alike", "assigned"] as const) {
    const waiting = states.filter((state) => !state.later.isEmpty);
    // A message that could not be read may be the owner of what is left: another pass asks for it.
    if (later === undefined || waiting.length === 0 || current.again !== undefined) return;
    if (turn === "assigned") later.assign();
    later.turn = turn;
    for (const state of waiting) {
      if (current.error !== undefined || current.signal.aborted) return;
      await readAgain(current, state);
    }
    await Promise.all(current.tasks);
  }
}

async function receiveAll(current: Pass, state: JobState, all: Readings): Promise<void> {
  try {
    for await (const reading of all)
      for await (const incoming of reading) {
        const wait = receive(current, state, incoming);
        if (wait !== undefined) await wait;
      }
  } catch (error) {
    if (error instanceof MailError) current.target.suspects.noted(error, "source");
    fail(current, error);
  }
  sendOff(current);
}

/** What is recorded under its id was announced with another size. */
function isOther(known: Known | undefined, { size }: Entry): boolean {
  const announced = known?.announced;
  return announced !== undefined && size !== undefined && announced !== size;
}

/**
 * Stages one message and lets it go its way; the next is pulled as soon as the bounds have room. Undefined where nothing has to
 * be waited for.
 */
export function receive(current: Pass, state: JobState, incoming: Incoming): Promise<void> | undefined {
  const { context } = current;
  const { entry, bytes } = incoming;
  const held = Math.min(bytes?.length ?? entry.size ?? MEMORY_LIMIT, MEMORY_LIMIT);
  // With its folded form.
  const weight = (context.sink.storesLf === true ? 2 * held : held) + MESSAGE_OVERHEAD;
  if (bytes === undefined || bytes.length > MEMORY_LIMIT) return receiveStream(current, state, incoming, weight);
  const releaseBytes = context.bytes.tryAcquire(weight);
  if (releaseBytes === undefined) return receiveStream(current, state, incoming, weight);
  const releaseWrite = context.writes.tryAcquire(1);
  if (releaseWrite === undefined) {
    releaseBytes();
    return receiveStream(current, state, incoming, weight);
  }
  letGo(current, state, entry, stageBytes(bytes, context.sink.storesLf === true), () => {
    releaseWrite();
    releaseBytes();
  });
  return undefined;
}

async function receiveStream(
  current: Pass,
  state: JobState,
  { entry, bytes, content }: Incoming,
  weight: number,
): Promise<void> {
  const { context } = current;
  const releaseBytes = await context.bytes.acquire(weight, context.hard);
  try {
    const releaseWrite = await context.writes.acquire(1, context.hard);
    const release = (): void => {
      releaseWrite();
      releaseBytes();
    };
    let body: Body;
    try {
      const isHeld = bytes !== undefined && bytes.length <= MEMORY_LIMIT;
      body = isHeld
        ? stageBytes(bytes, context.sink.storesLf === true)
        : await stage(content, context.staging, context.sink.storesLf);
    } catch (error) {
      release();
      await setAside(current, state, entry, undefined, error);
      return;
    }
    letGo(current, state, entry, body, release);
  } catch (error) {
    releaseBytes();
    throw error;
  }
}

/** From here on the next message is read while this one is written. */
function letGo(current: Pass, state: JobState, entry: Entry, body: Body, release: () => void): void {
  got(current, "source", entry);
  const sent = state.strayed.size > 0 && state.strayed.has(entry.origin.id);
  const doubtful = state.doubtful.size > 0 && state.doubtful.has(entry.origin.id);
  const staged: Staged = { state, entry, body, release, sent, doubtful };
  const spoilt = current.context.recorded?.doubt(state.job.folder, entry, body);
  if (spoilt !== undefined) {
    spawn(current, release, async () => {
      await giveUpOn(current, state, entry, body, spoilt);
      await body[Symbol.asyncDispose]();
    });
    return;
  }
  const doubt = current.context.whole?.doubt(entry, body);
  if (doubt !== undefined) {
    spawn(current, release, () => doubted(current, staged, doubt));
    return;
  }
  countShort(state, entry, body);
  current.waiting.push(staged);
  if (current.waiting.length >= TOGETHER) sendOff(current);
  else if (current.waiting.length === 1) setImmediate(sendOff, current);
}

function countShort(state: JobState, { size }: Entry, { shape }: Body): void {
  if (lacks(size, shape.size, shape.lines)) state.short++;
}

function got(current: Pass, side: Side, { origin }: Entry): void {
  current.target.suspects.got(side, origin);
  current.vain[side] = 0;
  current.fresh[side] = false;
}

/** A content that may not be the message, or not all of it: asked for once more, then set aside; or its server always counts so. */
async function doubted(current: Pass, staged: Staged, doubt: MailError): Promise<void> {
  const { whole } = current.context;
  const { state, entry, body } = staged;
  if (whole === undefined || (await whole.isUsual(entry, body, current.target.ledger))) {
    countShort(state, entry, body);
    await carry(current, [staged]);
    return;
  }
  if (whole.again(entry.origin))
    current.again ??= new MailError(doubt.code, doubt.message, { ...doubt.details, remedy: "retry" });
  else await giveUpOn(current, state, entry, body, doubt);
  await body[Symbol.asyncDispose]();
}

/** Lets go what waits for company. */
export function sendOff(current: Pass): void {
  const { waiting } = current;
  if (waiting.length === 0) return;
  current.waiting = [];
  const releaseAll = (): void => {
    for (const { release } of waiting) release();
  };
  spawn(current, releaseAll, () => carry(current, waiting));
}

async function carry(current: Pass, items: readonly Staged[]): Promise<void> {
  const fates = await copyTogether(current.context, current.target, items);
  let next = 0;
  for (const item of items) {
    const fate = fates[next++] ?? { error: new Error("a message has no fate") };
    const wait =
      "error" in fate
        ? setAside(current, item.state, item.entry, item.body, fate.error)
        : fate.value === LATER
          ? item.state.later.add(item.entry.origin.id)
          : arrived(current, item, fate.value);
    if (wait !== undefined) await wait;
    if (item.body.bytes === undefined) await item.body[Symbol.asyncDispose]();
    else item.body.recycle?.();
  }
}

function arrived(current: Pass, { state, entry, body }: Staged, outcome: Settled): Promise<void> | undefined {
  const { context, target } = current;
  const isTaken = outcome.as === "copied" || outcome.as === "altered";
  if (outcome.as === "copied") context.room.taken();
  // One that was found may be one that was sent when the connection ended: it got through.
  if (outcome.as === "copied" || outcome.as === "altered" || outcome.as === "adopted") got(current, "target", entry);
  else target.suspects.clear(entry.origin);
  if (outcome.as !== "filtered" && outcome.as !== "altered") state.selected?.add(entry.origin.id);
  if (outcome.as !== "already-copied") current.changed = true;
  if (outcome.behind === true) state.behind = true;
  // What was set aside of an altered one stays.
  const isFreed = state.retried.has(entry.origin.id) && outcome.as !== "altered";
  const flushed = isTaken ? context.refusals.taken() : undefined;
  if (flushed !== undefined || isFreed) return afterwards();
  return end();

  function end(): Promise<void> | undefined {
    const bytes = body.shape.size;
    // A server's word alone is no copy: it is settled when it was seen.
    if (outcome.unnamed === true && target.folder.merges !== true) {
      state.unnamed.set(entry.origin.id, { entry, outcome, bytes });
      return undefined;
    }
    resolve(state);
    return settle(context, state, target.ledger, entry, outcome, bytes);
  }
  async function afterwards(): Promise<void> {
    if (isFreed) await context.quarantine.release(entry.origin);
    await flushed;
    await end();
  }
}

function spawn(current: Pass, release: () => void, work: () => Promise<void>): void {
  const task = run();
  current.tasks.add(task);

  async function run(): Promise<void> {
    try {
      await work();
    } catch (error) {
      fail(current, error);
    } finally {
      release();
      current.tasks.delete(task);
    }
  }
}
