// What the server says of messages just appended: looked at many at a time, in the pause when all appends have their answer.

import type { Connection } from "./connection.ts";
import { type FetchRow, fetchAll, ROW_ITEMS } from "./fetch.ts";
import { uidSet } from "./syntax.ts";

/** With as many waiting for their look, no append begins before it. */
const ROUND = 256;

interface Look {
  readonly connection: Connection;
  readonly uid: number;
  readonly resolve: (row: FetchRow | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Dovecot shows new messages to FETCH only when nothing else is in its pipeline, so a look between appends is in vain, and a
 * look after each would be a round trip a message. Hence rounds: appends, then one look at all of them.
 */
export class NewUids {
  #waiting: Look[] = [];
  #appending = 0;
  #afterRound: (() => void)[] = [];

  /** An append in flight: others' looks wait for its end. */
  async during<T>(append: () => Promise<T>): Promise<T> {
    while (this.#waiting.length >= ROUND) await new Promise<void>((resolve) => this.#afterRound.push(resolve));
    this.#appending++;
    try {
      return await append();
    } finally {
      this.#appending--;
      this.#flushSoon();
    }
  }

  /** The row of a new UID; undefined when it is not there. Rejects when the connection fails. */
  look(connection: Connection, uid: number): Promise<FetchRow | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ connection, uid, resolve, reject });
      this.#flushSoon();
    });
  }

  /** A little later, so that the last append's own look comes along. */
  #flushSoon(): void {
    if (this.#appending > 0) return;
    setImmediate(() => {
      if (this.#appending === 0) this.#flush();
    });
  }

  #flush(): void {
    const looks = this.#waiting;
    this.#waiting = [];
    for (const resolve of this.#afterRound.splice(0)) resolve();
    for (const connection of new Set(looks.map((look) => look.connection))) {
      const own = looks.filter((look) => look.connection === connection);
      ask(connection, own).catch((error: unknown) => {
        for (const { reject } of own) reject(error);
      });
    }
  }
}

async function ask(connection: Connection, looks: readonly Look[]): Promise<void> {
  const open = new Map(looks.map((look) => [look.uid, look]));
  const fetch = async (): Promise<void> => {
    const uids = [...open.keys()].sort((a, b) => a - b);
    for (let at = 0; at < uids.length; ) {
      const { set, next } = uidSet(uids, at, uids.length);
      at = next;
      const { rows } = await fetchAll(connection, `UID FETCH ${set} (${ROW_ITEMS})`);
      for (const row of rows) {
        if (row.uid === undefined || row.size === undefined) continue;
        open.get(row.uid)?.resolve(row);
        open.delete(row.uid);
      }
    }
  };
  await fetch();
  if (open.size > 0) {
    // A server need not have told this session of what is new; NOOP makes it (RFC 3501 6.1.2).
    await connection.run("NOOP");
    await fetch();
  }
  for (const { resolve } of open.values()) resolve(undefined);
}
