// Group commit: calls that arrive while one batch is being made durable go together into the next one.

/** One item's fate inside a batch. */
export type Fate<R> = { readonly value: R } | { readonly error: unknown };

/** What one call brought. */
interface Waiting<T, R> {
  readonly items: readonly T[];
  readonly settle: (fates: readonly Fate<R>[]) => void;
}

const NO_FATE: { readonly error: unknown } = { error: new Error("a batch returned no fate for one of its items") };

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
      this.#enter({
        items: [item],
        settle: ([fate = NO_FATE]) => ("error" in fate ? reject(fate.error) : resolve(fate.value)),
      });
    });
  }

  /** All of them go into one batch. Gives one fate an item, in order; never rejects. */
  addAll(items: readonly T[]): Promise<readonly Fate<R>[]> {
    if (items.length === 0) return Promise.resolve([]);
    return new Promise((settle) => this.#enter({ items, settle }));
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #enter(waiting: Waiting<T, R>): void {
    this.#waiting.push(waiting);
    this.#running ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Lets every call of this tick join the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const calls = this.#take();
      const [first] = calls;
      const items = calls.length === 1 && first !== undefined ? first.items : calls.flatMap((call) => call.items);
      let fates: readonly Fate<R>[] = [];
      let failure: Fate<R> = NO_FATE;
      try {
        fates = await this.#run(items);
      } catch (error) {
        failure = { error };
      }
      let at = 0;
      for (const { items: mine, settle } of calls) {
        const from = at;
        at += mine.length;
        settle(mine.map((_, i) => fates[from + i] ?? failure));
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
    let calls = 0;
    for (const { items } of this.#waiting) {
      for (const item of items) weight += weigh(item);
      count += items.length;
      if (calls > 0 && (count > maxItems || weight > maxWeight)) break;
      calls++;
    }
    return this.#waiting.splice(0, calls);
  }
}
