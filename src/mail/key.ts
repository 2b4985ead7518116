// The content key and the shape of a message, taken while its bytes stream by.

import { createHash, hash } from "node:crypto";
import { FOLD_WINDOW, foldInto, windowEnd } from "./fold.ts";

/**
 * SHA-256 (lower-case hex) of the bytes with every run of CR before LF folded to LF and a missing last newline added (never
 * a trailing one removed): the same message has the same key in every store.
 */
export type ContentKey = string & { readonly ContentKey: unique symbol };

/** What staging learned about the bytes; enough to compute every form that a store may give them without reading again. */
export interface Shape {
  /** Octets as they are. */
  readonly size: number;
  /** Every LF, whether or not a CR stands before it. */
  readonly lines: number;
  /** Those LFs that have a CR directly before them. */
  readonly crlf: number;
  /** CRs that are not directly before an LF (in `\r\r\n` the first one). */
  readonly strayCr: number;
  readonly hasNul: boolean;
  /** Whether the last octet is an LF. */
  readonly finalNewline: boolean;
}

/** True when storing with LF line ends can be undone exactly: every LF had its CR and no CR stood alone. */
export function reversible(shape: Shape): boolean {
  return shape.crlf === shape.lines && shape.strayCr === 0;
}

/** Octets when every bare LF is sent as CRLF, as IMAP and POP3 demand. */
export function wireSize(shape: Shape): number {
  return shape.size + shape.lines - shape.crlf;
}

/** The sizes that a store may report for a copy of these bytes, whatever it did to line ends. */
export function plausibleSizes(shape: Shape): ReadonlySet<number> {
  const { size, lines, crlf, strayCr, finalNewline } = shape;
  const sizes = new Set<number>();
  for (const base of [size, size + lines - crlf, size - crlf, size - strayCr, size + lines - crlf - strayCr]) {
    sizes.add(base);
    if (!finalNewline) sizes.add(base + 1).add(base + 2);
  }
  return sizes;
}

const CR = 13;
const LF = 10;
/** What is written here is hashed before anybody else writes. */
const scratch = Buffer.allocUnsafeSlow(FOLD_WINDOW);

export class KeyHasher {
  readonly #hash = createHash("sha256");
  #size = 0;
  #lines = 0;
  #crlf = 0;
  #strayCr = 0;
  #hasNul = false;
  #last = -1;
  /** CRs at the end of what was seen: whether they fold is known only with the next octet. */
  #pendingCr = 0;

  update(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#size += buffer.length;
    this.#last = buffer[buffer.length - 1] ?? -1;

    let start = 0;
    if (this.#pendingCr > 0) {
      while (start < buffer.length && buffer[start] === CR) start++;
      this.#pendingCr += start;
      if (start === buffer.length) return;
      if (buffer[start] === LF) {
        this.#crlf++;
        this.#strayCr += this.#pendingCr - 1;
      } else {
        this.#strayCr += this.#pendingCr;
        this.#hash.update("\r".repeat(this.#pendingCr));
      }
      this.#pendingCr = 0;
    }
    let end = buffer.length;
    while (end > start && buffer[end - 1] === CR) end--;
    this.#pendingCr = buffer.length - end;

    const body = buffer.subarray(start, end);
    for (let from = 0; from < body.length; ) {
      const to = windowEnd(body, from);
      from = to === from ? this.#skipRun(body, from) : this.#fold(body.subarray(from, to), to);
    }
  }

  /** One window. Gives back where the next begins. */
  #fold(window: Buffer, next: number): number {
    const { length, lines, crlf, doubled, stray, hasNul } = foldInto(scratch, window);
    this.#lines += lines;
    this.#crlf += crlf;
    this.#strayCr += doubled + stray;
    this.#hasNul ||= hasNul;
    this.#hash.update(crlf === 0 ? window : scratch.subarray(0, length));
    return next;
  }

  /** A run of CR that is longer than a window; something else stands behind it. Gives back where that is. */
  #skipRun(body: Buffer, from: number): number {
    let to = from;
    while (body[to] === CR) to++;
    const isFolded = body[to] === LF;
    if (isFolded) this.#crlf++;
    else this.#hash.update(body.subarray(from, to));
    this.#strayCr += to - from - (isFolded ? 1 : 0);
    return to;
  }

  /** Call once, after the last update. */
  digest(): { key: ContentKey; shape: Shape } {
    // A trailing run of CR stands before the newline that is added, and so folds into it.
    this.#strayCr += this.#pendingCr;
    if (this.#last !== LF) this.#hash.update("\n");
    return {
      key: this.#hash.digest("hex") as ContentKey,
      shape: {
        size: this.#size,
        lines: this.#lines,
        crlf: this.#crlf,
        strayCr: this.#strayCr,
        hasNul: this.#hasNul,
        finalNewline: this.#last === LF,
      },
    };
  }
}

/**
 * The same for a content that is in memory, in one look. `folded`: its form with LF line ends, where that can be undone exactly
 * and is another; only where it is asked for. It lies in `room`, where that is given; then that has at least as many octets.
 */
export function keyOfBytes(
  bytes: Uint8Array,
  keepsFolded = true,
  room?: Buffer,
): { key: ContentKey; shape: Shape; folded?: Uint8Array } {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = buffer.length;
  // Line ends of several kinds are rare, and KeyHasher knows them all.
  if (buffer[size - 1] !== LF) return keyOfOdd(buffer);
  if (buffer[size - 2] !== CR) {
    const { lines, crlf, stray, hasNul } = foldInto(undefined, buffer);
    if (crlf > 0 || stray > 0) return keyOfOdd(buffer);
    return { key: digest(buffer), shape: { size, lines, crlf, strayCr: 0, hasNul, finalNewline: true } };
  }
  if (!keepsFolded && size > FOLD_WINDOW) return keyOfOdd(buffer);
  const space = keepsFolded ? (room ?? Buffer.allocUnsafe(size)) : scratch;
  const { length, lines, crlf, doubled, stray, hasNul } = foldInto(space, buffer);
  if (doubled > 0 || stray > 0) return keyOfOdd(buffer);
  const folded = space.subarray(0, length);
  const shape = { size, lines, crlf, strayCr: 0, hasNul, finalNewline: true };
  return { key: digest(folded), shape, ...(keepsFolded && reversible(shape) ? { folded } : {}) };
}

/** In one call: for a small message, making a hash that takes pieces costs a fifth of the hashing. */
function digest(bytes: Uint8Array): ContentKey {
  return hash("sha256", bytes, "hex") as ContentKey;
}

function keyOfOdd(bytes: Uint8Array): { key: ContentKey; shape: Shape } {
  const hasher = new KeyHasher();
  hasher.update(bytes);
  return hasher.digest();
}

/** Reads a whole content once. Throws what the iterable throws. */
export async function keyOf(content: AsyncIterable<Uint8Array>): Promise<{ key: ContentKey; shape: Shape }> {
  const hasher = new KeyHasher();
  for await (const chunk of content) hasher.update(chunk);
  return hasher.digest();
}
