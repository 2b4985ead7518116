// Whether a content is as large as its server announced it, within what servers count otherwise than they send.

import { standIn } from "./instead.ts";
import type { Shape } from "./key.ts";

/** Line ends apart: a last CRLF that is missing or added. */
const END = 2;
/** A header field that a server writes as it gives the message out, and does not count. Whatever wraps a message adds more. */
const NOTE = 128;
/** Messages that show a habit. */
const FEW = 3;
const SEVERAL = 8;
/** Of those that differ, so many are kept. */
const KEPT = 64;
/** What is rounded is rounded to one of these, or to a multiple of the last. */
const UNITS = [1024, 1000, 512, 100];
/** The largest estimate for a content: base64 that is decoded when it is given out, and something beside it. */
const ESTIMATE = 1.5;

interface Pair {
  readonly announced: number;
  readonly size: number;
  readonly lines: number;
}

/** One server's habits, over a run. */
export class Announced {
  #right = 0;
  readonly #odd: Pair[] = [];

  /**
   * What is wrong with a content; undefined where it is as large as announced, or differs from that in a way in which all of this
   * server's do.
   */
  doubt(announced: number, { size, lines }: Shape, head: Uint8Array): string | undefined {
    if (announced === size) {
      this.#right++;
      return undefined;
    }
    const instead = standIn(head);
    if (instead !== undefined) return `the server gives something else in place of this message: ${instead}`;
    const pair = { announced, size, lines };
    if (this.note(pair) || this.isUsual(pair)) return undefined;
    return `the server announced ${announced} octets of this message and gave ${size}`;
  }

  /** Learns from a message that is known to be whole, or is judged now. True when its line ends explain the difference. */
  note(pair: Pair): boolean {
    const isRight = explained(pair);
    if (isRight) this.#right++;
    else if (this.#odd.length < KEPT) this.#odd.push(pair);
    return isRight;
  }

  /** Whether the server's other sizes differ in the same way. */
  isUsual(pair: Pair): boolean {
    const odd = this.#odd;
    if (this.#right === 0 && odd.length >= FEW && isBothWays(odd)) return true;
    // From one size all habits look alike.
    const differing = new Set(odd.map(({ announced }) => announced)).size;
    if (differing < FEW) return false;
    return (
      isRounded(odd) ||
      odd.filter((other) => other.announced !== pair.announced && sameOffset(other, pair)).length >= FEW - 1 ||
      (this.#right === 0 && differing >= SEVERAL && odd.every(isEstimate))
    );
  }
}

function explained({ announced, size, lines }: Pair): boolean {
  // Nobody who knew it would announce nothing.
  if (announced === 0) return size <= END;
  return announced > size ? announced - size <= lines + END : size - announced <= lines + END + NOTE;
}

function sameOffset(one: Pair, other: Pair): boolean {
  const difference = one.announced - one.size - (other.announced - other.size);
  return Math.abs(difference) <= END;
}

function isRounded(pairs: readonly Pair[]): boolean {
  return UNITS.some((unit) =>
    pairs.every(
      ({ announced, size, lines }) => announced % unit === 0 && Math.abs(announced - size) <= unit + lines + END,
    ),
  );
}

/** Too small for some and too large for others: numbers that mean nothing. What cuts messages makes all of them smaller. */
function isBothWays(pairs: readonly Pair[]): boolean {
  return pairs.some(({ announced, size }) => announced < size) && pairs.some(({ announced, size }) => announced > size);
}

function isEstimate({ announced, size }: Pair): boolean {
  return announced <= size * ESTIMATE + NOTE;
}
