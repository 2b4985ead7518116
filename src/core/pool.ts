// Bounds on what is in flight: a weighted semaphore, and an ordered concurrent map over an async iterable.

interface Waiter {
  readonly weight: number;
  readonly grant: () => void;
}

/** A weighted semaphore, first come first served. Something heavier than the whole waits until it can go alone. */
export class Budget {
  readonly #total: number;
  #free: number;
  readonly #queue: Waiter[] = [];

  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /** Like `acquire` where nobody has to wait, else undefined. */
  tryAcquire(weight: number): (() => void) | undefined {
    const share = this.#shareOf(weight);
    if (this.#queue.length > 0 || share > this.#free) return undefined;
    this.#free -= share;
    return this.#releaser(share);
  }

  /** Resolves with the function that gives the weight back (once; calling it again does nothing). Rejects on abort. */
  async acquire(weight: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const share = this.#shareOf(weight);
    if (this.#queue.length > 0 || share > this.#free) {
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = {
          weight: share,
          grant: () => {
            signal.removeEventListener("abort", onAbort);
            resolve();
          },
        };
        const onAbort = () => {
          const at = this.#queue.indexOf(waiter);
          if (at !== -1) this.#queue.splice(at, 1);
          reject(signal.reason);
          this.#serve();
        };
        signal.addEventListener("abort", onAbort, { once: true });
        this.#queue.push(waiter);
      });
    } else this.#free -= share;
    return this.#releaser(share);
  }

  #shareOf(weight: number): number {
    return Math.min(Math.max(weight, 0), this.#total);
  }

  #releaser(share: number): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free += share;
      this.#serve();
    };
  }

  #serve(): void {
    for (let next = this.#queue[0]; next !== undefined && next.weight <= this.#free; next = this.#queue[0]) {
      this.#queue.shift();
      this.#free -= next.weight;
      next.grant();
    }
  }
}

/** Runs up to `concurrency` calls at once and yields their results in the order of the input. The first failure ends it. */
export async function* mapOrdered<T, R>(
  items: AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      // Its failure is met when its turn comes; until then it must not count as unhandled.
      result.catch(() => undefined);
      running.push(result);
      const first = running.length >= concurrency ? running.shift() : undefined;
      if (first !== undefined) yield await first;
    }
    for (let first = running.shift(); first !== undefined; first = running.shift()) yield await first;
  } finally {
    await Promise.allSettled(running);
  }
}
