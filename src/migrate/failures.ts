// What becomes of a message that could not be carried, and what its failure says of the others.

import type { Body } from "../mail/body.ts";
import { isAbort, MailError, suspecting } from "../mail/errors.ts";
import { type Entry, type Origin, samePath } from "../mail/model.ts";
import { preview } from "../mail/preview.ts";
import type { RunContext } from "./context.ts";
import type { Settled } from "./copy.ts";
import { type JobState, settle } from "./job.ts";
import type { Pass } from "./read.ts";
import type { How, Side } from "./suspects.ts";

/** Messages put off one after the other, at one end: then it is not about them. */
const PUT_OFF_IN_A_ROW = 10;

/** Without `body` it could not be had from the source. */
export async function setAside(
  current: Pass,
  state: JobState,
  entry: Entry,
  body: Body | undefined,
  error: unknown,
): Promise<void> {
  const { context, target } = current;
  const side: Side = body === undefined ? "source" : "target";
  if (error instanceof MailError && error.details.outcome === "unknown") state.doubtful.add(entry.origin.id);
  if (!(error instanceof MailError) || error.details.scope !== "message") {
    await ended(current, state, entry, side, error);
    return;
  }
  // Without bytes, it is the source's own word that it is gone.
  if (error.code === "not-found" && body === undefined) {
    const lost = context.options.standing?.gone();
    if (lost !== undefined) {
      fail(current, new MailError(lost.code, lost.message, { ...lost.details, remedy: "give-up" }));
      return;
    }
    resolve(state);
    await settle(context, state, target.ledger, entry, { as: "vanished", losses: [] }, 0);
    return;
  }
  if (error.code === "quota") {
    resolve(state);
    await settle(context, state, target.ledger, entry, { as: "failed", losses: [] }, 0, error);
    const full = context.room.refused(error, body?.shape.size ?? entry.size ?? 0);
    if (full !== undefined) fail(current, full);
    return;
  }
  if (side === "target" && error.code === "malformed" && !state.retried.has(entry.origin.id)) {
    await refused(current, state, entry, body, error);
    return;
  }
  if (error.details.remedy !== "give-up" && !struck(current, entry, side, "refusal", error)) return;
  await giveUpOn(current, state, entry, body, error);
}

/** Refused for good, in words that may be about the account: it is settled when another one was accepted, or all were tried. */
async function refused(
  current: Pass,
  state: JobState,
  entry: Entry,
  body: Body | undefined,
  error: MailError,
): Promise<void> {
  const { quarantine, refusals } = current.context;
  current.refused = true;
  const { isLeft, isTooMany } = refusals.refused(error);
  if (isTooMany) current.reader.abort();
  if (isLeft) {
    current.again ??= new MailError(error.code, error.message, { ...error.details, remedy: "retry" });
    return;
  }
  const settle = await giveUpOn(current, state, entry, body, error, true);
  if (settle !== undefined) refusals.hold({ settle, takeBack: () => quarantine.release(entry.origin) });
}

/** It is left to the next run, which tries it again. `isHeld`: gives what is left to do once that is certain. */
export async function giveUpOn(
  current: Pass,
  state: JobState,
  entry: Entry,
  body: Body | undefined,
  error: MailError,
  isHeld = false,
): Promise<(() => Promise<void>) | undefined> {
  const { context, target } = current;
  target.suspects.failed(entry.origin);
  target.later?.leave(entry.traits.received);
  if (error.details.outcome === "unknown") current.uncertain = true;
  const quarantine = await context.quarantine.setAside(entry.origin, body, error.message);
  current.changed = true;
  const end = async (known: KnownBy): Promise<void> => {
    const outcome: Settled = { as: "failed", losses: [], quarantine, ...known };
    await target.ledger.put({ state: "failed", origin: entry.origin, code: error.code });
    resolve(state);
    await settle(context, state, target.ledger, entry, outcome, 0, error);
  };
  if (body === undefined) {
    current.nameless.push({ origin: entry.origin, end });
    return undefined;
  }
  const known = await knownBy(body.head);
  if (isHeld) return () => end(known);
  await end(known);
  return undefined;
}

/** So many that could not be had are described in one pass. */
export const DESCRIBED = 20;
/** Nothing depends on it. */
const DESCRIBE_MS = 30_000;

/** Settles those that failed without bytes, by what their source says of them. Nothing else is under way. */
export async function settleNameless(current: Pass): Promise<void> {
  const { context, nameless } = current;
  if (nameless.length === 0) return;
  const all = nameless.splice(0);
  const [first] = all;
  const some = all.map(({ origin }) => origin).filter(({ folder }) => samePath(folder, first?.origin.folder ?? []));
  const heads = current.error === undefined ? await headsOf(context, some) : new Map<string, Uint8Array>();
  for (const { origin, end } of all) {
    const head = first !== undefined && samePath(origin.folder, first.origin.folder) ? heads.get(origin.id) : undefined;
    await end(head === undefined ? {} : await knownBy(head));
  }
}

/** The headers of some messages of one folder, by their ids, as far as the source gives them without the bodies. */
export async function headsOf(
  { source, course, hard }: RunContext,
  origins: readonly Origin[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const heads = new Map<string, Uint8Array>();
  if (origins.length === 0 || !course.describes) return heads;
  try {
    const signal = AbortSignal.any([hard, AbortSignal.timeout(DESCRIBE_MS)]);
    for await (const { origin, head } of source.describe?.(origins.slice(0, DESCRIBED), signal) ?? [])
      heads.set(origin.id, head);
  } catch {
    // Where that ends the connection, too, it is not asked again.
    course.describes = false;
  }
  return heads;
}

/** By what a person knows it. */
export type KnownBy = Pick<Settled, "subject" | "from" | "date">;

export async function knownBy(head: Uint8Array): Promise<KnownBy> {
  const { subject, from, date } = await preview(head);
  return {
    ...(subject === undefined ? {} : { subject }),
    ...(from === undefined ? {} : { from }),
    ...(date === undefined ? {} : { date }),
  };
}

/** A connection or a pass ended at it. */
async function ended(current: Pass, state: JobState, entry: Entry, side: Side, error: unknown): Promise<void> {
  const { target } = current;
  if (!(error instanceof MailError) || !isAboutOne(error)) {
    fail(current, error);
    return;
  }
  const { suspects = [] } = error.details;
  const isNamed = suspects.some(
    ({ id, generation }) => id === entry.origin.id && generation === entry.origin.generation,
  );
  if (!target.alone || (side === "target" && !isNamed)) {
    // The source hung up while it was read, whatever else was asked for.
    target.suspects.noted(side === "source" && suspects.length === 0 ? suspecting(error, [entry.origin]) : error, side);
    fail(current, error);
    return;
  }
  await died(current, state, entry, side, error);
}

/** The connection ended over a message that was under way alone. */
export async function died(current: Pass, state: JobState, entry: Entry, side: Side, error: MailError): Promise<void> {
  if (error.details.outcome === "unknown" && side === "target") current.doubtful = true;
  if (!struck(current, entry, side, "death", error)) return;
  const what = side === "source" ? "asked for" : "sent";
  const verdict = new MailError(
    "connection",
    `the ${side} ends the connection whenever this message is ${what}: ${error.message}`,
    {
      scope: "message",
      remedy: "give-up",
      ...(side === "target" ? { outcome: "unknown" } : {}),
    },
  );
  // It may have been stored all the same: looked for once more.
  if (side === "target") {
    current.again ??= error;
    current.target.suspects.condemn(entry.origin, verdict);
  } else await giveUpOn(current, state, entry, undefined, verdict);
}

/** True when it is taken for the reason; else it is tried again in another pass. */
function struck(current: Pass, entry: Entry, side: Side, how: How, error: MailError): boolean {
  const { suspects } = current.target;
  const left = current.states.reduce((sum, { tally, unnamed }) => sum + tally.unresolved - unnamed.size, 0);
  const open = left - current.nameless.length;
  const isCertain = how === "refusal" || current.fresh[side];
  const isReason = suspects.strike(entry.origin, side, how, isCertain, open);
  if (how === "death") current.fresh[side] = true;
  if (isReason) return true;
  current.again ??= error;
  if (++current.vain[side] >= PUT_OFF_IN_A_ROW)
    fail(current, new MailError(error.code, error.message, { ...error.details, scope: "account" }));
  return false;
}

/** Not one that says what ails the account, or for how long it is to be left alone. */
function isAboutOne({ code, details: { remedy, waitMs } }: MailError): boolean {
  return remedy !== "give-up" && waitMs === undefined && (code === "connection" || code === "protocol");
}

export function resolve(state: JobState): void {
  state.tally.unresolved--;
}

/** The first failure ends the pass; what is in flight still comes to its end. */
export function fail(current: Pass, error: unknown): void {
  if (isAbort(error) && current.signal.aborted) return;
  if (error instanceof MailError && error.details.outcome === "unknown") current.doubtful = true;
  current.error ??= error;
  current.reader.abort();
}
