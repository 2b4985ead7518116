// Every message of the open folder once, as a stream of rows, whatever the server leaves out, repeats or sends unasked.

import { MailError } from "../../mail/errors.ts";
import type { Connection } from "./connection.ts";
import { accountRefusal, folderRefusal, protocolError } from "./errors.ts";
import { type FetchRow, fetchAll, fetchRows, ROW_ITEMS } from "./fetch.ts";
import type { Selecting } from "./mailbox.ts";
import { valueNumber } from "./parse.ts";
import { GrowingUint32 } from "./uids.ts";

export interface ListedRow extends FetchRow {
  uid: number;
}

/** Messages of one folder: four octets each are kept while it is listed. */
export const MAX_MESSAGES = 16_000_000;
/** Messages that are listed out of their order, which a server has no reason for: UIDs ascend (RFC 9051 2.3.1.1). */
export const MAX_UNORDERED = 100_000;

/** Rows without a size that may wait for their better halves; a server that sends more of them is listing so. */
export const MAX_INCOMPLETE = 10_000;

/**
 * Lists the selected folder, UIDs in `range` ("1:*", "1:5000"), or one that is being opened: then the first step sends the command
 * right behind the one that opens it. A message that STATUS and EXISTS count and FETCH leaves out is looked for by SEARCH and listed
 * with its UID alone. Throws MailError of scope folder when the server refuses.
 */
export async function* listMessages(
  connection: Connection,
  range: string,
  opening?: Selecting,
): AsyncGenerator<ListedRow[]> {
  if (opening === undefined && (connection.selected?.exists ?? 0) === 0) return;
  const command = `UID FETCH ${range} (${ROW_ITEMS})`;
  let rows = fetchRows(connection, command, opening?.isOpen);
  let first = await rows.next();
  const { name = "the folder", exists: told = 0 } = (await opening?.selected) ?? connection.selected ?? {};
  const exists = opening?.counted() ?? told;
  if (opening !== undefined && isRefused(first)) {
    // "*" names no message of an empty folder; and a server may not like to be asked before it has answered.
    if (exists === 0) return;
    rows = fetchRows(connection, command);
    first = await rows.next();
  }
  const { seen, expunged } = yield* eachOnce(rows, name, first);
  // One that was expunged may be one that was listed, or one that was not.
  if (range === "1:*" && (expunged > 0 || seen.size < exists)) yield* leftOut(connection, seen);
}

type Rows = ReturnType<typeof fetchRows>;
type Step = Awaited<ReturnType<Rows["next"]>>;

/** Refused, for no reason that the whole account has, before it gave a single row. */
function isRefused(step: Step): boolean {
  return step.done === true && step.value.answer.status !== "OK" && accountRefusal(step.value.answer) === undefined;
}

/**
 * Lists a small folder in one go, sent right behind the command that opens it. Undefined when the server leaves messages out or
 * refuses: then it is for `listMessages` to find out.
 */
export async function listBehind(
  connection: Connection,
  { selected, isOpen, counted }: Selecting,
): Promise<ListedRow[] | undefined> {
  const listing = eachOnce(fetchRows(connection, `UID FETCH 1:* (${ROW_ITEMS})`, isOpen), "the folder");
  const all: ListedRow[] = [];
  try {
    // The first step sends the command: nothing may come between it and the one before.
    let next = await listing.next();
    for (; next.done !== true; next = await listing.next()) all.push(...next.value);
    await selected;
    const { seen, expunged } = next.value;
    return expunged > 0 || seen.size < counted() ? undefined : all;
  } catch (error) {
    if (connection.failure === undefined && error instanceof MailError && error.details.scope !== "account")
      return undefined;
    throw error;
  }
}

/** Rows as they come, each message once. */
async function* eachOnce(
  rows: Rows,
  name: string,
  first?: Step,
): AsyncGenerator<ListedRow[], { readonly seen: UidTrail; readonly expunged: number }> {
  const seen = new UidTrail();
  // Flag changes are told unasked, perhaps before the row that was asked for (RFC 9051 7.5.2): they wait for it.
  const incomplete = new Map<number, ListedRow>();
  let next = first ?? (await rows.next());
  for (; next.done !== true; next = await rows.next()) {
    const fresh: ListedRow[] = [];
    for (const row of next.value) {
      const { uid } = row;
      if (uid === undefined) continue;
      const listed: ListedRow = Object.assign(row, { uid });
      if (row.size === undefined && incomplete.size < MAX_INCOMPLETE) {
        if (!seen.has(uid)) incomplete.set(uid, listed);
      } else if (seen.add(uid)) {
        incomplete.delete(uid);
        fresh.push(listed);
      }
    }
    if (fresh.length > 0) yield fresh;
  }
  const { answer, expunged } = next.value;
  if (answer.status !== "OK") throw folderRefusal(`${name} cannot be listed`, answer);
  const rest = [...incomplete.values()].filter(({ uid }) => seen.add(uid));
  if (rest.length > 0) yield rest;
  return { seen, expunged };
}

async function* leftOut(connection: Connection, seen: UidTrail): AsyncGenerator<ListedRow[]> {
  const found: number[] = [];
  const answer = await connection.run("UID SEARCH UID 1:*", {
    data: ({ name, values }) => {
      if (name !== "SEARCH") return false;
      for (const value of values) {
        const uid = valueNumber(value);
        if (uid !== undefined && !seen.has(uid)) found.push(uid);
      }
      return true;
    },
  });
  if (answer.status !== "OK") return;
  for (const uid of found) {
    if (!seen.add(uid)) continue;
    const { rows } = await fetchAll(connection, `UID FETCH ${uid} (${ROW_ITEMS})`);
    const row = rows.find((one) => one.uid === uid);
    yield [row === undefined ? { uid } : Object.assign(row, { uid })];
  }
}

/** Which UIDs came already: four octets each while they come in order, as they nearly always do. */
export class UidTrail {
  readonly #ordered = new GrowingUint32();
  readonly #others = new Set<number>();
  #last = 0;

  get size(): number {
    return this.#ordered.length + this.#others.size;
  }

  has(uid: number): boolean {
    return (uid <= this.#last && this.#ordered.includesSorted(uid)) || this.#others.has(uid);
  }

  /** False when it came before. */
  add(uid: number): boolean {
    if (uid > this.#last && !this.#others.has(uid)) {
      if (this.#ordered.length >= MAX_MESSAGES)
        throw protocolError(`the server lists more than ${MAX_MESSAGES} messages in one folder`);
      this.#ordered.push(uid);
      this.#last = uid;
      return true;
    }
    if (this.has(uid)) return false;
    this.#others.add(uid);
    if (this.#others.size > MAX_UNORDERED)
      throw protocolError(`the server lists more than ${MAX_UNORDERED} messages out of their order`);
    return true;
  }
}
