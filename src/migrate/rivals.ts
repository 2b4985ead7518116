// Messages of a pass that are wanted and not looked for in the target yet, counted by size and date: a copy that has the date of one
// of them is left to it by its twins.

const FIRST = 64;
/** Above it sizes of one second may be taken for each other, which only matters for twins. */
const SIZES = 2 ** 21;

/** Twelve octets a (size, date), at most half full. */
export class Rivals {
  #keys = new Float64Array(FIRST).fill(-1);
  #counts = new Uint32Array(FIRST);
  #used = 0;

  add(size: number, epochSeconds: number): void {
    if (2 * (this.#used + 1) > this.#keys.length) this.#grow();
    const key = keyOf(size, epochSeconds);
    const slot = this.#slot(key);
    if (this.#keys[slot] !== key) {
      this.#keys[slot] = key;
      this.#used++;
    }
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
  }

  /** Undoes one `add`. */
  take(size: number, epochSeconds: number): void {
    const slot = this.#slot(keyOf(size, epochSeconds));
    const count = this.#counts[slot] ?? 0;
    if (count > 0) this.#counts[slot] = count - 1;
  }

  count(size: number, epochSeconds: number): number {
    const key = keyOf(size, epochSeconds);
    const slot = this.#slot(key);
    return this.#keys[slot] === key ? (this.#counts[slot] ?? 0) : 0;
  }

  #slot(key: number): number {
    const mask = this.#keys.length - 1;
    let slot =
      (Math.imul(key % 0x1_0000_0000, 0x9e3779b1) ^ Math.imul(Math.floor(key / 0x1_0000_0000), 0x85ebca6b)) & mask;
    while (this.#keys[slot] !== key && this.#keys[slot] !== -1) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [keys, counts] = [this.#keys, this.#counts];
    this.#keys = new Float64Array(keys.length * 2).fill(-1);
    this.#counts = new Uint32Array(keys.length * 2);
    for (const [at, key] of keys.entries()) {
      if (key === -1) continue;
      const slot = this.#slot(key);
      this.#keys[slot] = key;
      this.#counts[slot] = counts[at] ?? 0;
    }
  }
}

/** Exact up to 53 bits. */
function keyOf(size: number, epochSeconds: number): number {
  return (size % SIZES) * 0x1_0000_0000 + (epochSeconds >>> 0);
}
