// Every message of the open folder once, as a stream of rows, whatever the server leaves out, repeats or sends unasked.

import { MailError } from "../../mail/errors.ts";
import { showRaw } from "../../mail/mutf7.ts";
import type { Connection } from "./connection.ts";
import { accountRefusal, folderRefusal, protocolError } from "./errors.ts";
import { type FetchRow, fetchAll, fetchRows, ROW_ITEMS } from "./fetch.ts";
import { beginSelect, type Selecting } from "./mailbox.ts";
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
 * right behind the one that opens it. A message that EXISTS counts and FETCH leaves out is looked for by SEARCH, and in the folder
 * opened anew by its number, and listed with its UID alone. Gives how many the server counts and names in none of these ways. Throws
 * MailError of scope folder when the server refuses.
 */
export async function* listMessages(
  connection: Connection,
  range: string,
  opening?: Selecting,
): AsyncGenerator<ListedRow[], number> {
  if (opening === undefined && (connection.selected?.exists ?? 0) === 0) return 0;
  const command = `UID FETCH ${range} (${ROW_ITEMS})`;
  let rows = fetchRows(connection, command, opening?.isOpen);
  let first = await rows.next();
  const { name = "the folder", exists: told = 0 } = (await opening?.selected) ?? connection.selected ?? {};
  const exists = opening?.counted() ?? told;
  if (opening !== undefined && isRefused(first)) {
    // "*" names no message of an empty folder; and a server may not like to be asked before it has answered.
    if (exists === 0) return 0;
    rows = fetchRows(connection, command);
    first = await rows.next();
  }
  const { seen, expunged } = yield* eachOnce(rows, name, first);
  // One that was expunged may be one that was listed, or one that was not.
  if (range !== "1:*" || (expunged === 0 && seen.size >= exists)) return 0;
  return yield* listRest(connection, seen, exists - expunged);
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
  if (answer.status !== "OK") throw folderRefusal(`${showRaw(name)} cannot be listed`, answer);
  const rest = [...incomplete.values()].filter(({ uid }) => seen.add(uid));
  if (rest.length > 0) yield rest;
  return { seen, expunged };
}

/**
 * Lists what the open folder has beside those that were seen, by the other ways there are to ask for it. `counted`: at least so many it
 * had when it was opened. Gives how many it counts and does not name.
 */
export async function* listRest(
  connection: Connection,
  seen: UidTrail,
  counted: number,
): AsyncGenerator<ListedRow[], number> {
  const { uidNext = Number.POSITIVE_INFINITY } = connection.selected ?? {};
  const found: number[] = [];
  let old = 0;
  const answer = await connection.run("UID SEARCH UID 1:*", {
    data: ({ name, values }) => {
      if (name !== "SEARCH") return false;
      for (const value of values) {
        const uid = valueNumber(value);
        if (uid === undefined) continue;
        // What came since the folder was opened was not counted.
        if (uid < uidNext) old++;
        if (!seen.has(uid)) found.push(uid);
      }
      return true;
    },
  });
  if (answer.status === "OK") yield* rowsOf(connection, found, seen);
  return answer.status === "OK" && old >= counted ? 0 : yield* listByNumber(connection, seen);
}

/** Looks again where a message was deleted meanwhile, which may be one that came or one that did not. */
const LOOKS = 3;

/** The last way: the folder opened anew, and each message by its number. */
async function* listByNumber(connection: Connection, seen: UidTrail): AsyncGenerator<ListedRow[], number> {
  const { name = "", uidValidity } = connection.selected ?? {};
  for (let look = 1; ; look++) {
    const opening = beginSelect(connection, name, true);
    const rows = fetchRows(connection, "FETCH 1:* (UID)", opening.isOpen);
    // The first step sends the command.
    const [opened, first] = await Promise.allSettled([opening.selected, rows.next()]);
    if (opened.status === "rejected") throw opened.reason;
    if (first.status === "rejected") throw first.reason;
    if (opened.value.uidValidity !== uidValidity) throw madeAnew(name);
    const { uidNext = Number.POSITIVE_INFINITY } = opened.value;
    const given = new UidTrail();
    const found: number[] = [];
    let old = 0;
    let step = first.value;
    for (; step.done !== true; step = await rows.next())
      for (const { uid } of step.value) {
        if (uid === undefined || !given.add(uid)) continue;
        if (uid < uidNext) old++;
        if (!seen.has(uid)) found.push(uid);
      }
    const { answer, expunged } = step.value;
    yield* rowsOf(connection, found, seen);
    if (expunged > 0 && look < LOOKS) continue;
    // Where it does not say, those that came before are there still.
    const known = answer.status === "OK" ? old : seen.size;
    return Math.max(0, opening.counted() - expunged - known);
  }
}

async function* rowsOf(connection: Connection, uids: readonly number[], seen: UidTrail): AsyncGenerator<ListedRow[]> {
  for (const uid of uids) {
    if (!seen.add(uid)) continue;
    const { rows } = await fetchAll(connection, `UID FETCH ${uid} (${ROW_ITEMS})`);
    const row = rows.find((one) => one.uid === uid);
    yield [row === undefined ? { uid } : Object.assign(row, { uid })];
  }
}

export function madeAnew(name: string): MailError {
  return new MailError("not-found", `the folder ${showRaw(name)} was made anew while it was read`, {
    scope: "folder",
    remedy: "retry",
  });
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
