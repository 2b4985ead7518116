// What the server made of messages just appended: looked at many at a time, behind the appends and not between them.

import { MailError } from "../../mail/errors.ts";
import { showRaw } from "../../mail/mutf7.ts";
import type { Connection } from "./connection.ts";
import { type FetchRow, fetchAll, ROW_ITEMS } from "./fetch.ts";
import { selectMailbox } from "./mailbox.ts";
import { uidSet } from "./syntax.ts";

/** A look is sent behind so many messages, though more appends follow. */
const LOOK_MESSAGES = 512;
const LOOK_BYTES = 4 * 1024 * 1024;
/** Or when nothing was appended for this long and answers are still on their way. */
const LOOK_PAUSE_MS = 5;

/** Appends that one look is for. */
interface Round {
  /** At or below the first UID that they can get. */
  from: number;
  messages: number;
  bytes: number;
  sent: boolean;
}

interface Look {
  readonly connection: Connection;
  readonly round: Round | undefined;
  /** What is not found yet. */
  readonly open: Set<number>;
  readonly rows: Map<number, FetchRow>;
  readonly resolve: (rows: ReadonlyMap<number, FetchRow>) => void;
  readonly reject: (error: unknown) => void;
}

/** One append command on its way. */
export interface Sent {
  readonly connection: Connection;
  readonly round: Round | undefined;
  readonly count: number;
  /** At or below the first UID that it can get; undefined where the server does not say. */
  readonly from: number | undefined;
}

/**
 * Dovecot shows new messages to FETCH only when nothing else is in its pipeline, or after a SELECT. So a look goes out in one
 * of two ways: as SELECT and "UID FETCH n:*" directly behind the appends, before their UIDs are known, which costs no round
 * trip; or, when every append has its answer, as UID FETCH alone, which costs the server less.
 */
export class NewUids {
  readonly #name: string;
  readonly #uidValidity: string;
  readonly #looks = new Set<Look>();
  #connection: Connection | undefined;
  /** No message that is yet to be appended gets a lower UID, if all that were sent are taken. */
  #next: number | undefined;
  #round: Round | undefined;
  #appending = 0;
  #unanswered = 0;
  #pause: NodeJS.Timeout | undefined;
  /** The last look that was sent behind appends. Never rejects. */
  #looking: Promise<void> | undefined;
  /** UIDs that appends got; those without a gap together. */
  readonly #own: { first: number; last: number }[] = [];

  constructor(name: string, uidValidity: string) {
    this.#name = name;
    this.#uidValidity = uidValidity;
  }

  /** An append of so many messages goes to the connection now, in this very tick; `answered` must follow. */
  begin(connection: Connection, count: number, bytes: number): Sent {
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#next = connection.selected?.uidNext;
      this.#round = undefined;
      this.#unanswered = 0;
    }
    const from = this.#next;
    this.#appending++;
    this.#unanswered += count;
    if (from === undefined) return { connection, round: undefined, count, from };
    this.#next = from + count;
    const round = this.#round ?? { from, messages: 0, bytes: 0, sent: false };
    round.messages += count;
    round.bytes += bytes;
    if (connection.has("UIDPLUS")) this.#round = round;
    return { connection, round, count, from };
  }

  /** To be called directly behind the append: looks if it is time to. */
  follow(): void {
    const round = this.#round;
    if (round === undefined) return;
    if (round.messages >= LOOK_MESSAGES || round.bytes >= LOOK_BYTES) this.#lookBehind();
    else if (this.#pause === undefined) this.#pause = setTimeout(() => this.#lookBehind(), LOOK_PAUSE_MS);
    else this.#pause.refresh();
  }

  /** The append has its answer, or will have none; `uids` where it named them. */
  answered({ connection, count }: Sent, stored: boolean, uids: readonly number[] = []): void {
    this.#appending--;
    this.#soon();
    if (connection !== this.#connection) return;
    this.#unanswered -= count;
    if (stored) this.#claim(uids);
    if (this.#next === undefined) return;
    const last = uids.at(-1);
    if (!stored) this.#next -= count;
    else if (last !== undefined) this.#next = Math.max(this.#next, last + 1 + this.#unanswered);
  }

  /** Whether it can be told where the next append will end up, and so whether a refused one left anything. */
  knowsNext(connection: Connection): boolean {
    return (connection === this.#connection ? this.#next : connection.selected?.uidNext) !== undefined;
  }

  /** The rows of these new UIDs; those that are not there are missing. Rejects when the connection or the folder fails. */
  look(connection: Connection, uids: readonly number[], { round }: Sent): Promise<ReadonlyMap<number, FetchRow>> {
    return new Promise((resolve, reject) => {
      this.#looks.add({ connection, round, open: new Set(uids), rows: new Map(), resolve, reject });
      this.#soon();
    });
  }

  /**
   * How many messages came since this append was sent that no append has named as its own. Rejects when the connection or the
   * folder fails.
   */
  async strangers(connection: Connection, { from }: Sent): Promise<number> {
    if (from === undefined) return 0;
    const rows = await this.#select(connection, `UID FETCH ${from}:* (UID)`);
    const isOwn = (uid: number): boolean => this.#own.some(({ first, last }) => first <= uid && uid <= last);
    return rows.filter(({ uid = 0 }) => uid >= from && !isOwn(uid)).length;
  }

  /** Resolves when nothing more is asked of the connection for appends that were answered by now. */
  async idle(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    await this.#looking;
  }

  #claim(uids: readonly number[]): void {
    for (const uid of uids) {
      const latest = this.#own.at(-1);
      if (latest !== undefined && latest.last + 1 === uid) latest.last = uid;
      else this.#own.push({ first: uid, last: uid });
    }
  }

  #lookBehind(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    const round = this.#round;
    const connection = this.#connection;
    this.#round = undefined;
    if (round === undefined || connection === undefined) return;
    round.sent = true;
    const concerned = (): Look[] => [...this.#looks].filter((look) => look.round === round);
    this.#looking = this.#select(connection, `UID FETCH ${round.from}:* (${ROW_ITEMS})`)
      .then((rows) => {
        const looks = concerned();
        const found = byUid(rows);
        for (const look of looks) this.#take(look, found);
        // An append before them was refused, so that they got lower UIDs than was thought; or they are gone.
        const missed = looks.filter(({ open }) => open.size > 0);
        if (missed.length > 0) this.#ask(missed);
      })
      .catch((error: unknown) => {
        for (const look of concerned()) this.#refuse(look, error);
      });
  }

  /** A little later, so that the last append's own look comes along. */
  #soon(): void {
    if (this.#appending > 0) return;
    setImmediate(() => {
      if (this.#appending > 0) return;
      clearTimeout(this.#pause);
      this.#pause = undefined;
      this.#round = undefined;
      this.#ask([...this.#looks].filter(({ round }) => round?.sent !== true));
    });
  }

  #ask(looks: readonly Look[]): void {
    for (const connection of new Set(looks.map((look) => look.connection))) {
      const own = looks.filter((look) => look.connection === connection);
      // Nobody else asks for them.
      for (const look of own) this.#looks.delete(look);
      this.#askFor(connection, own).then(
        () => {
          for (const { resolve, rows } of own) resolve(rows);
        },
        (error: unknown) => {
          for (const { reject } of own) reject(error);
        },
      );
    }
  }

  async #askFor(connection: Connection, looks: readonly Look[]): Promise<void> {
    for (const anew of [false, true]) {
      const uids = looks.flatMap(({ open }) => [...open]).sort((a, b) => a - b);
      for (let at = 0; at < uids.length; ) {
        const { set, next } = uidSet(uids, at, uids.length);
        at = next;
        const command = `UID FETCH ${set} (${ROW_ITEMS})`;
        // A server need not have told this session of what is new; SELECT makes it.
        const rows = anew ? await this.#select(connection, command) : (await fetchAll(connection, command)).rows;
        const found = byUid(rows);
        for (const look of looks) this.#take(look, found);
      }
    }
  }

  async #select(connection: Connection, command: string): Promise<readonly FetchRow[]> {
    // Both in this tick: nothing else comes between them.
    const [selected, fetched] = await Promise.allSettled([
      selectMailbox(connection, this.#name, false),
      fetchAll(connection, command),
    ]);
    // Whoever waited for an answer before these has it by now.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (selected.status === "rejected") throw selected.reason;
    if (fetched.status === "rejected") throw fetched.reason;
    if (selected.value.uidValidity !== this.#uidValidity) throw madeAnew(this.#name);
    return fetched.value.rows;
  }

  #take(look: Look, rows: ReadonlyMap<number, FetchRow>): void {
    for (const uid of look.open) {
      const row = rows.get(uid);
      if (row === undefined) continue;
      look.open.delete(uid);
      look.rows.set(uid, row);
    }
    if (look.open.size > 0 || !this.#looks.delete(look)) return;
    look.resolve(look.rows);
  }

  #refuse(look: Look, error: unknown): void {
    this.#looks.delete(look);
    look.reject(error);
  }
}

function byUid(rows: readonly FetchRow[]): ReadonlyMap<number, FetchRow> {
  const found = new Map<number, FetchRow>();
  for (const row of rows) if (row.uid !== undefined && row.size !== undefined) found.set(row.uid, row);
  return found;
}

/** The folder is another one than what was opened: what was appended to it may be anywhere. */
export function madeAnew(name: string): MailError {
  return new MailError("not-found", `the folder ${showRaw(name)} was made anew by somebody else`, {
    scope: "folder",
    remedy: "retry",
    outcome: "unknown",
  });
}
