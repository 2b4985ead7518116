// A limit that grows while that helps: work side by side is worth its cost only where the process would wait otherwise.

const LOOK_MS = 500;
/** Below this share of its time the process waits for others more than it works. */
const BUSY = 0.5;

export interface Widths {
  /** To begin with. */
  readonly first: number;
  /** Never more. */
  readonly most: number;
  /** Called with the limit after each look, whether or not it grew. */
  readonly onLook: (now: number) => void;
}

/** For tests. */
export interface Pace {
  /** Milliseconds from a request to the look that answers it. */
  readonly everyMs?: number;
  /** The share of its time, 0 to 1, that the process works between two calls. */
  readonly busy?: () => number;
}

/** Begins at `first`, and grows by one with each look that finds the process waiting. It looks only while somebody asks for more. */
export class Widening implements Disposable {
  readonly #most: number;
  readonly #onLook: (now: number) => void;
  readonly #everyMs: number;
  readonly #busy: () => number;
  #now: number;
  #look: NodeJS.Timeout | undefined;

  constructor({ first, most, onLook }: Widths, { everyMs = LOOK_MS, busy = loopBusy() }: Pace = {}) {
    this.#most = Math.max(1, most);
    this.#now = Math.max(1, Math.min(first, this.#most));
    this.#onLook = onLook;
    this.#everyMs = everyMs;
    this.#busy = busy;
  }

  get now(): number {
    return this.#now;
  }

  /** Somebody would take more than there is. */
  ask(): void {
    if (this.#look !== undefined || this.#now >= this.#most) return;
    this.#busy();
    this.#look = setTimeout(() => {
      this.#look = undefined;
      if (this.#busy() < BUSY) this.#now++;
      this.#onLook(this.#now);
    }, this.#everyMs);
    this.#look.unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#look);
    this.#look = undefined;
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
