// Cuts the octets of a server into whole responses at any chunk boundary; large literals pass through without being gathered.

import { protocolError } from "./errors.ts";
import { Gathering } from "./gathering.ts";

/** A SEARCH answer over a million messages has about 8 MB in one line; beyond this a server is broken or hostile. */
export const MAX_LINE = 32 * 1024 * 1024;
/** Literals up to this many octets are gathered, as bodies of this size are held in memory; larger ones are offered to a sink first. */
export const GATHER_LIMIT = 1024 * 1024;
/** What one response may hold in memory, lines and gathered literals together. */
export const MAX_RESPONSE = 64 * 1024 * 1024;
/** Literals in one response; a FETCH or LIST response has a handful. */
export const MAX_LITERALS = 10_000;

/**
 * Takes a literal's octets as they come. `write` gets each chunk once; exactly one of `end` and `fail` follows. `end` comes when the
 * whole response made sense: what follows the literal tells whether these were its octets.
 */
export interface LiteralSink {
  write(chunk: Buffer): void;
  end(): void;
  fail(error: unknown): void;
}

/** Stands in a response where a literal of this size went to a sink. */
export class Streamed {
  readonly size: number;
  constructor(size: number) {
    this.size = size;
  }
}

/** A stretch of a response's text (as latin1, without its literal marker and line end), or one literal. */
export type Piece = string | Buffer | Streamed;

export interface ScannerEvents {
  /** One whole response, in order. */
  response(pieces: readonly Piece[]): void;
  /** A large literal begins; what stands before it is given. Undefined: gather it. */
  literal(pieces: readonly Piece[], size: number): LiteralSink | undefined;
}

const LF = 10;
const CR = 13;
const CLOSING_BRACE = 125;
const LITERAL_MARKER = /~?\{(\d{1,15})\+?\}$/;
/** Free text ends these responses, so braces at their end mean nothing: continuations, tagged and untagged status. */
const FREE_TEXT = /^(?:\+|[^*]|\* (?:OK|NO|BAD|BYE|PREAUTH)(?: |$))/i;

/** A literal that is under way: to a sink, into its own buffer, or, where that is too large to be made on a server's word, gathered. */
interface Incoming {
  readonly size: number;
  left: number;
  readonly sink: LiteralSink | undefined;
  parts: Gathering | undefined;
  whole: Buffer | undefined;
}

/** Fed with `push`; while `paused` is true nothing more is dispatched, until `resume`. Throws MailError "protocol". */
export class Scanner {
  readonly #events: ScannerEvents;
  #chunks: Buffer[] = [];
  #offset = 0;
  readonly #partial = new Gathering();
  #pieces: Piece[] = [];
  #gathered = 0;
  #literal: Incoming | undefined;
  /** Those that have all their octets, in a response that is not at its end. */
  readonly #full: LiteralSink[] = [];
  #running = false;
  paused = false;

  constructor(events: ScannerEvents) {
    this.#events = events;
  }

  /** True in the middle of a response. */
  get midResponse(): boolean {
    return this.#pieces.length > 0 || this.#partial.length > 0 || this.#literal !== undefined;
  }

  push(chunk: Buffer): void {
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.resume();
  }

  /** The rest of the literal that is under way, where the next octets are its own and at least so many: to be written to directly. */
  room(least: number): Uint8Array | undefined {
    const { whole, size = 0, left = 0 } = this.#literal ?? {};
    if (whole === undefined || left < least || this.#chunks.length > 0) return undefined;
    return whole.subarray(size - left);
  }

  /** So many octets more lie where `room` said. */
  filled(length: number): void {
    if (this.#literal !== undefined) this.#literal.left -= length;
    this.resume();
  }

  /** Goes on with what was pushed. Harmless from inside an event. */
  resume(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (!this.paused && this.#step());
    } finally {
      this.#running = false;
    }
  }

  /** No more will come: a literal that is under way fails, and one whose response is. */
  fail(error: unknown): void {
    const sink = this.#literal?.sink;
    for (const full of this.#full.splice(0)) full.fail(error);
    this.#literal = undefined;
    this.#chunks = [];
    this.#pieces = [];
    sink?.fail(error);
  }

  #step(): boolean {
    if (this.#literal !== undefined) return this.#readLiteral();
    const chunk = this.#chunks[0];
    if (chunk === undefined) return false;
    const end = chunk.indexOf(LF, this.#offset);
    if (end === -1) {
      const rest = chunk.subarray(this.#offset);
      this.#partial.push(rest);
      this.#limit(this.#partial.length);
      this.#advance(chunk.length);
      return this.#chunks.length > 0;
    }
    let line: string;
    if (this.#partial.length === 0) {
      const stop = end > this.#offset && chunk[end - 1] === CR ? end - 1 : end;
      line = chunk.toString("latin1", this.#offset, stop);
    } else {
      this.#partial.push(chunk.subarray(this.#offset, end));
      line = this.#partial.take().toString("latin1");
      if (line.endsWith("\r")) line = line.slice(0, -1);
    }
    this.#limit(line.length);
    this.#advance(end + 1);
    this.#line(line);
    return true;
  }

  #limit(length: number): void {
    if (length > MAX_LINE) throw protocolError(`a line of the server is longer than ${MAX_LINE} octets`);
  }

  #advance(offset: number): void {
    this.#offset = offset;
    if (offset >= (this.#chunks[0]?.length ?? 0)) {
      this.#chunks.shift();
      this.#offset = 0;
    }
  }

  #line(line: string): void {
    const first = this.#pieces.length === 0;
    if (line.charCodeAt(line.length - 1) === CLOSING_BRACE && !(first && FREE_TEXT.test(line))) {
      const marker = LITERAL_MARKER.exec(line);
      if (marker !== null) {
        this.#pieces.push(line.slice(0, marker.index));
        this.#startLiteral(Number(marker[1]), line.length);
        return;
      }
    }
    this.#pieces.push(line);
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#gathered = 0;
    this.#events.response(pieces);
    if (this.#full.length > 0) for (const sink of this.#full.splice(0)) sink.end();
  }

  #startLiteral(size: number, text: number): void {
    if (this.#pieces.length > 2 * MAX_LITERALS)
      throw protocolError(`a response of the server has more than ${MAX_LITERALS} literals`);
    const sink = size > GATHER_LIMIT ? this.#events.literal(this.#pieces, size) : undefined;
    this.#gathered += text + (sink === undefined ? size : 0);
    if (this.#gathered > MAX_RESPONSE)
      throw protocolError(`a response of the server is larger than ${MAX_RESPONSE} octets`);
    const parts = sink === undefined && size > GATHER_LIMIT ? new Gathering() : undefined;
    this.#literal = { size, left: size, sink, parts, whole: undefined };
  }

  #readLiteral(): boolean {
    const literal = this.#literal;
    if (literal === undefined) return false;
    if (literal.left > 0) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return false;
      const part = chunk.subarray(this.#offset, this.#offset + literal.left);
      this.#advance(this.#offset + part.length);
      take(literal, part);
      literal.left -= part.length;
      if (literal.left > 0) return true;
    }
    this.#literal = undefined;
    if (literal.sink === undefined) this.#pieces.push(literal.parts?.take() ?? literal.whole ?? Buffer.alloc(0));
    else {
      this.#pieces.push(new Streamed(literal.size));
      this.#full.push(literal.sink);
    }
    return true;
  }
}

function take(literal: Incoming, part: Buffer): void {
  const { sink, parts, size, left } = literal;
  if (sink !== undefined) sink.write(part);
  else if (parts !== undefined) parts.push(part);
  else if (part.length === size) literal.whole = part;
  else {
    literal.whole ??= Buffer.allocUnsafe(size);
    literal.whole.set(part, size - left);
  }
}
