// Octets and texts for the fuzzers: parts that parsers stumble over, and valid input changed a little.

import type { Random } from "../kit/random.ts";

/** So many times, or up to so many. */
export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

export function octets(random: Random, most: number): Buffer {
  return Buffer.from(times(random.upTo(most + 1), () => random.upTo(256)));
}

export function textOf(random: Random, parts: readonly string[], most: number): string {
  return times(random.upTo(most + 1), () => random.pick(parts)).join("");
}

/** Characters that names are made of, and that programs and systems make something else of. */
const ODD_PARTS: readonly string[] = [
  ..."abzAZ09 .-_~&/\\:;,+*?%!|<>\"'()[]{}$#@^=",
  "..",
  "/../",
  "INBOX",
  "inbox",
  "CON",
  "nul.txt",
  "manifest.jsonl",
  ".mbox",
  "&-",
  "&AGE-",
  "%2F",
  "\\2e",
  "\0",
  "\r\n",
  "\t",
  "\x1b[2J",
  "\x7f",
  "\x9b",
  "ä",
  "a\u0308",
  "\u00c4",
  "ß",
  "İ",
  "日本",
  "😀",
  "\u200b",
  "\u200d",
  "\u202e",
  "\u2028",
  "\ufeff",
  "\ufffd",
  "\ud800",
  "\udc00",
  "x".repeat(100),
  "ü".repeat(60),
];

export function oddText(random: Random, most = 8): string {
  return textOf(random, ODD_PARTS, most);
}

export function oddPath(random: Random): readonly string[] {
  return times(1 + random.upTo(4), () => oddText(random));
}

/** The input in pieces, cut anywhere; some of them are empty or a single octet. */
export function cutUp(random: Random, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  const step = random.pick(bytes.length > 5_000 ? [64, 1000, 100_000] : [1, 2, 7, 64, 1000]);
  for (let at = 0; at < bytes.length; ) {
    const next = Math.min(bytes.length, at + random.upTo(step + 1));
    // A copy: who is given a piece may write over it.
    pieces.push(Buffer.from(bytes.subarray(at, next)));
    at = next;
  }
  return pieces;
}

/** One to a few changes: octets flipped, taken out, put in or repeated, the end cut off, another input's part put in. */
export function mutate(random: Random, bytes: Buffer, words: readonly string[], other: Buffer = bytes): Buffer {
  let current = bytes;
  for (let changes = 1 + random.upTo(4); changes > 0; changes--) {
    const at = random.upTo(current.length + 1);
    const end = Math.min(current.length, at + random.upTo(random.pick([2, 8, 200])));
    const head = current.subarray(0, at);
    const tail = current.subarray(end);
    switch (random.upTo(7)) {
      case 0: {
        current = Buffer.from(current);
        if (at < current.length) current[at] = (current[at] ?? 0) ^ (1 << random.upTo(8));
        break;
      }
      case 1:
        current = Buffer.concat([head, tail]);
        break;
      case 2:
        current = Buffer.concat([head, Buffer.from(random.pick(words), "latin1"), current.subarray(at)]);
        break;
      case 3:
        current = Buffer.concat([head, Buffer.from(random.pick(words), "latin1"), tail]);
        break;
      case 4:
        current = Buffer.concat([head, ...times(1 + random.upTo(30), () => current.subarray(at, end)), tail]);
        break;
      case 5: {
        const from = random.upTo(other.length + 1);
        current = Buffer.concat([head, other.subarray(from, from + random.upTo(300)), tail]);
        break;
      }
      default:
        if (random.chance(0.3)) current = head;
    }
  }
  return current;
}
