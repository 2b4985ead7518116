// Messages of one folder by content key, compact enough for a million of them, each taken once.

import type { ContentKey } from "../mail/key.ts";
import type { SystemFlag, Traits } from "../mail/model.ts";
import { SYSTEM_FLAGS } from "../mail/model.ts";

/** What of the key is kept: 128 bits tell any two messages apart. */
const KEY_WORDS = 4;
const NO_DATE = Number.NaN;
const MISDATED = Number.POSITIVE_INFINITY;

/** Of a row's flags: it was left out by choice. */
const OUTSIDE = 1 << 7;

export interface Row {
  readonly index: number;
  readonly traits: Traits;
  readonly id: number;
  /** As it was added. */
  readonly isOutside: boolean;
}

/** An open-addressing table over typed arrays: about 45 bytes a message. */
export class KeyTable {
  #count = 0;
  #capacity = 1024;
  #keys = new Uint32Array(this.#capacity * KEY_WORDS);
  #ids = new Uint32Array(this.#capacity);
  #flags = new Uint8Array(this.#capacity);
  #words = new Uint32Array(this.#capacity);
  #dates = new Float64Array(this.#capacity);
  #taken = new Uint8Array(this.#capacity);
  /** The next row of the same bucket, plus one. */
  #next = new Uint32Array(this.#capacity);
  #heads = new Uint32Array(this.#capacity);
  readonly #wordSets: { keywords: ReadonlySet<string>; labels: ReadonlySet<string> }[] = [];
  readonly #wordIndex = new Map<string, number>();

  get size(): number {
    return this.#count;
  }

  /** `id`: a hash of the Message-ID, 0 for none. `isOutside`: where nobody takes it, nobody misses that. Returns the row. */
  add(key: ContentKey, traits: Traits, id: number, isOutside = false): number {
    if (this.#count === this.#capacity) this.#grow();
    const row = this.#count++;
    for (let w = 0; w < KEY_WORDS; w++)
      this.#keys[row * KEY_WORDS + w] = Number.parseInt(key.slice(w * 8, w * 8 + 8), 16);
    this.#ids[row] = id;
    const bits = SYSTEM_FLAGS.reduce((all, flag, bit) => (traits.flags.has(flag) ? all | (1 << bit) : all), 0);
    this.#flags[row] = isOutside ? bits | OUTSIDE : bits;
    this.#words[row] = this.#intern(traits);
    this.#dates[row] = traits.misdated === true ? MISDATED : (traits.received?.epochSeconds ?? NO_DATE);
    this.#link(row);
    return row;
  }

  /** The rows of this key that are not taken. */
  *find(key: ContentKey): Generator<Row> {
    const words = Array.from({ length: KEY_WORDS }, (_, w) => Number.parseInt(key.slice(w * 8, w * 8 + 8), 16));
    for (let row = (this.#heads[this.#bucket(words[0] ?? 0)] ?? 0) - 1; row >= 0; row = (this.#next[row] ?? 0) - 1)
      if (this.#taken[row] === 0 && words.every((word, w) => this.#keys[row * KEY_WORDS + w] === word))
        yield this.#row(row);
  }

  take(row: number): void {
    this.#taken[row] = 1;
  }

  /** Every row that nobody took, with its Message-ID hash. */
  *left(): Generator<Row> {
    for (let row = 0; row < this.#count; row++) if (this.#taken[row] === 0) yield this.#row(row);
  }

  /** Every row as it was added, its key cut to the 128 bits that are kept. */
  *entries(): Generator<{ readonly key: ContentKey; readonly id: number }> {
    for (let row = 0; row < this.#count; row++) {
      const words = this.#keys.subarray(row * KEY_WORDS, (row + 1) * KEY_WORDS);
      const key = [...words].map((word) => word.toString(16).padStart(8, "0")).join("") as ContentKey;
      yield { key, id: this.#ids[row] ?? 0 };
    }
  }

  #row(row: number): Row {
    const bits = this.#flags[row] ?? 0;
    const date = this.#dates[row] ?? NO_DATE;
    const received: Pick<Traits, "received" | "misdated"> = Number.isNaN(date)
      ? {}
      : date === MISDATED
        ? { misdated: true }
        : { received: { epochSeconds: date } };
    const words = this.#wordSets[this.#words[row] ?? 0] ?? { keywords: new Set(), labels: new Set() };
    const flags = new Set<SystemFlag>(SYSTEM_FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0));
    const isOutside = (bits & OUTSIDE) !== 0;
    return { index: row, traits: { flags, ...words, ...received }, id: this.#ids[row] ?? 0, isOutside };
  }

  #intern(traits: Traits): number {
    const text = JSON.stringify([[...traits.keywords].sort(), [...traits.labels].sort()]);
    let index = this.#wordIndex.get(text);
    if (index === undefined) {
      index = this.#wordSets.push({ keywords: traits.keywords, labels: traits.labels }) - 1;
      this.#wordIndex.set(text, index);
    }
    return index;
  }

  #bucket(word: number): number {
    return word % this.#heads.length;
  }

  #link(row: number): void {
    const bucket = this.#bucket(this.#keys[row * KEY_WORDS] ?? 0);
    this.#next[row] = this.#heads[bucket] ?? 0;
    this.#heads[bucket] = row + 1;
  }

  #grow(): void {
    this.#capacity *= 2;
    const wider = <T extends Uint32Array | Uint8Array | Float64Array>(old: T, fresh: T): T => {
      fresh.set(old);
      return fresh;
    };
    this.#keys = wider(this.#keys, new Uint32Array(this.#capacity * KEY_WORDS));
    this.#ids = wider(this.#ids, new Uint32Array(this.#capacity));
    this.#flags = wider(this.#flags, new Uint8Array(this.#capacity));
    this.#words = wider(this.#words, new Uint32Array(this.#capacity));
    this.#dates = wider(this.#dates, new Float64Array(this.#capacity));
    this.#taken = wider(this.#taken, new Uint8Array(this.#capacity));
    this.#next = new Uint32Array(this.#capacity);
    this.#heads = new Uint32Array(this.#capacity);
    for (let row = 0; row < this.#count; row++) this.#link(row);
  }
}
