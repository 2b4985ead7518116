// Millions of UIDs and sizes in four octets each.

const FIRST_CAPACITY = 256;

/** A list of unsigned 32-bit numbers that grows. */
export class GrowingUint32 {
  #values = new Uint32Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Larger numbers become 2^32 - 1. */
  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = Math.min(value, 0xffffffff);
  }

  /** A view of what is there now. */
  view(): Uint32Array {
    return this.#values.subarray(0, this.#length);
  }

  /** Where the values ascend: whether this is one of them. */
  includesSorted(value: number): boolean {
    let low = 0;
    let high = this.#length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#values[middle] ?? 0;
      if (found === value) return true;
      if (found < value) low = middle + 1;
      else high = middle - 1;
    }
    return false;
  }
}
