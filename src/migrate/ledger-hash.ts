// Short hashes of strings, seeded anew in every process, and compact hash tables of typed arrays.

import { randomBytes } from "node:crypto";

/** 64 bits as two unsigned words. */
export interface Hash64 {
  lo: number;
  hi: number;
}

// A seed that nobody outside can know: a server that picks its UIDLs cannot aim at a collision, and a chance one (2^-63 a
// pair) is gone with the next run. Two murmur-like lanes cost a tenth of a SHA-256 for strings this short.
const seeds = randomBytes(8);
const SEED_LO = seeds.readInt32LE(0);
const SEED_HI = seeds.readInt32LE(4);

function lane(text: string, seed: number, first: number, second: number): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) {
    let k = Math.imul(text.charCodeAt(i), first);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, second);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Writes the hash of a string into `out`: a caller in a loop brings its own and allocates nothing. */
export function hash64(text: string, out: Hash64): Hash64 {
  out.lo = lane(text, SEED_LO, 0xcc9e2d51, 0x1b873593);
  out.hi = lane(text, SEED_HI, 0x239b961b, 0xab0e9789);
  return out;
}

/** 32 bits of a string; never 0. */
export function hash32(text: string): number {
  return lane(text, SEED_LO ^ SEED_HI, 0x38b34ae5, 0xa1e38b93) || 1;
}

/**
 * Like hash64, but a plain decimal number (a UID, an offset) is kept as it is, so that two of them never collide; all other
 * ids have the highest bit clear.
 */
export function hashId(id: string, out: Hash64): Hash64 {
  if (id.length > 0 && id.length <= 15 && (id.length === 1 || id.charCodeAt(0) !== 48)) {
    let number = 0;
    let i = 0;
    for (; i < id.length; i++) {
      const digit = id.charCodeAt(i) - 48;
      if (digit < 0 || digit > 9) break;
      number = number * 10 + digit;
    }
    if (i === id.length) {
      out.lo = number >>> 0;
      out.hi = (Math.floor(number / 0x1_0000_0000) | 0x8000_0000) >>> 0;
      return out;
    }
  }
  hash64(id, out);
  out.hi &= 0x7fffffff;
  return out;
}

/** A slot number's raw material from two words and a salt. */
export function mix(lo: number, hi: number, salt: number): number {
  let h = lo ^ Math.imul(hi, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Rows by hash: open addressing, four octets a slot, at most three quarters full. Several rows may have one hash. */
export class RowIndex {
  readonly #hashOf: (row: number) => number;
  #slots = new Uint32Array(16);
  #used = 0;

  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf;
  }

  add(row: number): void {
    if ((this.#used + 1) * 4 > this.#slots.length * 3) {
      const old = this.#slots;
      this.#slots = new Uint32Array(old.length * 2);
      for (const entry of old) if (entry !== 0) this.#place(entry);
    }
    this.#place(row + 1);
    this.#used++;
  }

  /** Where to begin looking for a hash. */
  first(hash: number): number {
    return hash & (this.#slots.length - 1);
  }

  next(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }

  /** The row in a slot; -1 ends the search. */
  row(slot: number): number {
    return (this.#slots[slot] ?? 0) - 1;
  }

  #place(entry: number): void {
    let slot = this.first(this.#hashOf(entry - 1));
    while (this.#slots[slot] !== 0) slot = this.next(slot);
    this.#slots[slot] = entry;
  }
}

/** A set of 64-bit hashes, with room for what it once held. */
export class Hash64Set {
  #words = new Uint32Array(32);
  #size = 0;

  has(hash: Hash64): boolean {
    return this.#isTaken(this.#find(hash));
  }

  /** True when it was not in the set. */
  add(hash: Hash64): boolean {
    if ((this.#size + 1) * 8 > this.#words.length * 3) {
      const old = this.#words;
      this.#words = new Uint32Array(old.length * 2);
      for (let slot = 0; slot < old.length; slot += 2) {
        const entry = { lo: old[slot] ?? 0, hi: old[slot + 1] ?? 0 };
        if (entry.lo !== 0 || entry.hi !== 0) this.#put(this.#find(entry), entry);
      }
    }
    const slot = this.#find(hash);
    if (this.#isTaken(slot)) return false;
    this.#put(slot, hash);
    this.#size++;
    return true;
  }

  /** True when it was in the set. */
  delete(hash: Hash64): boolean {
    let hole = this.#find(hash);
    if (!this.#isTaken(hole)) return false;
    this.#size--;
    const mask = this.#words.length - 1;
    // Whoever stands behind the hole only since his own slot was taken moves up, or he would not be found any more.
    for (let slot = (hole + 2) & mask; this.#isTaken(slot); slot = (slot + 2) & mask) {
      const entry = { lo: this.#words[slot] ?? 0, hi: this.#words[slot + 1] ?? 0 };
      if (((slot - this.#home(entry)) & mask) < ((slot - hole) & mask)) continue;
      this.#put(hole, entry);
      hole = slot;
    }
    this.#words.fill(0, hole, hole + 2);
    return true;
  }

  clear(): void {
    if (this.#size > 0) this.#words = new Uint32Array(32);
    this.#size = 0;
  }

  #put(slot: number, hash: Hash64): void {
    this.#words[slot] = low(hash);
    this.#words[slot + 1] = hash.hi;
  }

  #isTaken(slot: number): boolean {
    return this.#words[slot] !== 0 || this.#words[slot + 1] !== 0;
  }

  #home(hash: Hash64): number {
    return (mix(low(hash), hash.hi, 0) << 1) & (this.#words.length - 1);
  }

  /** The slot that holds a hash, or the free one that it would take. */
  #find(hash: Hash64): number {
    const lo = low(hash);
    const mask = this.#words.length - 1;
    for (let slot = this.#home(hash); ; slot = (slot + 2) & mask)
      if (!this.#isTaken(slot) || (this.#words[slot] === lo && this.#words[slot + 1] === hash.hi)) return slot;
  }
}

/** Two zero words mean an empty slot: a hash of zero becomes one. */
function low({ lo, hi }: Hash64): number {
  return lo === 0 && hi === 0 ? 1 : lo;
}
