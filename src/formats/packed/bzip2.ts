// Undoing bzip2, a block at a time: what the format of 1996 is, without a library of its own.

import { InputWindow } from "./window.ts";

/** Symbols of the largest block. */
const UNIT = 100_000;
/** Octets that a block may take at the most: 20 bits a symbol, and its tables. */
const BLOCK_OCTETS = 2_400_000;
const OUT = 64 * 1024;
const LONGEST_CODE = 20;
const SYMBOLS_A_GROUP = 50;
const BLOCK_MARK = 0x314159265359;
const END_MARK = 0x177245385090;

/** Throws Error for damage, and for an end that comes too early. Holds one block, 6 MB, at a time. */
export async function* unpackBzip2(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new InputWindow(content);
  try {
    yield* streams(input);
  } finally {
    await input.close();
  }
}

async function* streams(input: InputWindow): AsyncGenerator<Uint8Array> {
  for (let isFirst = true; ; isFirst = false) {
    await input.fill(BLOCK_OCTETS);
    if (!isFirst && input.left === 0) return;
    if (input.octet() !== 0x42 || input.octet() !== 0x5a || input.octet() !== 0x68) throw new Error("no bzip2 stream");
    const level = input.octet() - 48;
    if (level < 1 || level > 9) throw new Error("a bzip2 stream of an unknown kind");
    const bits = new Bits(input);
    const space = new Uint32Array(level * UNIT);
    let combined = 0;
    for (;;) {
      await input.fill(BLOCK_OCTETS);
      const mark = bits.take(24) * 0x1000000 + bits.take(24);
      const crc = (bits.take(16) * 0x10000 + bits.take(16)) >>> 0;
      if (mark === END_MARK) {
        if (crc !== combined >>> 0) throw new Error("its checksum is wrong");
        break;
      }
      if (mark !== BLOCK_MARK) throw new Error("a damaged block");
      combined = ((combined << 1) | (combined >>> 31)) ^ crc;
      yield* block(bits, space, crc);
    }
  }
}

/** The bits of octets that are there, highest first. */
class Bits {
  readonly #input: InputWindow;
  #held = 0;
  #count = 0;

  constructor(input: InputWindow) {
    this.#input = input;
  }

  /** Up to 24. */
  take(count: number): number {
    while (this.#count < count) {
      this.#held = ((this.#held << 8) | this.#input.octet()) >>> 0;
      this.#count += 8;
    }
    this.#count -= count;
    const value = (this.#held >>> this.#count) & ((1 << count) - 1);
    this.#held &= (1 << this.#count) - 1;
    return value;
  }

  /** The next SHORT bits, with zeros for those behind the end; they stay. */
  peek(): number {
    while (this.#count < SHORT && this.#input.left > 0) {
      this.#held = (this.#held << 8) | this.#input.octet();
      this.#count += 8;
    }
    const beyond = this.#count - SHORT;
    return beyond >= 0 ? this.#held >>> beyond : this.#held << -beyond;
  }
}

/** Codes up to this many bits are looked up at once. */
const SHORT = 10;

/** A canonical Huffman code. */
interface Code {
  /** The largest code of each length, and what to take off one to have its place in `symbols`. */
  readonly limit: Int32Array;
  readonly base: Int32Array;
  readonly symbols: Uint16Array;
  /** By the next SHORT bits: the symbol times 32, and the length of its code; 0 for those that are longer. */
  readonly short: Uint16Array;
}

function* block(bits: Bits, space: Uint32Array, crc: number): Generator<Uint8Array> {
  if (bits.take(1) === 1) throw new Error("a block of a kind that is no longer made");
  const origin = bits.take(24);
  const octets = usedOctets(bits);
  const { codes, selectors } = readCodes(bits, octets.length + 2);
  const count = readSymbols(bits, space, octets, codes, selectors);
  if (origin >= count) throw new Error("a damaged block");
  yield* restore(space, count, origin, crc);
}

function usedOctets(bits: Bits): Uint8Array {
  const rows = bits.take(16);
  const octets: number[] = [];
  for (let row = 0; row < 16; row++) {
    if (((rows >> (15 - row)) & 1) === 0) continue;
    const used = bits.take(16);
    for (let i = 0; i < 16; i++) if ((used >> (15 - i)) & 1) octets.push(row * 16 + i);
  }
  if (octets.length === 0) throw new Error("a damaged block");
  return Uint8Array.from(octets);
}

function readCodes(bits: Bits, symbols: number): { codes: readonly Code[]; selectors: Uint8Array } {
  const groups = bits.take(3);
  const selectors = new Uint8Array(bits.take(15));
  if (groups < 2 || groups > 6 || selectors.length === 0) throw new Error("a damaged block");
  const order = Array.from({ length: groups }, (_, i) => i);
  for (let i = 0; i < selectors.length; i++) {
    let at = 0;
    while (bits.take(1) === 1) if (++at >= groups) throw new Error("a damaged block");
    const [group = 0] = order.splice(at, 1);
    order.unshift(group);
    selectors[i] = group;
  }
  const codes = order.map(() => {
    const lengths = new Uint8Array(symbols);
    let length = bits.take(5);
    for (let i = 0; i < symbols; i++) {
      for (;;) {
        if (length < 1 || length > LONGEST_CODE) throw new Error("a damaged block");
        if (bits.take(1) === 0) break;
        length += bits.take(1) === 0 ? 1 : -1;
      }
      lengths[i] = length;
    }
    return codeOf(lengths);
  });
  return { codes, selectors };
}

function codeOf(lengths: Uint8Array): Code {
  const limit = new Int32Array(LONGEST_CODE + 1).fill(-1);
  const base = new Int32Array(LONGEST_CODE + 1);
  const symbols = new Uint16Array(lengths.length);
  const short = new Uint16Array(1 << SHORT);
  let at = 0;
  let code = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    base[length] = code - at;
    for (let i = 0; i < lengths.length; i++)
      if (lengths[i] === length) {
        symbols[at++] = i;
        const first = code++ << (SHORT - length);
        if (length <= SHORT) short.fill(i * 32 + length, first, first + (1 << (SHORT - length)));
      }
    limit[length] = code - 1;
    code <<= 1;
  }
  return { limit, base, symbols, short };
}

/** Undoes the Huffman codes, the runs of zeros and move-to-front; gives how many symbols the block has. */
function readSymbols(
  bits: Bits,
  space: Uint32Array,
  octets: Uint8Array,
  codes: readonly Code[],
  selectors: Uint8Array,
): number {
  const end = octets.length + 1;
  let count = 0;
  let run = 0;
  let weight = 1;
  for (const selector of selectors) {
    const code = codes[selector];
    if (code === undefined) break;
    for (let i = 0; i < SYMBOLS_A_GROUP; i++) {
      const symbol = readSymbol(bits, code);
      if (symbol <= 1) {
        run += weight << symbol;
        weight *= 2;
        if (run > space.length) throw new Error("a damaged block");
        continue;
      }
      if (run > 0) {
        if (count + run > space.length) throw new Error("a damaged block");
        space.fill(octets[0] ?? 0, count, count + run);
        count += run;
        run = 0;
        weight = 1;
      }
      if (symbol === end) return count;
      const place = symbol - 1;
      const octet = octets[place];
      if (octet === undefined || count >= space.length) throw new Error("a damaged block");
      octets.copyWithin(1, 0, place);
      octets[0] = octet;
      space[count++] = octet;
    }
  }
  throw new Error("a block without an end");
}

function readSymbol(bits: Bits, { limit, base, symbols, short }: Code): number {
  const found = short[bits.peek()] ?? 0;
  if (found > 0) {
    bits.take(found & 31);
    return found >> 5;
  }
  let code = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    code = (code << 1) | bits.take(1);
    if (code > (limit[length] ?? -1)) continue;
    const symbol = symbols[code - (base[length] ?? 0)];
    if (symbol !== undefined) return symbol;
  }
  throw new Error("a damaged block");
}

/** Undoes the Burrows-Wheeler transform, and the runs that were taken out before it. */
function* restore(space: Uint32Array, count: number, origin: number, crc: number): Generator<Uint8Array> {
  const starts = startsOf(space, count);
  // Beside its octet, each place holds which one comes next.
  for (let i = 0; i < count; i++) {
    const octet = (space[i] ?? 0) & 255;
    const to = starts[octet] ?? 0;
    starts[octet] = to + 1;
    space[to] = ((space[to] ?? 0) & 255) | (i << 8);
  }
  let out = Buffer.allocUnsafe(OUT);
  let filled = 0;
  let sum = -1;
  let last = -1;
  let same = 0;
  let next = (space[origin] ?? 0) >>> 8;
  for (let i = 0; i < count; i++) {
    const place = space[next] ?? 0;
    const octet = place & 255;
    next = place >>> 8;
    let times = 1;
    let shown = octet;
    if (same === 4) {
      // After four alike it says how many more there are.
      times = octet;
      shown = last;
      same = 0;
    } else {
      same = octet === last ? same + 1 : 1;
      last = octet;
    }
    for (; times > 0; times--) {
      sum = (sum << 8) ^ (CRC[((sum >>> 24) ^ shown) & 255] ?? 0);
      out[filled++] = shown;
      if (filled < OUT) continue;
      yield out;
      out = Buffer.allocUnsafe(OUT);
      filled = 0;
    }
  }
  if (~sum >>> 0 !== crc) throw new Error("a block's checksum is wrong");
  if (filled > 0) yield out.subarray(0, filled);
}

/** Where the octets of each value begin when all are sorted. */
function startsOf(space: Uint32Array, count: number): Uint32Array {
  const starts = new Uint32Array(257);
  for (let i = 0; i < count; i++) {
    const behind = ((space[i] ?? 0) & 255) + 1;
    starts[behind] = (starts[behind] ?? 0) + 1;
  }
  for (let octet = 1; octet < 257; octet++) starts[octet] = (starts[octet] ?? 0) + (starts[octet - 1] ?? 0);
  return starts;
}

/** CRC-32 with the highest bit first. */
const CRC = Int32Array.from({ length: 256 }, (_, octet) => {
  let value = octet << 24;
  for (let bit = 0; bit < 8; bit++) value = (value << 1) ^ (value < 0 ? 0x04c11db7 : 0);
  return value;
});
