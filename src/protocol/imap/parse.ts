// Gives a response's pieces their meaning: atoms, strings, NIL, lists and literals of any legal shape (RFC 3501 9).

import { words } from "../words.ts";
import { protocolError } from "./errors.ts";
import type { Piece, Streamed } from "./scanner.ts";

/** Atoms, numbers and quoted strings are text (latin1, an octet a char); the atom NIL is null; a literal is its octets. */
export type Value = string | null | Buffer | Streamed | Value[];

export interface Status {
  readonly status: "OK" | "NO" | "BAD" | "BYE" | "PREAUTH";
  /** In upper case, without brackets. */
  readonly code?: string;
  /** What stands behind the code inside the brackets. */
  readonly argument?: string;
  readonly text: string;
}

export interface Tagged extends Status {
  readonly kind: "tagged";
  readonly tag: string;
}

export interface DataResponse {
  readonly kind: "data";
  /** The number of `* 12 EXISTS`. */
  readonly number?: number;
  /** In upper case. */
  readonly name: string;
  readonly values: readonly Value[];
}

export type Response =
  | Tagged
  | DataResponse
  | (Status & { readonly kind: "status" })
  | { readonly kind: "continuation"; readonly text: string };

/** Lists inside lists; a BODYSTRUCTURE of a deep forward has a few dozen. */
export const MAX_DEPTH = 200;
/** Lists in one response; each costs more than the two octets that it may be written in. */
export const MAX_LISTS = 100_000;
/** Values in one response: a SEARCH answer over a folder of several million messages. */
export const MAX_VALUES = 4_000_000;
/** Octets of the text for people behind a status; what is longer is cut, as nothing is told by it alone. */
export const MAX_TEXT = 4096;

const STATUS = /^(OK|NO|BAD|BYE|PREAUTH)(?: (.*))?$/is;

/**
 * A message's row as most servers send it, with or without a body behind it. One match instead of some twenty values: these rows are
 * most of what a run parses, and most of that before the code is compiled.
 */
const ROW =
  /^\* (\d{1,10}) FETCH \(UID (\d{1,10}) FLAGS \(([^()"{}]{0,4096})\) INTERNALDATE "([^"\\]{0,64})" RFC822\.SIZE (\d{1,15})(?:\)| (BODY\[\]) )$/;

/** What `ROW` found, as text. Its values are made only for who asks for them. */
export class UsualRow implements DataResponse {
  readonly kind = "data";
  readonly name = "FETCH";
  readonly number: number;
  readonly uid: string;
  /** What stands between the parentheses. */
  readonly flags: string;
  readonly date: string;
  readonly size: string;
  /** A BODY[] behind it. */
  readonly body: Buffer | Streamed | undefined;

  // By their places: taking an array apart makes an object an item, and this runs once a message.
  constructor(match: RegExpExecArray, body?: Buffer | Streamed) {
    this.number = Number(match[1]);
    this.uid = match[2] ?? "";
    this.flags = match[3] ?? "";
    this.date = match[4] ?? "";
    this.size = match[5] ?? "";
    this.body = body;
  }

  get values(): readonly Value[] {
    const { uid, flags, date, size, body } = this;
    const list = flags === "" ? [] : flags.split(" ");
    const row: Value[] = ["UID", uid, "FLAGS", list, "INTERNALDATE", date, "RFC822.SIZE", size];
    if (body !== undefined) row.push("BODY[]", body);
    return [row];
  }
}

function parseUsualRow(pieces: readonly Piece[]): UsualRow | undefined {
  const first = pieces[0];
  if (typeof first !== "string") return undefined;
  const match = ROW.exec(first);
  if (match === null) return undefined;
  if (match[6] === undefined) return pieces.length > 1 ? undefined : new UsualRow(match);
  const body = pieces[1];
  const isWhole = pieces.length === 3 && body !== undefined && typeof body !== "string" && pieces[2] === ")";
  return isWhole ? new UsualRow(match, body) : undefined;
}

/** With `open`, the pieces may end in the middle of a list: all that came so far is given. Throws MailError "protocol". */
export function parseResponse(pieces: readonly Piece[], open = false): Response {
  const first = pieces[0] ?? "";
  if (typeof first !== "string") throw protocolError("a response of the server begins with a literal");
  const row = parseUsualRow(pieces);
  if (row !== undefined) return row;
  if (first.startsWith("* ")) {
    const status = pieces.length === 1 ? STATUS.exec(first.slice(2)) : null;
    if (status !== null) return { kind: "status", ...parseStatus(status[1] ?? "", status[2] ?? "") };
    return parseData(pieces, open);
  }
  if (first.startsWith("+")) return { kind: "continuation", text: first.slice(2) };
  const space = first.indexOf(" ");
  const tagged = space === -1 ? null : STATUS.exec(first.slice(space + 1));
  if (tagged === null || space === 0) throw protocolError(`not an IMAP response: "${words(first.slice(0, 80))}"`);
  return { kind: "tagged", tag: first.slice(0, space), ...parseStatus(tagged[1] ?? "", tagged[2] ?? "") };
}

function parseStatus(word: string, rest: string): Status {
  const status = word.toUpperCase() as Status["status"];
  const end = rest.startsWith("[") ? closingBracket(rest) : -1;
  if (end === -1) return { status, text: rest.slice(0, MAX_TEXT) };
  const inside = rest.slice(1, end);
  const space = inside.indexOf(" ");
  const code = (space === -1 ? inside : inside.slice(0, space)).toUpperCase();
  const text = rest.slice(end + 1, end + 1 + MAX_TEXT).trimStart();
  return space === -1 ? { status, code, text } : { status, code, argument: inside.slice(space + 1), text };
}

/** The bracket that closes the one at the start, past quoted strings and nested brackets. */
function closingBracket(text: string): number {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (quoted) {
      if (char === "\\") at++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === "[") depth++;
    else if (char === "]" && --depth === 0) return at;
  }
  // An unbalanced quote in a code is not worth losing the answer.
  return quoted ? text.indexOf("]") : -1;
}

function parseData(pieces: readonly Piece[], open: boolean): DataResponse {
  const cursor = new Cursor(pieces, open);
  cursor.skip(2);
  const values = cursor.list(0);
  let [head] = values;
  let from = 1;
  let number: number | undefined;
  if (typeof head === "string" && /^\d{1,15}$/.test(head) && values.length > 1) {
    number = Number(head);
    head = values[1] ?? "";
    from = 2;
  }
  if (typeof head !== "string") throw protocolError("a response of the server has no name");
  return {
    kind: "data",
    name: head.toUpperCase(),
    values: values.slice(from),
    ...(number === undefined ? {} : { number }),
  };
}

const SPACE = 32;
const QUOTE = 34;
const OPEN = 40;
const CLOSE = 41;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;

// Native, since a loop over characters is slow until it is compiled, which in a short run it never is.
const QUOTED = /"([^"\\]*(?:\\.[^"\\]*)*)"/sy;
const ATOM = /[^ ()[\]]*/y;
const BRACKETED = /[^[\]]*/y;

class Cursor {
  readonly #pieces: readonly Piece[];
  readonly #open: boolean;
  #index = 0;
  #text: string;
  #at = 0;
  #lists = 0;
  #count = 0;

  constructor(pieces: readonly Piece[], open: boolean) {
    this.#pieces = pieces;
    this.#open = open;
    const [first] = pieces;
    this.#text = typeof first === "string" ? first : "";
  }

  skip(count: number): void {
    this.#at += count;
  }

  /** The values up to the closing parenthesis (which is taken), or up to the end at depth 0. */
  list(depth: number): Value[] {
    if (depth > MAX_DEPTH) throw protocolError("a response of the server is nested too deeply");
    if (++this.#lists > MAX_LISTS) throw protocolError(`a response of the server has more than ${MAX_LISTS} lists`);
    const values: Value[] = [];
    for (;;) {
      if (this.#count + values.length > MAX_VALUES)
        throw protocolError(`a response of the server has more than ${MAX_VALUES} values`);
      if (this.#at >= this.#text.length) {
        const literal = this.#nextLiteral();
        if (literal === undefined) {
          if (depth > 0 && !this.#open) throw protocolError("a list in a response of the server is not closed");
          return values;
        }
        values.push(literal);
        continue;
      }
      const char = this.#text.charCodeAt(this.#at);
      if (char === SPACE) this.#at++;
      else if (char === OPEN) {
        this.#at++;
        const inner = this.list(depth + 1);
        this.#count += inner.length;
        values.push(inner);
      } else if (char === CLOSE) {
        this.#at++;
        if (depth > 0) return values;
      } else if (char === QUOTE) values.push(this.#quoted());
      else values.push(this.#atom());
    }
  }

  /** At the end of a text: the literal that follows it, if any; the text behind that one is next. */
  #nextLiteral(): Buffer | Streamed | undefined {
    const next = this.#pieces[this.#index + 1];
    if (next === undefined || typeof next === "string") return undefined;
    this.#index += 2;
    const text = this.#pieces[this.#index];
    this.#text = typeof text === "string" ? text : "";
    this.#at = 0;
    return next;
  }

  #quoted(): string {
    QUOTED.lastIndex = this.#at;
    const match = QUOTED.exec(this.#text);
    if (match === null) throw protocolError("a quoted string in a response of the server is not closed");
    this.#at = QUOTED.lastIndex;
    const text = match[1] ?? "";
    return text.includes("\\") ? text.replace(/\\(.)/gs, "$1") : text;
  }

  /** Up to a space or parenthesis; inside brackets (`BODY[HEADER.FIELDS ("X")]`) these belong to it. */
  #atom(): string | null {
    const text = this.#plain(ATOM) + this.#brackets();
    return text.length === 3 && text.toUpperCase() === "NIL" ? null : text;
  }

  /** The rest of an atom that has brackets in it; they may hold literals. */
  #brackets(): string {
    let text = "";
    for (let depth = 0; ; ) {
      text += this.#plain(depth === 0 ? ATOM : BRACKETED);
      if (this.#at >= this.#text.length) {
        const literal = depth > 0 ? this.#nextLiteral() : undefined;
        if (!(literal instanceof Buffer)) return text;
        text += literal.toString("latin1");
        continue;
      }
      const char = this.#text.charCodeAt(this.#at);
      if (char === OPEN_BRACKET) depth++;
      else if (char === CLOSE_BRACKET && depth > 0) depth--;
      else if (char !== CLOSE_BRACKET) return text;
      text += this.#text.charAt(this.#at++);
    }
  }

  /** What comes next of these characters. */
  #plain(characters: RegExp): string {
    characters.lastIndex = this.#at;
    const [text = ""] = characters.exec(this.#text) ?? [];
    this.#at += text.length;
    return text;
  }
}

/** A string of the server as text (latin1); null for NIL and lists. */
export function valueText(value: Value | undefined): string | null {
  if (typeof value === "string") return value;
  return Buffer.isBuffer(value) ? value.toString("latin1") : null;
}

/** A number of at most 2^53, or undefined. */
export function valueNumber(value: Value | undefined): number | undefined {
  return typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}
