// Connections that several folders are read over at once: each sends its commands in one go, and none waits for another's answers.

import type { Connection } from "./connection.ts";
import type { ConnectionPool, Lease } from "./pool.ts";

/** Folders on one connection. Two round trips a folder: so many of them at once keep a wire of 150 ms busy. */
export const SEATS = 8;

/** Disposing it leaves the connection to the others. */
export interface Seat extends Disposable {
  readonly connection: Connection;
}

interface Shared {
  readonly lease: Lease;
  users: number;
}

interface Waiter {
  readonly resolve: (seat: Seat) => void;
  readonly reject: (error: unknown) => void;
  readonly release: () => void;
}

export class Seats {
  readonly #pool: ConnectionPool;
  readonly #shared = new Set<Shared>();
  readonly #waiting: Waiter[] = [];
  /** Connections that were asked for. */
  #coming = 0;

  constructor(pool: ConnectionPool) {
    this.#pool = pool;
  }

  /**
   * A seat on a connection with room; on a new one when there is none. While somebody waits for a connection of his own, nobody
   * sits down on one that is shared, so that it comes free. Throws what opening throws, and the signal's reason.
   */
  enter(signal: AbortSignal): Promise<Seat> {
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
      const waiter: Waiter = { resolve, reject, release: () => signal.removeEventListener("abort", onAbort) };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  #serve(): void {
    const isCrowded = this.#pool.waiting > this.#coming;
    while (this.#waiting.length > 0) {
      const free = isCrowded ? undefined : this.#roomiest();
      const waiter = free === undefined ? undefined : this.#waiting.shift();
      if (free === undefined || waiter === undefined) break;
      waiter.release();
      waiter.resolve(this.#sit(free));
    }
    const wanted = Math.ceil(this.#waiting.length / SEATS);
    const possible = this.#pool.max - this.#shared.size;
    while (this.#coming < Math.min(wanted, Math.max(possible, isCrowded ? 1 : 0))) {
      this.#coming++;
      void this.#open();
    }
  }

  async #open(): Promise<void> {
    try {
      // For whoever waits when it comes, so no one's abort takes it back.
      const lease = await this.#pool.lease(undefined, new AbortController().signal);
      this.#coming--;
      const shared = { lease, users: 0 };
      this.#shared.add(shared);
      const first = this.#waiting.shift();
      if (first === undefined) {
        this.#leave(shared);
        return;
      }
      first.release();
      first.resolve(this.#sit(shared));
    } catch (error) {
      this.#coming--;
      const first = this.#waiting.shift();
      first?.release();
      first?.reject(error);
    }
    this.#serve();
  }

  #roomiest(): Shared | undefined {
    let best: Shared | undefined;
    for (const shared of this.#shared)
      if (shared.lease.connection.failure === undefined && shared.users < Math.min(SEATS, best?.users ?? SEATS))
        best = shared;
    return best;
  }

  #sit(shared: Shared): Seat {
    shared.users++;
    let seated = true;
    return {
      connection: shared.lease.connection,
      [Symbol.dispose]: () => {
        if (!seated) return;
        seated = false;
        shared.users--;
        if (shared.users === 0) this.#leave(shared);
        this.#serve();
      },
    };
  }

  #leave(shared: Shared): void {
    this.#shared.delete(shared);
    shared.lease[Symbol.dispose]();
  }
}
