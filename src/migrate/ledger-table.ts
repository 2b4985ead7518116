// The ledger in memory: 32 to 44 octets a record in typed arrays, found by origin, and by receipt once somebody asks.

import { Column, FIRST, SEGMENT, SEGMENT_BITS } from "./ledger-column.ts";
import { type Hash64, Hash64Set, hash64, hashId, mix, RowIndex } from "./ledger-hash.ts";

/** What a row stands for; `none`: an origin of which only its bits or its day are kept. */
export const STATE = { none: 0, done: 1, altered: 2, removed: 3, failed: 4 } as const;
const NAMES = ["none", "done", "altered", "removed", "failed"] as const;

/** Bits of a row, beside its state (three bits) and its flags (five). */
export const BIT = {
  /** It has a receipt. */
  receipt: 1 << 8,
  /** Its origin was met in this run. */
  listed: 1 << 9,
  settled: 1 << 10,
  /** Somebody is taking it over. */
  taken: 1 << 11,
  /** A done record is behind it (also when its origin was removed since). */
  record: 1 << 12,
  /** Its first-seen day is already written in the file that a compaction makes. */
  written: 1 << 13,
  /** It is in the index by key. */
  chained: 1 << 14,
  /** Its removal at the source was begun. */
  marked: 1 << 15,
  /** Its receipt was claimed in this run. */
  claimed: 1 << 16,
} as const;

// Words of a row. Bits and the high part of the offset share one: 2^44 octets of journal are enough.
const ID_LO = 0;
const KEY_LO = 1;
const KEY_HI = 2;
const RECEIPT_LO = 3;
const RECEIPT_HI = 4;
const OFFSET_LO = 5;
const BITS = 6;
const SEEN = 7;
const WORDS = 8;
const OFFSET_SHIFT = 20;
const LOW_BITS = (1 << OFFSET_SHIFT) - 1;

export class LedgerTable {
  /** Segments are never copied but the first one, so growing has no peak. */
  readonly #segments: Uint32Array[] = [];
  /** The high word of the id's hash, which all numbers up to 2^32 share. */
  readonly #idHigh = new Column();
  readonly #scopes = new Column();
  readonly #traits = new Column();
  /** Octets announced, plus one; 0 where they are not known, or not kept. */
  readonly #announced = new Column();
  #count = 0;
  #size = 0;
  /** Rows that are done or altered and whose origin was not met in this run. */
  #unlisted = 0;
  readonly #origins = new RowIndex((row) => mix(this.#get(row, ID_LO), this.#idHigh.get(row), this.#scopes.get(row)));
  /** Made when the first receipt is looked for, which a first run never does; kept up to date from then on. */
  #receipts: RowIndex | undefined;
  /**
   * Receipts that were claimed in this run and that no row had since. The claim of a row's own receipt is a bit of the row, so
   * that this stays as small as what is under way.
   */
  readonly #claimed = new Hash64Set();
  readonly #hash: Hash64 = { lo: 0, hi: 0 };

  /** Rows, of whatever state. */
  get count(): number {
    return this.#count;
  }

  /** Rows that are done or altered. */
  get size(): number {
    return this.#size;
  }

  /** Rows that are done or altered and whose origin was not met in this run: what there is to take over. */
  get unlisted(): number {
    return this.#unlisted;
  }

  /** Rows that are done or altered and have no receipt. */
  nameless(): number {
    let count = 0;
    for (let row = 0; row < this.#count; row++)
      if (isHeld(this.state(row)) === 1 && !this.has(row, BIT.receipt)) count++;
    return count;
  }

  /** The row of an origin; -1 when there is none. */
  find(scope: number, id: string): number {
    const { lo, hi } = hashId(id, this.#hash);
    const index = this.#origins;
    for (let slot = index.first(mix(lo, hi, scope)); ; slot = index.next(slot)) {
      const row = index.row(slot);
      if (row < 0) return -1;
      if (this.#get(row, ID_LO) === lo && this.#idHigh.get(row) === hi && this.#scopes.get(row) === scope) return row;
    }
  }

  /** The row of an origin, made when there is none. */
  ensure(scope: number, id: string): number {
    const found = this.find(scope, id);
    if (found >= 0) return found;
    const row = this.#append();
    // `find` left the hash of this id behind.
    this.#set(row, ID_LO, this.#hash.lo);
    this.#idHigh.add(row, this.#hash.hi);
    this.#scopes.add(row, scope);
    this.#traits.add(row, 0);
    this.#announced.add(row, 0);
    this.#origins.add(row);
    return row;
  }

  state(row: number): number {
    return this.#get(row, BITS) & 7;
  }

  stateName(row: number): (typeof NAMES)[number] {
    return NAMES[this.state(row)] ?? "none";
  }

  setState(row: number, state: number): void {
    const change = isHeld(state) - isHeld(this.state(row));
    this.#size += change;
    if (!this.has(row, BIT.listed)) this.#unlisted += change;
    this.#set(row, BITS, (this.#get(row, BITS) & ~7) | state);
  }

  has(row: number, bit: number): boolean {
    return (this.#get(row, BITS) & bit) !== 0;
  }

  /** Sets or clears a bit; true when that changed it. */
  mark(row: number, bit: number, on = true): boolean {
    const bits = this.#get(row, BITS);
    const next = on ? bits | bit : bits & ~bit;
    this.#set(row, BITS, next);
    const changed = next >>> 0 !== bits;
    if (changed && bit === BIT.listed) this.#unlisted -= isHeld(this.state(row)) * (on ? 1 : -1);
    return changed;
  }

  scope(row: number): number {
    return this.#scopes.get(row);
  }

  flags(row: number): number {
    return (this.#get(row, BITS) >>> 3) & 31;
  }

  /** The hash of keywords and labels; 0 where there are none. */
  traits(row: number): number {
    return this.#traits.get(row);
  }

  setTraits(row: number, flags: number, traits: number): void {
    this.#set(row, BITS, (this.#get(row, BITS) & ~(31 << 3)) | (flags << 3));
    this.#traits.set(row, traits);
  }

  announced(row: number): number | undefined {
    const value = this.#announced.get(row);
    return value === 0 ? undefined : value - 1;
  }

  /** What does not fit (4 GB and more) is not known. */
  setAnnounced(row: number, octets: number | undefined): void {
    this.#announced.set(row, octets === undefined || octets >= 0xffff_ffff ? 0 : octets + 1);
  }

  offset(row: number): number {
    return (this.#get(row, BITS) >>> OFFSET_SHIFT) * 0x1_0000_0000 + this.#get(row, OFFSET_LO);
  }

  setOffset(row: number, offset: number): void {
    const high = Math.floor(offset / 0x1_0000_0000);
    this.#set(row, OFFSET_LO, offset);
    this.#set(row, BITS, (this.#get(row, BITS) & LOW_BITS) | (high << OFFSET_SHIFT));
  }

  /** Epoch seconds; undefined when no day is known. */
  seen(row: number): number | undefined {
    const value = this.#get(row, SEEN);
    return value === 0 ? undefined : value - 1;
  }

  setSeen(row: number, seconds: number | undefined): void {
    this.#set(row, SEEN, seconds === undefined ? 0 : Math.min(Math.max(0, Math.floor(seconds)) + 1, 0xffff_ffff));
  }

  /** 32 bits of the hash of the row's key, for chains. Seeded a process: nobody can aim at one. */
  keyWord(row: number): number {
    return this.#get(row, KEY_LO);
  }

  /** True when the hash of the row's key is this one. Its record alone can tell for certain. */
  hasKey(row: number, { lo, hi }: Hash64): boolean {
    return this.#get(row, KEY_LO) === lo && this.#get(row, KEY_HI) === hi;
  }

  setKey(row: number, key: string): void {
    const { lo, hi } = hash64(key, this.#hash);
    this.#set(row, KEY_LO, lo);
    this.#set(row, KEY_HI, hi);
  }

  /** True when it had another one, or none. */
  setReceipt(row: number, ref: string | undefined): boolean {
    if (ref === undefined) {
      this.#clearReceipt(row);
      return false;
    }
    const hash = hash64(ref, this.#hash);
    const isNew = !this.#hasReceipt(row, hash);
    if (isNew) {
      this.#clearReceipt(row);
      this.#set(row, RECEIPT_LO, hash.lo);
      this.#set(row, RECEIPT_HI, hash.hi);
      this.mark(row, BIT.receipt);
      // The slot of an older receipt stays and matches nothing any more.
      this.#receipts?.add(row);
    }
    if (this.#claimed.delete(hash)) this.mark(row, BIT.claimed);
    return isNew;
  }

  /** A claim outlives the record of it. */
  #clearReceipt(row: number): void {
    if (this.has(row, BIT.claimed)) this.#claimed.add(this.#receiptOf(row));
    this.mark(row, BIT.claimed, false);
    this.mark(row, BIT.receipt, false);
  }

  /** True when a row has this receipt or somebody claimed it. */
  holds(ref: string): boolean {
    const hash = hash64(ref, this.#hash);
    return this.#claimed.has(hash) || this.#holder(hash);
  }

  /** True for the first claim of a receipt that no row holds. */
  claim(ref: string): boolean {
    const hash = hash64(ref, this.#hash);
    return !this.#holder(hash) && this.#claimed.add(hash);
  }

  /** Claims it whoever holds it. */
  claimAnyway(ref: string): void {
    this.#claimed.add(hash64(ref, this.#hash));
  }

  /** Gives every claim back that no row holds. */
  unclaim(): void {
    this.#claimed.clear();
    for (let row = 0; row < this.#count; row++) this.mark(row, BIT.claimed, false);
  }

  /** Every row becomes `none` and keeps its day; every receipt is free. */
  forget(): void {
    for (let row = 0; row < this.#count; row++) {
      this.setState(row, STATE.none);
      this.#set(row, BITS, this.#get(row, BITS) & ~(BIT.record | BIT.receipt | BIT.claimed | BIT.taken));
    }
    this.#receipts = undefined;
    this.#claimed.clear();
  }

  #holder(hash: Hash64): boolean {
    this.#receipts ??= this.#receiptIndex();
    const index = this.#receipts;
    for (let slot = index.first(mix(hash.lo, hash.hi, 0)); ; slot = index.next(slot)) {
      const row = index.row(slot);
      if (row < 0) return false;
      if (this.#hasReceipt(row, hash)) return true;
    }
  }

  #receiptIndex(): RowIndex {
    const index = new RowIndex((row) => mix(this.#get(row, RECEIPT_LO), this.#get(row, RECEIPT_HI), 0));
    for (let row = 0; row < this.#count; row++) if (this.has(row, BIT.receipt)) index.add(row);
    return index;
  }

  #hasReceipt(row: number, { lo, hi }: Hash64): boolean {
    return this.has(row, BIT.receipt) && this.#get(row, RECEIPT_LO) === lo && this.#get(row, RECEIPT_HI) === hi;
  }

  #receiptOf(row: number): Hash64 {
    return { lo: this.#get(row, RECEIPT_LO), hi: this.#get(row, RECEIPT_HI) };
  }

  #append(): number {
    const row = this.#count++;
    const within = row & (SEGMENT - 1);
    const at = row >>> SEGMENT_BITS;
    const segment = this.#segments[at];
    if (segment === undefined) this.#segments.push(new Uint32Array((at === 0 ? FIRST : SEGMENT) * WORDS));
    else if (within * WORDS >= segment.length) {
      const larger = new Uint32Array(segment.length * 2);
      larger.set(segment);
      this.#segments[at] = larger;
    }
    return row;
  }

  #get(row: number, word: number): number {
    return this.#segments[row >>> SEGMENT_BITS]?.[(row & (SEGMENT - 1)) * WORDS + word] ?? 0;
  }

  #set(row: number, word: number, value: number): void {
    const segment = this.#segments[row >>> SEGMENT_BITS];
    if (segment !== undefined) segment[(row & (SEGMENT - 1)) * WORDS + word] = value;
  }
}

function isHeld(state: number): number {
  return state === STATE.done || state === STATE.altered ? 1 : 0;
}
