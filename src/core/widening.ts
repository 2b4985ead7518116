// A limit that grows while that helps: work side by side is worth its cost only where the process would wait otherwise.

const LOOK_MS = 500;
/** Below this share of its time the process waits for others more than it works. */
const BUSY = 0.5;

export interface Widths {
  /** To begin with. */
  readonly first: number;
  /** Never more. */
  readonly most: number;
  /** Whether somebody waits still when it is looked: what has been answered meanwhile needs no more. */
  readonly wanted: () => boolean;
  /** Called with the limit when it has grown. */
  readonly onGrown: (now: number) => void;
}

/** For tests. */
export interface Pace {
  /** Milliseconds from a request to the look that answers it. */
  readonly everyMs?: number;
  /** The share of its time, 0 to 1, that the process works between two calls. */
  readonly busy?: () => number;
}

/** Begins at `first`, and grows by one with each look that finds the process waiting. It looks from a request on while that is wanted. */
export class Widening implements Disposable {
  readonly #most: number;
  readonly #wanted: () => boolean;
  readonly #onGrown: (now: number) => void;
  readonly #everyMs: number;
  readonly #busy: () => number;
  #now: number;
  #look: NodeJS.Timeout | undefined;
  #isDisposed = false;

  constructor({ first, most, wanted, onGrown }: Widths, { everyMs = LOOK_MS, busy = loopBusy() }: Pace = {}) {
    this.#most = Math.max(1, most);
    this.#now = Math.max(1, Math.min(first, this.#most));
    this.#wanted = wanted;
    this.#onGrown = onGrown;
    this.#everyMs = everyMs;
    this.#busy = busy;
  }

  get now(): number {
    return this.#now;
  }

  /** Somebody would take more than there is. */
  ask(): void {
    if (this.#look !== undefined || this.#now >= this.#most || this.#isDisposed) return;
    this.#busy();
    this.#look = setTimeout(() => {
      this.#look = undefined;
      if (!this.#wanted()) return;
      if (this.#busy() < BUSY) this.#onGrown(++this.#now);
      if (this.#wanted()) this.ask();
    }, this.#everyMs);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    clearTimeout(this.#look);
  }
}

/** By Node's own count: the share of the time since the last call in which the event loop had something to do. */
function loopBusy(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
