// The connections of one account: opened when needed, lent for one piece of work at a time, replaced when they die.

import { type Pace, Widening } from "../../core/widening.ts";
import type { Connection } from "./connection.ts";
import { refusesAnother } from "./login-errors.ts";

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
  readonly signal: AbortSignal;
}

export class ConnectionPool implements AsyncDisposable {
  readonly #open: (signal: AbortSignal) => Promise<Connection>;
  readonly #max: number;
  readonly #allowed: Widening;
  readonly #idle: Connection[] = [];
  readonly #waiting: Waiter[] = [];
  /** Lent out, or being opened. */
  #used = 0;
  /** Being opened. */
  #coming = 0;
  /** The server let in so many and refused one more. */
  #granted = Number.POSITIVE_INFINITY;
  #disposed = false;

  /** `first`: so many may be opened at once, and each further one only where the process waits. */
  constructor(
    open: (signal: AbortSignal) => Promise<Connection>,
    max: number,
    { first = FIRST_CONNECTIONS, ...pace }: Pace & { readonly first?: number } = {},
  ) {
    this.#open = open;
    this.#max = Math.max(1, max);
    this.#allowed = new Widening(
      { first, most: this.#max, wanted: () => this.#waiting.length > 0, onGrown: () => this.#serve() },
      pace,
    );
  }

  /**
   * An idle connection, one on which `mailbox` is open if there is one, or no folder; else a new one; else the next that is given
   * back, first come first served. For BLANK another one is ended where no more may be opened. Throws what opening throws, and the
   * signal's reason.
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
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const waiter: Waiter = {
        mailbox,
        signal,
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
    return this.#used >= this.#limit ? this.#waiting.length : 0;
  }

  /** However many may be opened in the end. */
  get max(): number {
    return this.#max;
  }

  /** Ends what is idle; what is lent ends when it comes back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#allowed[Symbol.dispose]();
    for (const { reject } of this.#waiting.splice(0)) reject(new Error("the account was closed"));
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  #serve(): void {
    for (let waiter = this.#waiting[0]; waiter !== undefined; waiter = this.#waiting[0]) {
      const idle = this.#takeIdle(waiter.mailbox);
      if (idle === undefined && this.#used >= this.#limit) {
        if (this.#limit < this.#granted) this.#allowed.ask();
        return;
      }
      this.#waiting.shift();
      this.#used++;
      if (idle !== undefined) waiter.resolve(this.#lend(idle));
      else void this.#openFor(waiter, waiter.mailbox === BLANK && this.#isOver ? this.#idle.shift() : undefined);
    }
  }

  /** With the one that is to be opened there would be too many. */
  get #isOver(): boolean {
    return this.#used + this.#idle.length > this.#limit;
  }

  #takeIdle(mailbox: string | typeof BLANK | undefined): Connection | undefined {
    for (let at = this.#idle.length - 1; at >= 0; at--)
      if (this.#idle[at]?.failure !== undefined) this.#idle.splice(at, 1);
    const matching = this.#idle.findIndex(({ selected }) => selected?.name === mailbox);
    const blank = this.#idle.findIndex(({ selected, upcoming }) => selected === undefined && upcoming === undefined);
    // Another folder's connection is taken over only when no new one may be opened; the one idle for longest goes first.
    const isFull = this.#used + this.#idle.length >= this.#limit;
    const mayTakeOver = mailbox !== BLANK && (isFull || mailbox === undefined);
    const at = matching !== -1 ? matching : blank !== -1 ? blank : mayTakeOver ? 0 : -1;
    return at === -1 ? undefined : this.#idle.splice(at, 1)[0];
  }

  /** `instead`: ended first. */
  async #openFor(waiter: Waiter, instead?: Connection): Promise<void> {
    this.#coming++;
    try {
      await instead?.close();
      const connection = await this.#open(waiter.signal);
      this.#coming--;
      if (waiter.signal.aborted) {
        this.#return(connection);
        waiter.reject(waiter.signal.reason);
      } else waiter.resolve(this.#lend(connection));
    } catch (error) {
      this.#coming--;
      this.#used--;
      const there = this.#used - this.#coming + this.#idle.length;
      if (there > 0 && !this.#disposed && !waiter.signal.aborted && refusesAnother(error)) {
        // Work goes on over those that it has let in, and this one waits for its turn on them.
        this.#granted = Math.min(this.#granted, there);
        this.#waiting.unshift(waiter);
      } else waiter.reject(error);
      this.#serve();
    }
  }

  get #limit(): number {
    return Math.min(this.#allowed.now, this.#granted);
  }

  #lend(connection: Connection): Lease {
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
    this.#used--;
    if (this.#disposed) void connection.close();
    else if (connection.failure === undefined && connection.busy)
      connection.fail(new Error("an answer was not waited for"));
    else if (connection.failure === undefined) this.#idle.push(connection);
    this.#serve();
  }
}
