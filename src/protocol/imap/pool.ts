// The connections of one account: opened when needed, lent for one piece of work at a time, replaced when they die.

import { type Pace, Widening } from "../../core/widening.ts";
import type { Connection } from "./connection.ts";

/** Another one is opened only when these leave the process waiting: each costs the server a session, and its time. */
export const FIRST_CONNECTIONS = 2;

/** Asked for in place of a folder's name: a connection on which no folder is open. */
export const BLANK = Symbol("no folder is open");

/** A lent connection; disposing it gives it back, or ends it when it is dead or in the middle of something. */
export interface Lease extends Disposable {
  readonly connection: Connection;
}

interface Waiter {
  readonly mailbox: string | typeof BLANK | undefined;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (error: unknown) => void;
}

/** `another`: others of ours are in, so that a refusal says nothing about the password. */
export type Opener = (signal: AbortSignal, another: boolean) => Promise<Connection>;

export interface PoolOptions extends Pace {
  /** So many may be opened at once, and each further one only where the process waits. */
  readonly first?: number;
  /** The server: what it grants may be one sum for all accounts that are opened there. */
  readonly place?: string;
}

/** An opening that takes longer is not waited for where an idle connection would do. */
const SLOW_MS = 2_000;

/** The pools of this process, by server. */
const places = new Map<string, Set<ConnectionPool>>();

export class ConnectionPool implements AsyncDisposable {
  readonly #open: Opener;
  readonly #max: number;
  readonly #allowed: Widening;
  readonly #place: string | undefined;
  readonly #idle: Connection[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #lent = new Set<Connection>();
  /** Being opened. Whoever waits may be served by another one meanwhile. */
  readonly #coming = new Set<AbortController>();
  /** The server let in so many and no more. */
  #granted = Number.POSITIVE_INFINITY;
  #disposed = false;

  constructor(open: Opener, max: number, { first = FIRST_CONNECTIONS, place, ...pace }: PoolOptions = {}) {
    this.#open = open;
    this.#max = Math.max(1, max);
    this.#allowed = new Widening(
      { first, most: this.#max, wanted: () => this.#left > 0, onGrown: () => this.#serve() },
      pace,
    );
    this.#place = place;
    if (place === undefined) return;
    const siblings = places.get(place) ?? new Set();
    places.set(place, siblings.add(this));
  }

  /**
   * An idle connection, one on which `mailbox` is open if there is one, or no folder; else a new one; else the next that is given
   * back, first come first served. For BLANK another one is ended where no more may be opened. While others are in, one that cannot be opened is not missed: these are all there are, until
   * the account is closed. Throws what opening throws where none is in, and the signal's reason.
   */
  lease(mailbox: string | typeof BLANK | undefined, signal: AbortSignal): Promise<Lease> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        const at = this.#waiting.indexOf(waiter);
        if (at !== -1) this.#waiting.splice(at, 1);
        // Nobody wants them any more.
        if (this.#waiting.length === 0) for (const opening of this.#coming) opening.abort(signal.reason);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const waiter: Waiter = {
        mailbox,
        resolve: (lease) => {
          signal.removeEventListener("abort", onAbort);
          resolve(lease);
        },
        reject: (error) => {
          signal.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  /** How many wait for a connection, all being lent. */
  get waiting(): number {
    return this.#lent.size + this.#coming.size >= this.#limit ? this.#left : 0;
  }

  /** However many may be opened in the end. */
  get max(): number {
    return Math.min(this.#max, this.#granted);
  }

  /** Ends what is idle: whoever comes next sees what a new client sees. */
  async renew(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  /** Ends what is idle or being opened; what is lent ends when it comes back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#allowed[Symbol.dispose]();
    const closed = new Error("the account was closed");
    for (const { reject } of this.#waiting.splice(0)) reject(closed);
    for (const opening of this.#coming) opening.abort(closed);
    if (this.#place !== undefined) places.get(this.#place)?.delete(this);
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  /** `isSlow`: what is being opened takes its time, so that any idle one will do. */
  #serve(isSlow = false): void {
    for (let at = 0; at < this.#waiting.length; ) {
      const waiter = this.#waiting[at];
      const idle = this.#takeIdle(waiter?.mailbox, isSlow);
      if (idle !== undefined) {
        this.#waiting.splice(at, 1);
        waiter?.resolve(this.#lend(idle));
      } else if (at++ >= this.#coming.size) {
        const isFull = this.#size >= this.#limit;
        const instead = isFull && waiter?.mailbox === BLANK ? this.#idle.shift() : undefined;
        if (isFull && instead === undefined) break;
        void this.#openOne(instead);
      }
    }
    if (this.#left > 0 && this.#limit < this.#granted) this.#allowed.ask();
  }

  #takeIdle(mailbox: string | typeof BLANK | undefined, isAny: boolean): Connection | undefined {
    for (let at = this.#idle.length - 1; at >= 0; at--)
      if (this.#idle[at]?.failure !== undefined) this.#idle.splice(at, 1);
    const matching = this.#idle.findIndex(({ selected }) => selected?.name === mailbox);
    const blank = this.#idle.findIndex(({ selected, upcoming }) => selected === undefined && upcoming === undefined);
    // Another folder's connection is taken over only when no new one may be opened; the one idle for longest goes first.
    const isFull = isAny || this.#size >= this.#limit;
    const mayTakeOver = mailbox !== BLANK && (isFull || mailbox === undefined);
    const at = matching !== -1 ? matching : blank !== -1 ? blank : mayTakeOver ? 0 : -1;
    return at === -1 ? undefined : this.#idle.splice(at, 1)[0];
  }

  /** `instead`: ended first. */
  async #openOne(instead?: Connection): Promise<void> {
    const opening = new AbortController();
    const slow = setTimeout(() => this.#serve(true), SLOW_MS);
    this.#coming.add(opening);
    try {
      await instead?.close();
      const connection = await this.#open(opening.signal, this.#there > 0);
      this.#coming.delete(opening);
      // Whoever reads on after the account was closed is lent one all the same.
      if (this.#disposed && this.#waiting.length === 0) void connection.close();
      else this.#idle.push(connection);
      this.#granted = Math.max(this.#granted, this.#there);
    } catch (error) {
      this.#coming.delete(opening);
      // Not the server's word.
      if (!opening.signal.aborted) this.#refused(error, instead !== undefined);
    }
    clearTimeout(slow);
    this.#serve();
  }

  /** `isReplaced`: a server may count for a moment still what was ended for this one. */
  #refused(error: unknown, isReplaced: boolean): void {
    const there = this.#there;
    // Work goes on over those that it has let in, and whoever wanted this one waits for his turn on them.
    if (there > 0 && !isReplaced) this.#granted = Math.min(this.#granted, there);
    else {
      // What others of this process hold there may be what is missing here.
      for (const pool of (this.#place === undefined ? undefined : places.get(this.#place)) ?? [])
        if (pool !== this) pool.#yield();
      this.#waiting.shift()?.reject(error);
    }
  }

  /** One less from now on, where there is more than one. */
  #yield(): void {
    if (this.#there < 2) return;
    this.#granted = Math.min(this.#granted, this.#there - 1);
    void this.#idle.shift()?.close();
  }

  get #limit(): number {
    return Math.min(this.#allowed.now, this.#granted);
  }

  get #size(): number {
    return this.#lent.size + this.#idle.length + this.#coming.size;
  }

  /** Those who wait, and no connection is on its way for them. */
  get #left(): number {
    return Math.max(0, this.#waiting.length - this.#coming.size);
  }

  /** Connections that are in. */
  get #there(): number {
    let count = 0;
    for (const { failure } of [...this.#lent, ...this.#idle]) if (failure === undefined) count++;
    return count;
  }

  #lend(connection: Connection): Lease {
    this.#lent.add(connection);
    let lent = true;
    return {
      connection,
      [Symbol.dispose]: () => {
        if (!lent) return;
        lent = false;
        this.#return(connection);
      },
    };
  }

  #return(connection: Connection): void {
    this.#lent.delete(connection);
    if (this.#disposed) void connection.close();
    else if (connection.failure === undefined && connection.busy)
      connection.fail(new Error("an answer was not waited for"));
    // Those that are still being opened may be refused.
    else if (connection.failure === undefined && this.#there >= this.#granted) void connection.close();
    else if (connection.failure === undefined) this.#idle.push(connection);
    this.#serve();
  }
}
