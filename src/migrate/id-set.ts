// A set of message ids that stays small for a million UIDs.

const LARGEST_PACKED = 0xffffffff;

/** Ids that are plain 32-bit numbers (UIDs, offsets) are packed; any other is kept as text. */
export class IdSet {
  #numbers = new Uint32Array(0);
  #count = 0;
  #sorted = true;
  readonly #texts = new Set<string>();

  get isEmpty(): boolean {
    return this.#count === 0 && this.#texts.size === 0;
  }

  add(id: string): void {
    const number = packed(id);
    if (number === undefined) {
      this.#texts.add(id);
      return;
    }
    if (this.#count === this.#numbers.length) {
      const grown = new Uint32Array(Math.max(1024, this.#count * 2));
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    if (this.#count > 0 && number <= (this.#numbers[this.#count - 1] ?? 0)) this.#sorted = false;
    this.#numbers[this.#count++] = number;
  }

  has(id: string): boolean {
    const number = packed(id);
    if (number === undefined) return this.#texts.has(id);
    if (!this.#sorted) {
      this.#numbers.subarray(0, this.#count).sort();
      this.#sorted = true;
    }
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const value = this.#numbers[middle] ?? 0;
      if (value === number) return true;
      if (value < number) low = middle + 1;
      else high = middle - 1;
    }
    return false;
  }
}

function packed(id: string): number | undefined {
  if (!/^[1-9][0-9]{0,9}$/.test(id)) return undefined;
  const number = Number(id);
  return number <= LARGEST_PACKED ? number : undefined;
}
