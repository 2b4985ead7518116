// UID FETCH as a stream of rows: whole ones in batches, bodies gathered when small and streamed when large.

import type { Received, SystemFlag } from "../../mail/model.ts";
import { Channel, type LiteralStream, literalStream } from "./channel.ts";
import type { Connection, Listener } from "./connection.ts";
import { forPairs } from "./mailbox.ts";
import { type DataResponse, type Tagged, UsualRow, valueNumber, valueText } from "./parse.ts";
import { Streamed } from "./scanner.ts";
import { flagsOfList, parseFlags, parseInternalDate } from "./syntax.ts";

export const ROW_ITEMS = "UID FLAGS INTERNALDATE RFC822.SIZE";

/** What one FETCH response said; servers also send responses that nobody asked for, with less in them. */
export interface FetchRow {
  uid?: number;
  sequence?: number;
  flags?: ReadonlySet<SystemFlag>;
  keywords?: ReadonlySet<string>;
  /** System flags of the server's own. */
  foreign?: ReadonlySet<string>;
  received?: Received;
  /** INTERNALDATE came and is no date: whether there was anything in it. */
  undated?: "empty" | "no date";
  size?: number;
  /** BODY[]: null for NIL. */
  body?: Buffer | LiteralStream | null;
  /** BODY[HEADER.FIELDS (…)]. */
  header?: Buffer;
}

function setDate(row: FetchRow, text: string): void {
  const received = parseInternalDate(text);
  if (received !== undefined) row.received = received;
  else row.undated = text.trim() === "" ? "empty" : "no date";
}

/** Whether the row says when the message was received, be it nonsense. */
export function tellsDate({ received, undated }: FetchRow): boolean {
  return received !== undefined || undated !== undefined;
}

/** The row of which nothing else is to be told. */
function usualRow({ number, uid, flags, date, size, body }: UsualRow): FetchRow {
  const both = flagsOfList(flags);
  const row: FetchRow = { sequence: number, flags: both.flags, keywords: both.keywords, size: Number(size) };
  const id = Number(uid);
  if (id > 0 && id <= 0xffffffff) row.uid = id;
  if (both.foreign !== undefined) row.foreign = both.foreign;
  setDate(row, date);
  if (Buffer.isBuffer(body)) row.body = body;
  return row;
}

/** Undefined for other responses. */
export function parseRow(response: DataResponse): FetchRow | undefined {
  if (response instanceof UsualRow) return usualRow(response);
  if (response.name !== "FETCH") return undefined;
  const row: FetchRow = {};
  if (response.number !== undefined) row.sequence = response.number;
  forPairs(response.values[0], (name, value) => {
    if (name === "UID") {
      const uid = valueNumber(value);
      if (uid !== undefined && uid > 0 && uid <= 0xffffffff) row.uid = uid;
    } else if (name === "FLAGS") {
      Object.assign(row, parseFlags(value));
    } else if (name === "INTERNALDATE") {
      setDate(row, valueText(value) ?? "");
    } else if (name === "RFC822.SIZE") {
      const size = valueNumber(value);
      if (size !== undefined) row.size = size;
    } else if (name === "BODY[]" || name === "RFC822" || name === "BODY[]<0>") {
      if (value === null) row.body = null;
      else if (Buffer.isBuffer(value)) row.body = value;
      else if (typeof value === "string") row.body = Buffer.from(value, "latin1");
      // Streamed: it was given out when it began.
    } else if (name.startsWith("BODY[HEADER")) {
      const text = valueText(value);
      row.header = Buffer.isBuffer(value) ? value : Buffer.from(text ?? "", "latin1");
    }
  });
  return row;
}

export function hasStreamedBody(response: DataResponse): boolean {
  if (response instanceof UsualRow) return response.body instanceof Streamed;
  const [list] = response.values;
  return Array.isArray(list) && list.some((value) => value instanceof Streamed);
}

/** About what a row without a body and keywords takes in memory. */
const ROW_WEIGHT = 300;

function weightOf({ header, keywords }: FetchRow): number {
  let weight = ROW_WEIGHT + (header?.length ?? 0);
  for (const keyword of keywords ?? []) weight += 50 + keyword.length;
  return weight;
}

/**
 * The rows of one UID FETCH (or FETCH) without bodies, in batches as they come; at the end the tagged answer, which may be a
 * NO behind good rows, and how many messages were expunged meanwhile. `isOpen`: false while the folder that it asks about is still to
 * be opened; rows of another one are then none of its own. The connection is held while the consumer is busy. Not
 * read to its end, it leaves the connection busy.
 */
export async function* fetchRows(
  connection: Connection,
  command: string,
  isOpen: () => boolean = () => true,
): AsyncGenerator<FetchRow[], { answer: Tagged; expunged: number }> {
  const channel = new Channel<FetchRow>(connection);
  let expunged = 0;
  const data = (response: DataResponse): boolean => {
    if (!isOpen()) return false;
    if (response.name === "EXPUNGE" || response.name === "VANISHED") expunged++;
    const row = parseRow(response);
    if (row !== undefined) channel.push(row, weightOf(row));
    return row !== undefined;
  };
  const answer = connection.run(command, { data });
  answer.then(
    () => channel.end(),
    (error: unknown) => channel.fail(error),
  );
  try {
    for (let rows = await channel.take(); rows !== undefined; rows = await channel.take()) yield rows;
    return { answer: await answer, expunged };
  } finally {
    channel.drop();
  }
}

/**
 * All rows of a FETCH that has few, but for those with a body. Rows are kept from nobody: other commands that are on their way
 * hear them too.
 */
export async function fetchAll(
  connection: Connection,
  command: string,
  more: Pick<Listener, "lost" | "stallMs"> = {},
): Promise<{ rows: FetchRow[]; answer: Tagged }> {
  const rows: FetchRow[] = [];
  const answer = await connection.run(command, {
    ...more,
    data: (response) => {
      const row = parseRow(response);
      if (row !== undefined && row.body === undefined) rows.push(row);
      return false;
    },
  });
  return { rows, answer };
}

/**
 * Hears FETCH responses with BODY[]: `found` gets each row once, a large body as a stream at the moment it begins; it says
 * whether the row was awaited. `accepts` says whether what stands before a large body is awaited ("yes"), belongs to somebody
 * else ("no"), or is too little to know ("discard"): then the body goes by unread.
 */
export function bodyListener(
  connection: Connection,
  accepts: (soFar: FetchRow) => "yes" | "no" | "discard",
  found: (row: FetchRow, weight: number) => boolean,
): Listener {
  return {
    data(response) {
      const row = parseRow(response);
      if (row === undefined || row.body === undefined || hasStreamedBody(response)) return false;
      return found(row, weightOf(row) + (Buffer.isBuffer(row.body) ? row.body.length : 0));
    },
    literal(soFar) {
      const row = parseRow(soFar);
      if (row === undefined) return undefined;
      const answer = accepts(row);
      if (answer === "no") return undefined;
      if (answer === "discard") return { write: () => undefined, end: () => undefined, fail: () => undefined };
      const stream = literalStream(connection);
      row.body = stream;
      found(row, weightOf(row));
      return stream.sink;
    },
  };
}
