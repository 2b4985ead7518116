// Deleting at the source: last of all, only what was read back from the sealed target just now, and only that.

import { mapOrdered } from "../core/pool.ts";
import { plural, showCount } from "../core/words.ts";
import { MailError } from "../mail/errors.ts";
import type { Shape } from "../mail/key.ts";
import type { Origin } from "../mail/model.ts";
import type { Removable, Removal } from "../mail/removal.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import { proofOf } from "./copy.ts";
import type { Disposition, KeptWhy } from "./events.ts";
import type { FolderResult } from "./folder.ts";
import { IdSet } from "./id-set.ts";
import type { JobState } from "./job.ts";
import type { DoneRecord, FolderLedger } from "./ledger.ts";
import { patiently } from "./patiently.ts";
import { type Deletion, Places } from "./places.ts";
import { Shortage } from "./short.ts";
import { type FolderTally, sumOf } from "./tally.ts";

/** Copies that are read back at once. */
const PROOFS_IN_FLIGHT = 16;

/** One source folder, and what is recorded of it. */
interface Work {
  readonly state: JobState;
  /** Where its copies lie; undefined when no pass over it came to its end. */
  readonly folder: SinkFolder | undefined;
  readonly ledger: FolderLedger;
}

/** Deletes what may go. What was to go and did not, is counted in the tally's `kept`; why, is said in events. */
export async function removeProved(context: RunContext, results: readonly FolderResult[]): Promise<void> {
  const works: Work[] = [];
  for (const { folder, ledger, states } of results)
    if (ledger !== undefined) for (const state of states) works.push({ state, folder, ledger });
  const whole = works.filter(({ state, folder }) => folder !== undefined && state.tally.summary().closes);
  const refusal = await refused(context, whole);
  const places = new Places(context);
  if (refusal === undefined) await context.events.emit({ type: "removal-begun", messages: copiesOf(works) });
  for (const work of works) {
    if (context.soft.aborted) return;
    const closes = whole.includes(work);
    const why = closes ? refusal : "folder-incomplete";
    if (!closes)
      await notice(context, work.state, "nothing is deleted at the source: the folder did not come through whole");
    await (why === undefined ? removeFolder(context, work, places) : keepFolder(context, work, why));
    await finish(context, work.state);
  }
}

/** Messages that are looked at one after the other; counted without reading their records. */
function copiesOf(works: readonly Work[]): number {
  const copies = ({ balance }: FolderTally): number => balance.copied + balance["already-copied"] + balance.adopted;
  return works.reduce((sum, { state }) => sum + copies(state.tally), 0);
}

/** Why nothing is to be deleted in this run at all: more would go than was allowed, or somebody said no. */
async function refused(context: RunContext, works: readonly Work[]): Promise<KeptWhy | undefined> {
  const { most, confirm } = context.options.remove ?? {};
  if (most === undefined && confirm === undefined) return undefined;
  let due = 0;
  let folders = 0;
  for (const work of works) {
    const before = due;
    for await (const record of selected(work)) if (isDue(context, record)) due++;
    if (due > before) folders++;
  }
  const text = boundText(context, due);
  if (text !== undefined) {
    await context.events.emit({ type: "notice", text: `nothing is deleted at the source: ${text}` });
    return "over-limit";
  }
  if (due === 0 || confirm === undefined) return undefined;
  const asked = Date.now();
  const isFirst = (await context.ledger.runs()).every(({ end }) => (end?.balance.removed ?? 0) === 0);
  const isConfirmed = await confirm(due, context.soft, { folders, isFirst });
  context.tally.waitedMs += Date.now() - asked;
  if (isConfirmed) return undefined;
  if (!context.soft.aborted)
    await context.events.emit({ type: "notice", text: "nothing is deleted at the source: it was declined" });
  return "declined";
}

/** Says so when more would be deleted than was allowed. */
function boundText({ tally, options }: RunContext, due: number): string | undefined {
  const { most } = options.remove ?? {};
  if (most === undefined) return undefined;
  const listed = sumOf(tally.balance());
  const allowed = "count" in most ? most.count : Math.floor((listed * most.percent) / 100);
  if (due <= allowed) return undefined;
  const bound =
    "count" in most
      ? showCount(most.count)
      : `${showCount(allowed)}, ${most.percent}% of the ${showCount(listed)} listed`;
  return `${plural(due, "message")} would go, and the bound is ${bound}`;
}

/** A dry run says beforehand what would be refused. */
export async function tellBound(context: RunContext): Promise<void> {
  const text = boundText(context, context.tally.due);
  if (text !== undefined)
    await context.events.emit({ type: "notice", text: `nothing would be deleted at the source: ${text}` });
}

/** What this run is about in a folder, and has a copy that its source's bytes were given to. */
async function* selected(work: Work): AsyncGenerator<DoneRecord> {
  for await (const record of all(work)) if (record.gone !== true) yield record;
}

/** Those too whose copies their owner deleted. */
async function* all({ state, ledger }: Work): AsyncGenerator<DoneRecord> {
  for await (const record of ledger.records(state.job.folder.path)) {
    const { generation, id } = record.origin;
    if (record.state === "done" && generation === state.generation && state.selected?.has(id) === true) yield record;
  }
}

function announcedOf({ announced }: DoneRecord): Pick<Removable, "announced"> {
  return announced === undefined ? {} : { announced };
}

/** Without an age to wait for the clock is not asked: it may have stepped back since the copy was made. */
export function isDue({ options }: RunContext, { firstSeen }: Pick<DoneRecord, "firstSeen">): boolean {
  const { olderThanSeconds } = options.remove ?? {};
  return olderThanSeconds === undefined || Math.floor(Date.now() / 1000) - firstSeen >= olderThanSeconds;
}

/** A copy that cannot be read back is none, whatever the reason; it keeps no other message from going. */
async function shapeOf(...copy: Parameters<typeof proofOf>): Promise<Shape | undefined> {
  try {
    return await proofOf(...copy);
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    return undefined;
  }
}

/** An archive that went back in time was found out when it was opened: what is gone from it now was deleted there by its owner. */
async function wasDeleted(
  { sink, hard }: RunContext,
  folder: SinkFolder,
  { receipt }: Pick<DoneRecord, "receipt">,
): Promise<boolean> {
  if (sink.home === undefined || receipt === undefined || folder.lacks?.(receipt) === true) return false;
  try {
    for await (const _ of folder.reopen(receipt, hard)) return false;
    return false;
  } catch (error) {
    return error instanceof MailError && error.code === "not-found";
  }
}

/** Leaves all of a folder, and says so of each message that would have gone. */
async function keepFolder(context: RunContext, work: Work, why: KeptWhy): Promise<void> {
  for await (const record of selected(work))
    await keep(context, work.state, record.origin, isDue(context, record) ? why : "too-new");
}

async function removeFolder(context: RunContext, work: Work, places: Places): Promise<void> {
  const { source, hard } = context;
  const { state, folder, ledger } = work;
  if (source.remove === undefined || folder === undefined)
    throw new MailError("config", `${source.kind} cannot delete messages`, { scope: "account", remedy: "give-up" });
  const deleting = source.remove.bind(source);
  let asked = 0;
  let gone = 0;
  /** What the source shows no more, or has something else in place of. */
  let other = 0;
  let cut = false;
  /** Those that were said to stay. */
  const said = new IdSet();
  /** Those that were tried alone, and stay. */
  const left = new IdSet();

  const goes = async (origin: Origin): Promise<void> => {
    context.tally.removed++;
    state.tally.removed++;
    await ledger.put({ state: "removed", origin });
    await context.events.emit({ type: "message-removed", origin });
  };
  const stays = async (record: Pick<DoneRecord, "origin" | "receipt" | "run">, why: KeptWhy): Promise<undefined> => {
    const { origin } = record;
    if (said.has(origin.id)) return;
    said.add(origin.id);
    // What this run has made, and cannot read back, was lost on its way.
    const isEarlier = ledger.run === undefined || record.run !== ledger.run;
    const isDeleted = why === "not-proved" && isEarlier && (await wasDeleted(context, folder, record));
    await keep(context, state, origin, isDeleted ? "copy-deleted" : why);
    // Said once.
    const done = isDeleted ? await ledger.find(origin)?.read() : undefined;
    if (done !== undefined) await ledger.put({ ...done, gone: true });
  };
  // Durable before the source marks it as \Deleted: killed in between, the next run must not take that mark for its owner's.
  const note = async ({ gone: isBack, ...done }: DoneRecord, due: boolean): Promise<void> => {
    if (isBack === true || (due ? done.marked !== true : !done.proved))
      await ledger.put({ ...done, proved: true, ...(due ? { marked: true } : {}) });
    if (due) await context.events.emit({ type: "message-proved", origin: done.origin });
  };
  /** Its owner may have put it back. */
  const isStillGone = async (record: DoneRecord): Promise<boolean> => {
    if (record.gone !== true || !(await wasDeleted(context, folder, record))) return false;
    if (record.run === ledger.run) await stays(record, "copy-deleted");
    return true;
  };
  const prove = async (record: DoneRecord): Promise<Removable | undefined> => {
    if (left.has(record.origin.id) || (await isStillGone(record))) return undefined;
    const due = isDue(context, record);
    // What stays for its age is proved all the same, once: its copy is known to be good before its time comes.
    if (!due && record.proved) return await stays(record, "too-new");
    const shape = record.receipt && (await shapeOf(folder, record.receipt, record.key, hard));
    if (shape === undefined) return await stays(record, due ? "not-proved" : "too-new");
    if (due && shortage.isShort(record, shape.lines)) return await stays(record, "short");
    await note(record, due);
    return due ? { ...record.origin, ...announcedOf(record) } : await stays(record, "too-new");
  };
  async function* proved(): AsyncGenerator<Removable> {
    for await (const origin of mapOrdered(all(work), PROOFS_IN_FLIGHT, prove)) {
      if (origin === undefined) continue;
      if (context.soft.aborted) return;
      asked++;
      yield origin;
    }
  }

  const shortage = await Shortage.of(ledger, state.job.folder.path);
  const removal: Removal = {
    recorded: async (origin) => await ledger.find(origin)?.read(),
    async changed(origin) {
      other++;
      await stays({ origin }, "changed");
      await ledger.displace(origin);
    },
    async absent(origin) {
      other++;
      await stays({ origin }, "not-listed");
    },
    stop: context.soft,
  };

  // Looking for copies goes on from where it was: what was read back here says nothing of any other.
  const wasClean = ledger.clean;
  const position = ledger.sinkPosition;
  const remove = async (): Promise<void> => {
    asked = 0;
    gone = 0;
    other = 0;
    for await (const origin of deleting(proved(), hard, context.hold, removal)) {
      gone++;
      await goes(origin);
    }
  };
  const deletion: Deletion = {
    job: state.job,
    folder,
    async *due() {
      for await (const record of selected(work))
        if (isDue(context, record) && !left.has(record.origin.id)) yield record;
    },
    removable: (record) => ({ ...record.origin, ...announcedOf(record) }),
    removal,
    isShort: (record, lines) => shortage.isShort(record, lines),
    isFound: ({ origin }) => state.found?.has(origin.id) !== false,
    mark: (record) => note(record, true),
    gone: goes,
    async stays(record, why) {
      left.add(record.origin.id);
      await stays(record, why);
    },
  };
  let areTwo = false;
  try {
    const { patience } = context.options;
    areTwo = await places.areTwo(deletion);
    if (areTwo) await patiently("deleting at the source", remove, { patience, events: context.events }, context.soft);
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
    if (error.details.remedy === "give-up" && error.details.scope === "account") throw error;
    cut = true;
    await notice(context, state, `deleting was cut short (${error.message}); run the same command again`);
  } finally {
    if (wasClean) await ledger.close(position, []);
  }
  const unproved = state.tally.stayed["not-proved"] ?? 0;
  if (unproved > 0)
    await notice(
      context,
      state,
      `${plural(unproved, "message")} ${unproved === 1 ? "stays" : "stay"} at the source: no copy could be read back as it was sent`,
    );
  const short = state.tally.stayed.short ?? 0;
  if (short > 0) {
    const [say, their] = short === 1 ? ["stays", "its copy has"] : ["stay", "their copies have"];
    const text = `${plural(short, "message")} ${say} at the source: the server announced more octets than it gave, and ${their} no more than those`;
    await notice(context, state, text, true);
  }
  const open = asked - gone - other;
  if (context.soft.aborted || (areTwo && !cut && open <= 0)) return;
  if (!areTwo && !cut)
    await notice(
      context,
      state,
      "it cannot be told whether source and target are two places, as the source confirms no deletion: nothing is deleted",
    );
  else if (!cut)
    await notice(
      context,
      state,
      `the server did not confirm that ${plural(open, "message")} ${open === 1 ? "is" : "are"} gone`,
    );
  for await (const record of selected(work))
    if (isDue(context, record) && !said.has(record.origin.id))
      await keep(context, state, record.origin, cut ? "cut-short" : "not-confirmed");
}

async function keep(context: RunContext, state: JobState, origin: Origin, why: KeptWhy): Promise<void> {
  state.tally.stays(why);
  // What is not shown any more cannot stay either.
  if (why !== "too-new" && why !== "not-listed" && why !== "copy-deleted") context.tally.kept++;
  await context.events.emit({ type: "message-kept", origin, why });
}

/** What stays because it has no equal copy, or was left out, was said when it was settled: here it is counted. */
async function finish(context: RunContext, { job, tally }: JobState): Promise<void> {
  const stayed: Partial<Record<KeptWhy | Disposition, number>> = { ...tally.stayed };
  for (const why of ["filtered", "altered", "failed"] as const)
    if (tally.balance[why] > 0) stayed[why] = tally.balance[why];
  if (tally.removed === 0 && Object.keys(stayed).length === 0) return;
  await context.events.emit({ type: "folder-removed", folder: job.folder.path, removed: tally.removed, stayed });
}

async function notice(context: RunContext, state: JobState, text: string, insist = false): Promise<void> {
  await context.events.emit({ type: "notice", text, folder: state.job.folder.path, ...(insist ? { insist } : {}) });
}
