// One open folder on one connection, shared by all who work in it at the same moment; given back when the last one leaves.

import { MailError } from "../../mail/errors.ts";
import type { Connection } from "./connection.ts";
import { selectMailbox } from "./mailbox.ts";
import { BLANK, type ConnectionPool, type Lease } from "./pool.ts";

export interface Session {
  readonly connection: Connection;
}

interface Shared extends Session {
  readonly lease: Lease;
  readonly watched: Map<AbortSignal, () => void>;
  users: number;
}

/** Disposing it leaves the session. */
export interface Seat extends Disposable {
  readonly connection: Connection;
}

export class SharedSession {
  readonly #pool: ConnectionPool;
  readonly #name: string;
  readonly #uidValidity: string;
  readonly #opens: boolean;
  #current: Promise<Shared> | undefined;

  /** `opens`: false for a session on whose connection no folder is open. */
  constructor(pool: ConnectionPool, name: string, uidValidity: string, opens = true) {
    this.#pool = pool;
    this.#name = name;
    this.#uidValidity = uidValidity;
    this.#opens = opens;
  }

  /**
   * A seat on the connection on which the folder is selected for writing, or none is. An abort of any of the signals given ends the
   * connection. Throws MailError when it cannot be opened, or is no longer the folder that it was; the next call tries anew.
   */
  async enter(signal: AbortSignal): Promise<Seat> {
    signal.throwIfAborted();
    for (;;) {
      this.#current ??= this.#open(signal);
      const opening = this.#current;
      let shared: Shared;
      try {
        shared = await opening;
      } catch (error) {
        if (this.#current === opening) this.#current = undefined;
        throw error;
      }
      if (this.#current !== opening) continue;
      if (shared.connection.failure !== undefined) {
        this.#current = undefined;
        continue;
      }
      return this.#sit(shared, opening, signal);
    }
  }

  #sit(shared: Shared, opening: Promise<Shared>, signal: AbortSignal): Seat {
    shared.users++;
    if (!shared.watched.has(signal)) shared.watched.set(signal, shared.connection.endOn(signal));
    let seated = true;
    return {
      connection: shared.connection,
      [Symbol.dispose]: () => {
        if (!seated) return;
        seated = false;
        if (--shared.users > 0) return;
        if (this.#current === opening) this.#current = undefined;
        for (const release of shared.watched.values()) release();
        shared.lease[Symbol.dispose]();
      },
    };
  }

  async #open(signal: AbortSignal): Promise<Shared> {
    const lease = await this.#pool.lease(this.#opens ? this.#name : BLANK, signal);
    try {
      const { connection } = lease;
      if (!this.#opens) return { connection, lease, watched: new Map(), users: 0 };
      const isOpen = connection.selected?.name === this.#name && !connection.selected.readOnly;
      const { uidValidity } =
        isOpen && connection.selected !== undefined
          ? connection.selected
          : await connection.abortable(signal, () => selectMailbox(connection, this.#name, false));
      if (uidValidity !== this.#uidValidity)
        throw new MailError("not-found", `the folder ${this.#name} was made anew by somebody else`, {
          scope: "folder",
          remedy: "retry",
          outcome: "none",
        });
      return { connection, lease, watched: new Map(), users: 0 };
    } catch (error) {
      lease[Symbol.dispose]();
      throw error;
    }
  }
}
