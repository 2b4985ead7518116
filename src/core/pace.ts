// Whether calls into the file system may be made at once: on a local disk they take microseconds, which is less than a turn
// through the thread pool costs; on a network, or on a disk that is behind, they would hold up everything else.

/** A call that takes longer is too slow to wait for. */
const SLOW_MS = 10;
/** So many calls then go through the thread pool, before it is tried again. */
const PATIENCE = 64;

export class Pace {
  readonly #slowMs: number;
  #rest = 0;

  constructor(slowMs = SLOW_MS) {
    this.#slowMs = slowMs;
  }

  /** False while it is to be left to the thread pool; each look counts as one call. */
  get quick(): boolean {
    if (this.#rest === 0) return true;
    this.#rest--;
    return false;
  }

  /** Makes the call at once, and remembers how long it took. Throws what it throws. */
  run<T>(call: () => T): T {
    const began = performance.now();
    try {
      return call();
    } finally {
      if (performance.now() - began > this.#slowMs) this.#rest = PATIENCE;
    }
  }
}
