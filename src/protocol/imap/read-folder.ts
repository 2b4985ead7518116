// One folder read from beginning to end: its listing, and then the bodies of what is wanted. Small folders go several to a
// connection, without waiting for each other's answers; large ones have a connection of their own.
//
// Why a shared connection cannot come to a stand: it stands only while somebody has more waiting than he may have, and that is
// somebody who takes messages as fast as they are written elsewhere, which never waits for this connection.

import { MailError } from "../../mail/errors.ts";
import { type Fetched, fetchBodies, fetchEverything, fetchOne, fitsAtOnce } from "./bodies.ts";
import { type Connection, SUSPECT_STALL_MS } from "./connection.ts";
import { Absent } from "./gone.ts";
import { type ListedRow, listBehind, listMessages, madeAnew, type UidTrail } from "./listing.ts";
import { beginSelect, mailboxStatus, selectMailbox } from "./mailbox.ts";
import type { ConnectionPool } from "./pool.ts";
import { Seats } from "./seats.ts";
import { GrowingUint32 } from "./uids.ts";
import { type Asked, notWhole, Sizes } from "./whole.ts";

/** Messages that are fetched to learn what a server's sizes are worth, and octets that each may have. */
const SAMPLES = 4;
const SAMPLE_BYTES = 64 * 1024;
/** A folder that STATUS counts more in has a connection of its own from the start. */
const SMALL_FOLDER = 500;

/** A folder of more messages is listed first in any case: one command is not to go on for hours. */
const EAGER_FOLDER = 10_000;

export interface Reading {
  /** Asked once for each message, before any body comes; where `everything` is expected to be wanted, before it is handed on. */
  want(row: ListedRow, uidValidity: string): boolean | Promise<boolean>;
  /** Called once, after the last `want`. */
  listed(): void;
  /** Called with the number of messages that the server counts and does not list, in whatever way it is asked. */
  unlisted(messages: number): void;
  /** Nothing of the folder is known yet, so that it need not be listed before it is fetched. */
  readonly everything: boolean;
  /** One message at a time, each on its own. */
  readonly alone: boolean;
  /** Told what the server was sending, or was to send next, when the connection ended; the next one first. */
  broken(uids: readonly number[], uidValidity: string): void;
  /** On abort the reading ends with the signal's reason, or a MailError connection. */
  readonly signal: AbortSignal;
}

/** What came together. */
export interface Read {
  readonly uidValidity: string;
  readonly fetched: readonly Fetched[];
}

interface Plan {
  readonly uidValidity: string;
  readonly uids: GrowingUint32;
  readonly sizes: GrowingUint32;
  /** To be asked for one by one, last. */
  readonly lone: number[];
  /** A few that are not wanted: what their sizes are worth can be asked when those of others are doubted. */
  readonly samples: number[];
}

/** What is left when not everything came that was asked for at once. */
interface Rest {
  readonly uidValidity: string;
  readonly seen: UidTrail;
  /** What came and is to be asked for again. */
  readonly lone: readonly number[];
}

type Left = Plan | Rest | "everything";

export class FolderReader {
  readonly #pool: ConnectionPool;
  readonly #seats: Seats;
  /** Folders that were read when a shared connection ended: the one that is the reason takes no other with it again. */
  readonly #apart = new Set<string>();
  readonly #sizes = new Sizes();
  /** Large ones that were not whole, by UIDVALIDITY and UID: asked for by themselves the next time. */
  readonly #notWhole = new Set<string>();

  constructor(pool: ConnectionPool) {
    this.#pool = pool;
    this.#seats = new Seats(pool);
  }

  /**
   * Yields each message that is wanted once; a content that is not in memory is the last of its batch, and is read or skipped
   * before the next pull. `messages` as STATUS counts them; `range` of UIDs. Throws MailError: scope folder
   * when it cannot be opened or listed, connection when the wire fails.
   */
  async *read(
    name: string,
    place: { readonly messages: number | undefined; readonly range: string | undefined },
    reading: Reading,
  ): AsyncGenerator<Read> {
    const { messages, range = "1:*" } = place;
    if (messages === undefined || range !== "1:*" || reading.alone) return yield* this.#read(name, place, reading);
    let counted = 0;
    const counting: Reading = {
      ...reading,
      want(row, uidValidity) {
        counted++;
        return reading.want(row, uidValidity);
      },
      listed() {
        // Else it is asked first where the others are.
        if (counted >= messages) reading.listed();
      },
      unlisted(more) {
        counted += more;
        reading.unlisted(more);
      },
    };
    yield* this.#read(name, place, counting);
    if (counted >= messages || reading.signal.aborted) return;
    // Some of them may have gone since they were counted. Where others came as well, more are told than are missing.
    const now = await this.#count(name, reading.signal);
    if (now > counted) reading.unlisted(now - counted);
    reading.listed();
  }

  async #count(name: string, signal: AbortSignal): Promise<number> {
    using lease = await this.#pool.lease(undefined, signal);
    const { connection } = lease;
    const release = connection.endOn(signal);
    try {
      return (await mailboxStatus(connection, name, "MESSAGES")).messages ?? 0;
    } catch (error) {
      if (!(error instanceof MailError) || error.details.scope !== "folder") throw error;
      return 0;
    } finally {
      release();
    }
  }

  async *#read(
    name: string,
    { messages, range = "1:*" }: { readonly messages: number | undefined; readonly range: string | undefined },
    reading: Reading,
  ): AsyncGenerator<Read> {
    const isWhole = messages !== undefined && range === "1:*" && !reading.alone;
    const isEager = isWhole && messages <= EAGER_FOLDER && reading.everything;
    const isSmall = isWhole && messages <= SMALL_FOLDER && !this.#apart.has(name);
    let left: Left | "nothing" | "unasked" = isEager ? "unasked" : "everything";
    try {
      if (isSmall) left = yield* this.#together(name, reading);
    } catch (error) {
      if (!reading.signal.aborted) this.#apart.add(name);
      throw error;
    }
    if (left !== "nothing" && !reading.signal.aborted) yield* this.#alone(name, range, reading, left);
  }

  /**
   * Opens the folder and fetches everything in it, in one round trip. Gives what is left to do: "everything" where the folder is
   * refused. `shared`: on a connection that others use too.
   */
  async *#unasked(
    connection: Connection,
    name: string,
    reading: Reading,
    shared: boolean,
  ): AsyncGenerator<Read, Plan | Rest | "nothing" | "everything"> {
    const { signal } = reading;
    const opening = beginSelect(connection, name, true);
    let uidValidity = "";
    const broken = (uids: readonly number[]): void => this.#broken(uidValidity, reading)(uids);
    const bodies = fetchEverything(connection, opening, broken, shared ? signal : undefined);
    try {
      const both = Promise.allSettled([opening.selected, bodies.next()]);
      const [opened, first] = await (shared ? orAbort(both, signal) : both);
      if (first.status === "rejected") throw first.reason;
      // Whatever keeps it from being opened, by itself it is found out what that is.
      if (opened.status === "rejected") return "everything";
      uidValidity = opened.value.uidValidity;
      let step = first.value;
      const lone: number[] = [];
      for (; step.done !== true; step = await bodies.next()) {
        const fetched: Fetched[] = [];
        for (const one of step.value) {
          const { uid } = one;
          const answer = reading.want(Object.assign(one.row ?? {}, { uid }), uidValidity);
          if (!(typeof answer === "boolean" ? answer : await answer)) continue;
          const given = this.#given(uidValidity, one, lone, "with all");
          if (given !== undefined) fetched.push(given);
        }
        if (fetched.length > 0) yield { uidValidity, fetched };
        signal.throwIfAborted();
      }
      if (step.value === undefined) return "everything";
      const { seen, isComplete } = step.value;
      if (!isComplete) return { uidValidity, seen, lone };
      reading.listed();
      return lone.length === 0 ? "nothing" : { ...newPlan(uidValidity), lone };
    } finally {
      await bodies.return(undefined);
    }
  }

  /** On a connection that others use too. Gives what is left to do alone. */
  async *#together(name: string, reading: Reading): AsyncGenerator<Read, Left | "nothing"> {
    const { signal } = reading;
    using seat = await this.#seats.enter(signal);
    const { connection } = seat;
    if (reading.everything) return yield* this.#unasked(connection, name, reading, true);
    const opening = beginSelect(connection, name, true);
    const listing = listBehind(connection, opening);
    // Whatever keeps it from being opened, alone it is found out what that is.
    const [opened, rows] = await orAbort(Promise.allSettled([opening.selected, listing]), signal);
    if (rows.status === "rejected") throw rows.reason;
    if (opened.status === "rejected" || rows.value === undefined) return "everything";
    const { uidValidity } = opened.value;
    const plan = newPlan(uidValidity);
    for (const row of rows.value) await this.#judge(plan, row, reading);
    reading.listed();
    const wanted = { uids: plan.uids.view(), sizes: plan.sizes.view() };
    if (wanted.uids.length > 0) {
      if (!fitsAtOnce(wanted)) return plan;
      const lone: number[] = [];
      const isStillOpen = connection.upcoming === name;
      const again = isStillOpen ? opening : beginSelect(connection, name, true);
      const sharing = { isOpen: again.isOpen, lone: (uid: number) => lone.push(uid), signal };
      const bodies = fetchBodies(connection, wanted, this.#broken(uidValidity, reading), sharing);
      try {
        // The first step sends the commands: nothing may come between them and the one before.
        const first = bodies.next();
        first.catch(() => undefined);
        const reopened = await orAbort(again.selected, signal);
        if (reopened.uidValidity !== uidValidity) throw madeAnew(name);
        for (let next = await first; next.done !== true; next = await bodies.next()) {
          yield { uidValidity, fetched: this.#allGiven(plan, next.value, lone) };
          signal.throwIfAborted();
        }
      } finally {
        await bodies.return(undefined);
      }
      plan.lone.unshift(...lone);
    }
    if (plan.lone.length === 0) return "nothing";
    return { ...newPlan(uidValidity), lone: plan.lone, samples: plan.samples };
  }

  async *#alone(name: string, range: string, reading: Reading, begun: Left | "unasked"): AsyncGenerator<Read> {
    const { signal } = reading;
    using lease = await this.#pool.lease(name, signal);
    const { connection } = lease;
    const release = connection.endOn(signal);
    try {
      const left = begun === "unasked" ? yield* this.#unasked(connection, name, reading, false) : begun;
      if (left === "nothing" || signal.aborted) return;
      const isPlanned = left !== "everything" && "uids" in left;
      const seen = left !== "everything" && "seen" in left ? left : undefined;
      const plan = isPlanned ? left : await this.#list(connection, name, range, reading, seen);
      const { uidValidity } = isPlanned ? await selectMailbox(connection, name, true) : plan;
      if (plan.uidValidity !== uidValidity) throw madeAnew(name);
      const broken = this.#broken(uidValidity, reading);
      const wanted = { uids: plan.uids.view(), sizes: plan.sizes.view() };
      const known = isPlanned ? 0 : plan.lone.length;
      const absent = new Absent();
      for await (const fetched of fetchBodies(connection, wanted, broken)) {
        yield { uidValidity, fetched: absent.keepBack(this.#allGiven(plan, fetched, plan.lone)) };
        if (signal.aborted) return;
      }
      if (plan.lone.length > known) await this.#sample(connection, plan.samples);
      for (const uid of plan.lone) {
        const stallMs = reading.alone ? SUSPECT_STALL_MS : undefined;
        for await (const fetched of fetchOne(connection, uid, broken, stallMs))
          yield { uidValidity, fetched: absent.keepBack([this.#givenAgain(fetched)]) };
        if (signal.aborted) return;
      }
      const judged = await absent.judged(connection);
      if (judged.length > 0) yield { uidValidity, fetched: judged };
    } finally {
      release();
    }
  }

  /** Opens the folder and lists it, in one round trip; but for what came already. */
  async #list(connection: Connection, name: string, range: string, reading: Reading, rest?: Rest): Promise<Plan> {
    const opening = beginSelect(connection, name, true);
    const listing = listMessages(connection, range, opening);
    // The first step sends the command. Where the folder is refused it fails too, and that is to be waited for.
    const [opened, first] = await Promise.allSettled([opening.selected, listing.next()]);
    if (opened.status === "rejected") throw opened.reason;
    if (first.status === "rejected") throw first.reason;
    const plan = newPlan(opened.value.uidValidity);
    plan.lone.push(...(rest?.lone ?? []));
    if (rest !== undefined && rest.uidValidity !== plan.uidValidity) throw madeAnew(name);
    let step = first.value;
    for (; step.done !== true; step = await listing.next())
      for (const row of step.value) {
        if (rest?.seen.has(row.uid) === true) continue;
        const wait = this.#judge(plan, row, reading);
        if (wait !== undefined) await wait;
      }
    if (step.value > 0) reading.unlisted(step.value);
    reading.listed();
    return plan;
  }

  #judge(plan: Plan, row: ListedRow, { want, alone }: Reading): Promise<void> | undefined {
    const answer = want(row, plan.uidValidity);
    const take = (isWanted: boolean): void => {
      if (!isWanted) {
        if (plan.samples.length < SAMPLES && (row.size ?? 0) < SAMPLE_BYTES) plan.samples.push(row.uid);
        return;
      }
      if (alone || (this.#notWhole.size > 0 && this.#notWhole.has(`${plan.uidValidity}:${row.uid}`))) {
        plan.lone.push(row.uid);
        return;
      }
      plan.uids.push(row.uid);
      plan.sizes.push(row.size ?? 0);
    };
    if (typeof answer !== "boolean") return answer.then(take);
    take(answer);
    return undefined;
  }

  /** Learns what the sizes of this folder are worth. */
  async #sample(connection: Connection, uids: readonly number[]): Promise<void> {
    for (const uid of uids)
      for await (const one of fetchOne(connection, uid, () => undefined))
        if (!("error" in one) && one.bytes !== undefined) this.#sizes.doubt(one.row.size, one.bytes, "with all");
  }

  /** A message that came, unless it is doubtful whether that is all of it: then it is to be asked for again, by itself. */
  #given(uidValidity: string, one: Fetched, lone: number[], asked: Asked): Fetched | undefined {
    if ("error" in one) return one;
    const { uid, row, bytes } = one;
    if (bytes !== undefined) {
      if (this.#sizes.doubt(row.size, bytes, asked) === undefined) return one;
      lone.push(uid);
      return undefined;
    }
    const doubtful = (): void => void this.#notWhole.add(`${uidValidity}:${uid}`);
    return { ...one, content: this.#sizes.measured(row.size, one.content, uid, asked, doubtful) };
  }

  #allGiven({ uidValidity, samples }: Plan, all: readonly Fetched[], lone: number[]): readonly Fetched[] {
    const asked = samples.length === 0 ? "with all" : "with some";
    const given: Fetched[] = [];
    for (const one of all) {
      const whole = this.#given(uidValidity, one, lone, asked);
      if (whole !== undefined) given.push(whole);
    }
    return given;
  }

  /** What came when it was asked for by itself. */
  #givenAgain(one: Fetched): Fetched {
    if ("error" in one) return one;
    const { uid, row, bytes } = one;
    if (bytes === undefined) return { ...one, content: this.#sizes.measured(row.size, one.content, uid, "again") };
    const doubt = this.#sizes.doubt(row.size, bytes, "again");
    return doubt === undefined ? one : { uid, row, error: notWhole(uid, doubt, true) };
  }

  #broken(uidValidity: string, { broken, signal }: Reading): (uids: readonly number[]) => void {
    return (uids) => {
      if (!signal.aborted) broken(uids, uidValidity);
    };
  }
}

function newPlan(uidValidity: string): Plan {
  return { uidValidity, uids: new GrowingUint32(), sizes: new GrowingUint32(), lone: [], samples: [] };
}

/** The wait ends on abort; what was waited for goes on by itself. */
function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
