// One message: from its staged bytes to exactly one disposition.

import type { Body } from "../mail/body.ts";
import { MailError, suspecting } from "../mail/errors.ts";
import { difference, type Fidelity, type Loss, narrow } from "../mail/fidelity.ts";
import { receivedFromHeader } from "../mail/headers.ts";
import { keyOf, type Shape } from "../mail/key.ts";
import { showLikeness } from "../mail/likeness.ts";
import type { Entry, Origin, Received, TraitChange, Traits } from "../mail/model.ts";

import { preview } from "../mail/preview.ts";
import { hasServerFields, keysOf } from "../mail/server-fields.ts";
import type { Receipt, SinkFolder } from "../sinks/sink.ts";
import type { Candidates, Found, RivalsOf } from "./candidates.ts";
import { isFiltered, type RunContext } from "./context.ts";
import type { Disposition } from "./events.ts";
import type { Alike, Later } from "./later.ts";
import type { DoneRecord, FolderLedger, Known } from "./ledger.ts";
import type { Rivals } from "./rivals.ts";
import type { Suspects } from "./suspects.ts";

/** One target folder during one pass. */
export interface Target {
  readonly folder: SinkFolder;
  readonly ledger: FolderLedger;
  /** What the folder holds without our knowing; looked at once, before the first append of the pass. */
  candidates(): Promise<Candidates>;
  /** Marks the ledger open, durably, once. */
  begin(): Promise<void>;
  /** Messages that are wanted and not looked for yet; undefined where there is nothing to find. */
  readonly rivals: Rivals | undefined;
  /** Undefined where there is nothing to find. */
  readonly later: Later | undefined;
  /** An earlier run came to no end: what it sent last may lie in the folder without a record. */
  readonly wasBrokenOff: boolean;
  /** Whether a record that was forgotten said that its copy was altered. */
  wasAltered(origin: Origin): boolean;
  readonly suspects: Suspects;
  /** One message at a time is let go, each of them a suspect. */
  alone: boolean;
}

/** It waits to be looked for, where the source tells what may be compared. */
export function joinRivals(rivals: Rivals | undefined, { size, traits: { received } }: Entry): void {
  if (size !== undefined && received !== undefined) rivals?.add(size, received.epochSeconds);
}

function leaveRivals(rivals: Rivals | undefined, { size, traits: { received } }: Entry): void {
  if (size !== undefined && received !== undefined) rivals?.take(size, received.epochSeconds);
}

export interface Settled {
  readonly as: Disposition;
  readonly losses: readonly Loss[];
  readonly quarantine?: string;
  readonly note?: string;
  /** Of one that failed or was altered: what a person knows it by, as it stands in its header, decoded. */
  readonly subject?: string;
  readonly from?: string;
  readonly date?: Date;
  readonly traitsUpdated?: boolean;
  /** Its traits in the target are not yet those of the source. */
  readonly behind?: boolean;
  /** Stored, but the sink could not say under which name. */
  readonly unnamed?: boolean;
}

const NO_LOSSES: readonly Loss[] = [];

/** One message on its way. */
export interface Item {
  readonly entry: Entry;
  readonly body: Body;
  /** This run has sent it, was told that it is stored, and did not find it: it is looked for, and not sent again. */
  readonly sent?: boolean;
  /** This run has sent it, and never heard whether it is stored. */
  readonly doubtful?: boolean;
}

/** Not settled in this turn; see Later. */
export const LATER = Symbol("later");

/** Throws MailError: scope "message" when this message alone failed, else the pass cannot go on. */
export async function copyMessage(context: RunContext, target: Target, item: Item): Promise<Settled | typeof LATER> {
  const { entry, body } = item;
  const { options, hard } = context;
  const { folder, ledger } = target;
  const received = receivedOf(entry, body);
  const isFirst = (target.later?.turn ?? "exact") === "exact";
  if (isFiltered(entry, options, received, body.shape.size)) {
    leaveRivals(target.rivals, entry);
    target.later?.leave(received);
    return { as: "filtered", losses: NO_LOSSES };
  }

  const removed = await removedBefore(ledger, entry, body);
  const moved = removed ?? (await adopted(context, ledger, entry, body));
  if (moved !== undefined) {
    leaveRivals(target.rivals, entry);
    return { as: "already-copied", ...(await carryTraits(context, target, moved, entry)) };
  }

  const traits: Traits = received === undefined ? entry.traits : { ...entry.traits, received };
  const { kept, losses } = narrow(traits, folder.fidelity);
  const candidates = await target.candidates();
  const { size = 0 } = entry;
  // Where records may be taken over, those who do so need no copy of the target.
  const mayAdopt = ledger.mayHold(entry.origin);
  const rivals: RivalsOf = (epochSeconds) => (mayAdopt ? 0 : (target.rivals?.count(size, epochSeconds) ?? 0));
  const look = (): Promise<Found | undefined> => candidates.find(body, kept, hard, rivals).catch(blame(entry.origin));
  // From here on it is looked for itself.
  if (isFirst) leaveRivals(target.rivals, entry);
  for (let found = await look(); found; found = await look()) {
    const settled = await adopt(context, target, item, { found, traits, kept, losses });
    if (settled !== undefined) return settled;
  }
  const altered = await findAltered(context, target, item, { traits, kept, losses });
  if (altered !== undefined) return altered;

  if (item.sent === true) throw notThere();
  if (isTooLarge(folder, body))
    throw new MailError(
      "too-large",
      `the message has ${body.shape.size} octets; the target takes ${folder.fidelity.maxBytes} at the most`,
      { scope: "message", remedy: "give-up", outcome: "none" },
    );
  // It was looked for once more, as the target may have stored it before it hung up.
  const verdict = target.suspects.verdict(entry.origin);
  if (verdict !== undefined) throw verdict;
  const full = context.room.refuses(body.shape.size);
  if (full !== undefined) throw full;
  await target.begin();
  context.hold();
  const stored = await folder.append({ entry, traits: kept, body, alone: target.alone }, hard);
  const allLosses = stored.losses === undefined ? losses : [...losses, ...stored.losses];
  let { altered: note, alteration } = stored;
  let proved = false;
  if (options.prove === true && note === undefined && stored.receipt !== undefined) {
    proved = await isProved(folder, stored.receipt, body.key, hard);
    if (!proved) note = "read back, the copy has other bytes";
  }
  if (note !== undefined)
    return await setAltered(context, target, item, { receipt: stored.receipt, note, alteration, losses: allLosses });
  await ledger.put(doneRecord(ledger, "done", entry, body, stored.receipt, proved, allLosses));
  return { as: "copied", losses: allLosses, unnamed: stored.receipt === undefined };
}

/** A message's traits, and what of them the target keeps. */
interface Wanted {
  readonly traits: Traits;
  readonly kept: Traits;
  readonly losses: readonly Loss[];
}

/** A copy that was there; undefined when it was deleted since it was listed: it is no copy of anything. */
async function adopt(
  context: RunContext,
  target: Target,
  { entry, body }: Item,
  { found, traits, kept, losses, alike }: Wanted & { readonly found: Found; readonly alike?: Alike },
): Promise<Settled | undefined> {
  const { options, hard } = context;
  const { folder, ledger } = target;
  // From here on records name copies of this generation of the folder.
  await target.begin();
  // Labels are not listed with a copy, so they are only ever added.
  // What the source cannot tell at all it does not take away either.
  const { tells: usually } = context.source;
  // Where this message has labels, its source tells them (an mbox of Takeout's), whatever it can tell of others.
  const tells = entry.traits.labels.size > 0 ? { ...usually, labels: true } : usually;
  const change = difference(narrow(found.traits, tells).kept, narrow(kept, tells).kept);
  const fate = options.flags === false ? UNTRIED : await changeTraits(folder, found.receipt, change, hard);
  if (fate.is === "gone") return undefined;
  const behind = fate.is === "refused" && change !== undefined;
  const has: Traits = behind ? { ...traits, flags: found.traits.flags, keywords: found.traits.keywords } : entry.traits;
  // No store lets a date be changed afterwards.
  const keepsDate = kept.received === undefined || found.receivedAt(kept.received.epochSeconds);
  const all: Loss[] = [...losses, ...fate.losses, ...(keepsDate ? [] : [{ kind: "received" } as const])];
  if (alike === undefined) {
    await ledger.put({ ...doneRecord(ledger, "done", entry, body, found.receipt, true, all), traits: has });
    return { as: "adopted", losses: all, behind, ...noteOf(fate) };
  }
  const { likeness, isRenamed } = alike;
  const by = isRenamed ? "its date and all but its Message-ID" : "Message-ID and date";
  const note = `found in the target by ${by}, as the server changed it: ${showLikeness(likeness)}`;
  const copy = { receipt: found.receipt, note, alteration: likeness.how, losses: all };
  return { ...(await setAltered(context, target, { entry: { ...entry, traits: has }, body }, copy)), behind };
}

/** A copy of it that the server altered; LATER while it is too early to say whose a copy is. */
async function findAltered(
  context: RunContext,
  target: Target,
  item: Item,
  wanted: Wanted,
): Promise<Settled | typeof LATER | undefined> {
  const { later } = target;
  const { entry, body, sent, doubtful } = item;
  const { kept } = wanted;
  const candidates = await target.candidates();
  if (later === undefined || !candidates.mayHoldAltered(body, kept, sent === true)) return undefined;
  if (later.turn === "exact") {
    later.wait(body, kept);
    return LATER;
  }
  const isSure = sent === true || doubtful === true || target.wasBrokenOff || target.wasAltered(entry.origin);
  const alike = await later.find(candidates, entry.origin, body, kept, isSure, sent === true, context.hard);
  if (alike === undefined) return undefined;
  if (alike === "later") return LATER;
  const found = candidates.take(alike);
  return found === undefined ? undefined : await adopt(context, target, item, { ...wanted, found, alike });
}

/** Perhaps it comes to light: the next run looks at all of the folder before it sends it again. */
function notThere(): MailError {
  return new MailError("protocol", "the server said that it stored the message, and it is not in the folder", {
    scope: "message",
    remedy: "give-up",
    outcome: "unknown",
  });
}

/** The date that the source tells, else the header's. */
export function receivedOf(entry: Entry, body: Body): Received | undefined {
  return entry.traits.received ?? receivedFromHeader(body.head);
}

export function isTooLarge({ fidelity }: SinkFolder, { shape }: Body): boolean {
  return fidelity.maxBytes !== undefined && shape.size > fidelity.maxBytes;
}

/** Stored with other bytes: recorded as that, and the original set aside. */
export async function setAltered(
  { quarantine: aside, alterations }: RunContext,
  { ledger }: Target,
  { entry, body }: Item,
  copy: {
    readonly receipt: Receipt | undefined;
    readonly note: string;
    readonly alteration: readonly string[] | undefined;
    readonly losses: readonly Loss[];
  },
): Promise<Settled> {
  const { receipt, note, alteration, losses } = copy;
  if (alteration !== undefined) alterations.learn(alteration);
  const quarantine = await aside.setAside(entry.origin, body, note);
  const record = doneRecord(ledger, "altered", entry, body, receipt, false, losses);
  const kind = alteration?.join(" ");
  await ledger.put(kind === undefined ? record : { ...record, alteration: { kind } });
  return { as: "altered", losses, quarantine, note, unnamed: receipt === undefined, ...(await preview(body.head)) };
}

export function doneRecord(
  ledger: FolderLedger,
  state: DoneRecord["state"],
  { origin, traits, size: announced }: Entry,
  { key, shape }: Body,
  receipt: Receipt | undefined,
  proved: boolean,
  losses: readonly Loss[],
): DoneRecord {
  return {
    state,
    origin,
    key,
    size: shape.size,
    ...(receipt === undefined ? {} : { receipt }),
    traits,
    firstSeen: ledger.firstSeen(origin) ?? Math.floor(Date.now() / 1000),
    proved,
    losses,
    ...(announced === undefined ? {} : { announced }),
  };
}

/** True when the copy, read back, has this key; false when it has another or is gone. */
export async function isProved(...copy: Parameters<typeof proofOf>): Promise<boolean> {
  return (await proofOf(...copy)) !== undefined;
}

/** What the copy is like, read back; undefined when it has another key or is gone. */
export async function proofOf(
  folder: SinkFolder,
  receipt: Receipt,
  key: string,
  signal: AbortSignal,
): Promise<Shape | undefined> {
  try {
    const read = await keyOf(folder.reopen(receipt, signal));
    return read.key === key ? read.shape : undefined;
  } catch (error) {
    if (error instanceof MailError && error.code === "not-found") return undefined;
    throw error;
  }
}

/**
 * A record of an origin that was removed and is listed again: the store did not delete it after all, or gave its id to new mail
 * (a UIDL may be used again, RFC 1939 section 7). Only the bytes tell.
 */
async function removedBefore(ledger: FolderLedger, entry: Entry, body: Body): Promise<DoneRecord | undefined> {
  const known = ledger.find(entry.origin);
  const before = known?.state === "removed" ? await known.read() : undefined;
  if (before === undefined || before.key !== body.key || before.state !== "done") return undefined;
  const now: DoneRecord = entry.size === undefined ? before : { ...before, announced: entry.size };
  await ledger.put(now);
  return now;
}

/** A record of these bytes under a name that is gone; also of the bytes as they were before the server wrote its notes into the header. */
async function adopted(
  { source }: RunContext,
  ledger: FolderLedger,
  { origin, size }: Entry,
  body: Body,
): Promise<DoneRecord | undefined> {
  const moved = await ledger.adopt(origin, body.key, size);
  if (moved !== undefined || source.idsMove !== true) return moved;
  if (!ledger.mayHold(origin) || !hasServerFields(body.head)) return undefined;
  return await ledger.adopt(origin, (await keysOf(body.open())).bare, size);
}

/** Reading what may be its copy can be what ends the connection, too. */
function blame(origin: Origin): (error: unknown) => never {
  return (error) => {
    throw error instanceof MailError && error.details.outcome === "unknown" ? suspecting(error, [origin]) : error;
  };
}

type Fate =
  | { readonly is: "done" | "gone"; readonly losses: readonly Loss[] }
  | { readonly is: "refused"; readonly losses: readonly Loss[]; readonly note?: string };

const UNTRIED: Fate = { is: "refused", losses: NO_LOSSES };

/** What the target refuses to change is a loss; it does not keep the other messages from coming. */
async function changeTraits(
  folder: SinkFolder,
  receipt: Receipt,
  change: TraitChange | undefined,
  signal: AbortSignal,
): Promise<Fate> {
  if (change === undefined) return { is: "done", losses: NO_LOSSES };
  try {
    await folder.update?.(receipt, change, signal);
    return { is: "done", losses: NO_LOSSES };
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    if (error.code === "not-found") return { is: "gone", losses: NO_LOSSES };
    const { flags, keywords, labels } = change.add;
    const losses: Loss[] = [
      ...[...flags].map((name) => ({ kind: "flag", name }) as const),
      ...[...keywords].map((name) => ({ kind: "keyword", name }) as const),
      ...[...labels].map((name) => ({ kind: "label", name }) as const),
    ];
    return { is: "refused", losses, note: `its flags could not be changed: ${error.message}` };
  }
}

function noteOf(fate: Fate): { note?: string } {
  return fate.is === "refused" && fate.note !== undefined ? { note: fate.note } : {};
}

/** What came of carrying the source's change of traits since the last run over to a copy made earlier. */
export type Carried = Pick<Settled, "losses" | "note" | "traitsUpdated" | "behind">;

export async function updateKnown(context: RunContext, target: Target, known: Known, entry: Entry): Promise<Carried> {
  const done = await known.read();
  return done === undefined ? { losses: NO_LOSSES } : carryTraits(context, target, done, entry);
}

async function carryTraits(context: RunContext, target: Target, done: DoneRecord, entry: Entry): Promise<Carried> {
  const { folder, ledger } = target;
  const traits = withoutOurMark(done, entry.traits);
  const isSame = difference(done.traits, traits) === undefined;
  if (context.options.flags === false) return { losses: NO_LOSSES, behind: !isSame };
  const change = difference(narrow(done.traits, folder.fidelity).kept, narrow(traits, folder.fidelity).kept);
  const losses: readonly Loss[] = NO_LOSSES;
  // Nobody knows which copy it is; perhaps the next run does.
  if (change !== undefined && done.receipt === undefined) return { losses, behind: true };
  const fate: Fate =
    done.receipt === undefined
      ? { is: "done", losses }
      : await changeTraits(folder, done.receipt, change, context.hard);
  if (fate.is === "refused") return { losses: fate.losses, behind: true, ...noteOf(fate) };
  // Where its user deleted the copy in the target, it stays deleted, and the record follows the source.
  if (!isSame)
    await ledger.put({ ...done, origin: entry.origin, traits, ...lossesNow(done.losses, traits, folder.fidelity) });
  return { losses, traitsUpdated: change !== undefined && fate.is === "done" };
}

/** Those of the traits that it has now; what was refused for this message alone counts on while it has it. */
function lossesNow(
  before: readonly Loss[] | undefined,
  traits: Traits,
  fidelity: Fidelity,
): Pick<DoneRecord, "losses"> {
  if (before === undefined) return {};
  const { losses } = narrow(traits, fidelity);
  const isLeft = (loss: Loss): boolean => {
    if (loss.kind === "flag") return [...traits.flags].some((flag) => flag === loss.name);
    if (loss.kind === "keyword") return traits.keywords.has(loss.name);
    return loss.kind !== "label" || traits.labels.has(loss.name);
  };
  const isNew = (loss: Loss): boolean => !before.some((old) => JSON.stringify(old) === JSON.stringify(loss));
  return { losses: [...before.filter(isLeft), ...losses.filter(isNew)] };
}

/** The source's traits without the \Deleted that an earlier run may have set before it could remove the message. */
function withoutOurMark(done: DoneRecord, traits: Traits): Traits {
  if (done.marked !== true || done.traits.flags.has("deleted") || !traits.flags.has("deleted")) return traits;
  return { ...traits, flags: new Set([...traits.flags].filter((flag) => flag !== "deleted")) };
}
