// Whole messages by UID, in batches with several on their way at once; every UID that was asked for is accounted.

import { MailError } from "../../mail/errors.ts";
import { CHANNEL_BYTES, Channel, type LiteralStream } from "./channel.ts";
import type { Connection, Listener } from "./connection.ts";
import { messageRefusal, outrightRefusal } from "./errors.ts";
import { bodyListener, type FetchRow, fetchAll, ROW_ITEMS, tellsDate } from "./fetch.ts";
import { UidTrail } from "./listing.ts";
import type { Selecting } from "./mailbox.ts";
import type { Tagged } from "./parse.ts";
import { uidSet } from "./syntax.ts";

/**
 * Messages and announced octets of one UID FETCH. Several are on their way, and the next one is sent as soon as one is answered, so
 * that the wire is never idle for a round trip.
 */
const BATCH_MESSAGES = 125;
const BATCH_BYTES = 2 * 1024 * 1024;
const IN_FLIGHT = 8;

export interface Wanted {
  readonly uids: Uint32Array;
  /** As announced by RFC822.SIZE, capped at 2^32 - 1. */
  readonly sizes: Uint32Array;
}

/** A message that came, or why this one alone did not. */
export type Fetched =
  | {
      readonly uid: number;
      readonly row: FetchRow;
      readonly content: AsyncIterable<Uint8Array>;
      /** All of it, where it came in one piece. */
      readonly bytes?: Uint8Array;
    }
  | { readonly uid: number; readonly row: FetchRow | undefined; readonly error: MailError };

interface Batch {
  readonly pending: Set<number>;
}

/** For work on a connection that others use too: all that is asked for goes out at once, and nothing more. */
export interface Sharing {
  /** False while the folder is still to be opened. */
  isOpen(): boolean;
  /** Gets what did not come and has to be asked for by itself, later and elsewhere. */
  lone(uid: number): void;
  /** Ends the wait; the connection stays. */
  readonly signal: AbortSignal;
}

/** Octets of a shared connection's folder that may wait: there are several, and one that is full holds up the others. */
const SHARED_BYTES = 256 * 1024;

/** Whether all that is wanted is asked for by as many commands as are sent at once. */
export function fitsAtOnce(wanted: Wanted): boolean {
  let at = 0;
  for (let n = 0; n < IN_FLIGHT && at < wanted.uids.length; n++)
    at = uidSet(wanted.uids, at, batchLength(wanted, at)).next;
  return at >= wanted.uids.length;
}

/** Rows that came together: a large content is the last of its batch, and is skipped when the next one is pulled. */
async function* handOn(rows: readonly FetchRow[]): AsyncGenerator<readonly Fetched[]> {
  let together: Fetched[] = [];
  for (const row of rows) {
    const { uid = 0, body } = row;
    if (Buffer.isBuffer(body)) together.push({ uid, row, content: once(body), bytes: body });
    else if (body !== null && body !== undefined) {
      together.push({ uid, row, content: body.content });
      yield together;
      together = [];
      body.skip();
    }
  }
  if (together.length > 0) yield together;
}

type Item = { readonly row: FetchRow } | { readonly batch: Batch; readonly answer: Tagged };

/**
 * Yields each of `wanted` once, those that came together at once. A large content is the last of its batch, and must be read, or is
 * skipped, before the next pull. Throws MailError connection when the wire fails; `broken` is told the UIDs that the server was
 * sending, or was to send next, when it did, the next one first. The first step sends the first commands, before anything is awaited.
 */
export async function* fetchBodies(
  connection: Connection,
  wanted: Wanted,
  broken: (uids: readonly number[]) => void,
  sharing?: Sharing,
): AsyncGenerator<readonly Fetched[]> {
  const channel = new Channel<Item>(connection, sharing === undefined ? CHANNEL_BYTES : SHARED_BYTES);
  const isOpen = sharing?.isOpen ?? (() => true);
  const onAbort = (): void => channel.fail(sharing?.signal.reason);
  sharing?.signal.addEventListener("abort", onAbort, { once: true });
  const batches: Batch[] = [];
  const missing: number[] = [];
  let next = 0;
  let streaming: number | undefined;
  let stream: LiteralStream | undefined;
  let isOver = false;

  const batchOf = (uid: number | undefined): Batch | undefined =>
    uid === undefined ? undefined : batches.find(({ pending }) => pending.has(uid));
  const start = (): void => {
    if (next >= wanted.uids.length) return;
    const { set, next: behind } = uidSet(wanted.uids, next, batchLength(wanted, next));
    const batch: Batch = { pending: new Set(wanted.uids.subarray(next, behind)) };
    next = behind;
    batches.push(batch);
    const listener = bodyListener(
      connection,
      (soFar) => {
        if (!isOpen()) return "no";
        const { uid, flags } = soFar;
        const isAwaited = !isOver && batchOf(uid) !== undefined && flags !== undefined && tellsDate(soFar);
        return isAwaited ? "yes" : "discard";
      },
      (row, weight) => {
        // NIL, and what comes twice or unasked, does not count as delivered.
        const found = row.body === null || !isOpen() ? undefined : batchOf(row.uid);
        if (found === undefined || row.uid === undefined) return false;
        found.pending.delete(row.uid);
        stream = Buffer.isBuffer(row.body) || row.body === null ? undefined : row.body;
        streaming = stream === undefined ? undefined : row.uid;
        channel.push({ row }, weight);
        return true;
      },
    );
    const lost = (oldest: boolean): void => {
      if (oldest) broken(streaming === undefined ? [...batch.pending] : [streaming]);
    };
    connection.run(`UID FETCH ${set} (${ROW_ITEMS} BODY.PEEK[])`, { ...listener, lost }).then(
      (answer) => {
        // Before anybody has taken what came: the wire is not to be idle meanwhile.
        start();
        channel.push({ batch, answer }, 0);
      },
      (error: unknown) => channel.fail(error),
    );
  };
  try {
    for (let n = 0; n < IN_FLIGHT; n++) start();
    while (batches.length > 0) {
      const items = (await channel.take()) ?? [];
      yield* handOn(items.flatMap((item) => ("row" in item ? [item.row] : [])));
      for (const item of items) {
        if ("row" in item) continue;
        const refusal = item.answer.status === "OK" ? undefined : outrightRefusal(item.answer);
        if (refusal !== undefined) throw refusal;
        batches.splice(batches.indexOf(item.batch), 1);
        missing.push(...item.batch.pending);
      }
    }
    for (const uid of missing) {
      if (sharing === undefined) for await (const fetched of fetchOne(connection, uid, broken)) yield [fetched];
      else sharing.lone(uid);
    }
  } finally {
    sharing?.signal.removeEventListener("abort", onAbort);
    // What nobody reads would hold up the connection, and with it all others who use it.
    isOver = true;
    stream?.skip();
    channel.drop();
  }
}

/** What came of asking for everything. */
export interface Everything {
  /** Those that came, each whole and with all that belongs to its row. */
  readonly seen: UidTrail;
  /** Nothing was left out, as far as the server says. */
  readonly isComplete: boolean;
}

/**
 * All messages of a folder that is being opened, by one command that goes out right behind the one that opens it, in the first step:
 * nothing has to be listed before. Yields as `fetchBodies` does. What did not come as it should is left out; whoever asked finds out by
 * the number of those that came, and lists the folder. Undefined when it was not read to its end. `signal`: on a connection that
 * others use too it ends the wait. Throws MailError connection when the wire fails, and an account's refusal; `broken` as for
 * `fetchBodies`.
 */
export async function* fetchEverything(
  connection: Connection,
  { isOpen, isRefused, counted }: Selecting,
  broken: (uids: readonly number[]) => void,
  signal?: AbortSignal,
): AsyncGenerator<readonly Fetched[], Everything | undefined> {
  const channel = new Channel<FetchRow>(connection, signal === undefined ? CHANNEL_BYTES : SHARED_BYTES);
  const onAbort = (): void => channel.fail(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const seen = new UidTrail();
  let streaming: number | undefined;
  let stream: LiteralStream | undefined;
  let isOver = false;
  /** Messages that there must be: what EXAMINE counted, and what came since. */
  let least = 0;
  let wasExpunged = false;
  const isWhole = (row: FetchRow): boolean => {
    const { uid, flags, size } = row;
    return uid !== undefined && flags !== undefined && tellsDate(row) && size !== undefined && !seen.has(uid);
  };
  const bodies = bodyListener(
    connection,
    (row) => {
      if (!isOpen()) return isRefused() ? "discard" : "no";
      return !isOver && isWhole(row) ? "yes" : "discard";
    },
    (row, weight) => {
      const { uid, body } = row;
      if (!isOpen() || uid === undefined || body === null || !isWhole(row)) return false;
      seen.add(uid);
      stream = Buffer.isBuffer(body) ? undefined : body;
      streaming = stream === undefined ? undefined : uid;
      channel.push(row, weight);
      return true;
    },
  );
  const listener: Listener = {
    ...bodies,
    data(response) {
      if (isOpen()) {
        // One that went away may be one that came, or one that did not.
        if (response.name === "EXPUNGE" || response.name === "VANISHED") wasExpunged = true;
        if (response.name === "EXISTS") least = Math.max(least, response.number ?? 0);
      }
      return bodies.data?.(response) === true;
    },
    lost(oldest) {
      if (oldest && streaming !== undefined) broken([streaming]);
    },
  };
  const answered = connection.run(`UID FETCH 1:* (${ROW_ITEMS} BODY.PEEK[])`, listener);
  answered.then(
    () => channel.end(),
    (error: unknown) => channel.fail(error),
  );
  try {
    for (let rows = await channel.take(); rows !== undefined; rows = await channel.take()) yield* handOn(rows);
    const answer = await answered;
    const refusal = answer.status === "OK" ? undefined : outrightRefusal(answer);
    if (refusal !== undefined) throw refusal;
    const isComplete = answer.status === "OK" && !wasExpunged && seen.size >= Math.max(least, counted());
    return { seen, isComplete };
  } finally {
    signal?.removeEventListener("abort", onAbort);
    // What nobody reads would hold up the connection, and with it all others who use it.
    isOver = true;
    stream?.skip();
    channel.drop();
  }
}

/** One message by itself: the row first, so that whatever order the server gives things in, all is known before the body. */
export async function* fetchOne(
  connection: Connection,
  uid: number,
  broken: (uids: readonly number[]) => void,
  stallMs?: number,
): AsyncGenerator<Fetched> {
  // One after the other: Dovecot may keep back the first one's answer until the second one's body has gone out, and that
  // would wait for a reader who waits for the answer.
  const lost = (oldest: boolean): void => {
    if (oldest) broken([uid]);
  };
  const { rows, answer: metaAnswer } = await fetchAll(connection, `UID FETCH ${uid} (${ROW_ITEMS})`, { lost, stallMs });
  const row = rows.find((one) => one.uid === uid && one.size !== undefined) ?? rows.find((one) => one.uid === uid);
  const channel = new Channel<FetchRow>(connection);
  // Alone on its connection: a body without a UID before it can only be this one.
  const isOurs = (one: FetchRow): boolean => one.uid === undefined || one.uid === uid;
  const listener = bodyListener(
    connection,
    (one) => (isOurs(one) ? "yes" : "no"),
    (one, weight) => {
      if (isOurs(one)) channel.push(one, weight);
      return isOurs(one);
    },
  );
  const answer = connection.run(`UID FETCH ${uid} (UID BODY.PEEK[])`, { ...listener, lost, stallMs });
  answer.then(
    () => channel.end(),
    (error: unknown) => channel.fail(error),
  );
  try {
    for (let items = await channel.take(); items !== undefined; items = await channel.take())
      for (const { body } of items) {
        if (body === null || body === undefined) continue;
        const known = row ?? { uid };
        if (Buffer.isBuffer(body)) yield { uid, row: known, content: once(body), bytes: body };
        else {
          yield { uid, row: known, content: body.content };
          body.skip();
        }
        channel.drop();
        await answer;
        return;
      }
    yield { uid, row, error: lostMessage(uid, row, await answer, metaAnswer) };
  } finally {
    channel.drop();
  }
}

function lostMessage(uid: number, row: FetchRow | undefined, answer: Tagged, meta: Tagged): MailError {
  const refused = answer.status !== "OK" ? answer : meta.status !== "OK" ? meta : undefined;
  if (refused !== undefined) {
    const error = messageRefusal(`the server does not give message ${uid}`, refused);
    if (error.details.scope !== "message") throw error;
    return error;
  }
  if (row === undefined)
    return new MailError("not-found", `message ${uid} is no longer in the folder`, {
      scope: "message",
      remedy: "give-up",
    });
  return new MailError("malformed", `the server lists message ${uid} but gives no content for it`, {
    scope: "message",
    remedy: "give-up",
  });
}

function batchLength({ sizes }: Wanted, from: number): number {
  let bytes = 0;
  let count = 0;
  while (count < BATCH_MESSAGES && from + count < sizes.length) {
    bytes += sizes[from + count] ?? 0;
    if (count > 0 && bytes > BATCH_BYTES) break;
    count++;
  }
  return count;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/**
 * The octets of one message. Throws MailError of scope message: not-found when it is gone. Many may be asked for at once, and one
 * of them more than once.
 */
export async function* fetchContent(connection: Connection, uid: number): AsyncGenerator<Uint8Array> {
  const channel = new Channel<FetchRow>(connection);
  // A server may send the rows of several commands before it answers the first: a second one is another command's.
  let isThere = false;
  // Servers that name the UID only behind a large body work through their commands in order, so it is the oldest one's.
  const listener = bodyListener(
    connection,
    (row) => (!isThere && (row.uid === undefined || row.uid === uid) ? "yes" : "no"),
    (row, weight) => {
      const isOurs = !isThere && (row.uid === uid || (row.uid === undefined && !Buffer.isBuffer(row.body)));
      if (isOurs) channel.push(row, weight);
      isThere ||= isOurs;
      return isOurs;
    },
  );
  const answer = connection.run(`UID FETCH ${uid} (UID BODY.PEEK[])`, listener);
  answer.then(
    () => channel.end(),
    (error: unknown) => channel.fail(error),
  );
  try {
    for (let items = await channel.take(); items !== undefined; items = await channel.take())
      for (const { body } of items) {
        if (body === null || body === undefined) continue;
        if (Buffer.isBuffer(body)) {
          if (body.length > 0) yield body;
        } else
          try {
            yield* body.content;
          } finally {
            body.skip();
          }
        await answer;
        return;
      }
    const answered = await answer;
    throw lostMessage(uid, undefined, answered, answered);
  } finally {
    channel.drop();
  }
}
