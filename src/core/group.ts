// Group commit: calls that arrive while one batch is being made durable go together into the next one.

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

/** One item's fate inside a batch. */
export type Fate<R> = { readonly value: R } | { readonly error: unknown };

export interface GroupOptions<T> {
  /** Items a batch holds at the most. */
  readonly maxItems?: number;
  /** Weights are added up to at most this (one item may be heavier). */
  readonly maxWeight?: number;
  weigh?(item: T): number;
}

/**
 * `run` gets a batch and returns one fate an item, in order; when it throws, every item of the batch fails with that error.
 * One batch runs at a time. A call never waits for a later call: a batch starts as soon as the one before has ended.
 */
export class GroupCommit<T, R> {
  readonly #run: (items: readonly T[]) => Promise<readonly Fate<R>[]>;
  readonly #options: GroupOptions<T>;
  #waiting: Waiting<T, R>[] = [];
  #running: Promise<void> | undefined;

  constructor(run: (items: readonly T[]) => Promise<readonly Fate<R>[]>, options: GroupOptions<T> = {}) {
    this.#run = run;
    this.#options = options;
  }

  add(item: T): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #drain(): Promise<void> {
    // Lets every call of this tick join the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        const fates = await this.#run(batch.map(({ item }) => item));
        for (const [i, { resolve, reject }] of batch.entries()) {
          const fate = fates[i];
          if (fate === undefined) reject(new Error("a batch returned no fate for one of its items"));
          else if ("error" in fate) reject(fate.error);
          else resolve(fate.value);
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = undefined;
  }

  #take(): Waiting<T, R>[] {
    const {
      maxItems = Number.POSITIVE_INFINITY,
      maxWeight = Number.POSITIVE_INFINITY,
      weigh = () => 1,
    } = this.#options;
    let weight = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      weight += weigh(item);
      if (count > 0 && (count >= maxItems || weight > maxWeight)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
