// A source folder that is read while its target is still being opened: neither waits for the other's round trips.

import { AbortChild } from "../core/abort.ts";
import { pulled } from "../core/pulled.ts";
import type { Entry, Folder } from "../mail/model.ts";
import type { Incoming, ReadOptions, Source } from "../sources/source.ts";

/** Who says what is wanted, once the target is open. */
export type Judge = Required<Pick<ReadOptions, "want" | "listed" | "unlisted">>;

/** Messages, slice by slice. */
export type Readings = AsyncIterable<AsyncIterable<Incoming>>;

export async function* readings(
  source: Source,
  folder: Folder,
  options: ReadOptions,
): AsyncGenerator<AsyncIterable<Incoming>> {
  for await (const slice of source.slices(folder, options.signal)) yield source.read(slice, options);
}

/** Only for a folder of which nothing is known, so that whatever the target holds, all of it is asked for. */
export class Ahead implements AsyncDisposable {
  readonly #readings: Readings;
  #judge: Judge | undefined;
  #begin: () => void = () => undefined;
  readonly #ender: AbortChild;

  /** On abort it ends quietly, as a source does. */
  constructor(source: Source, folder: Folder, signal: AbortSignal) {
    this.#ender = new AbortChild(signal);
    const begun = new Promise<void>((resolve) => {
      this.#begin = resolve;
    });
    const judged = (entry: Entry): boolean | Promise<boolean> => this.#judge?.want(entry) ?? false;
    const options: ReadOptions = {
      want: (entry) => (this.#judge === undefined ? begun.then(() => judged(entry)) : judged(entry)),
      // Too early, there was nothing to ask about.
      listed: () => this.#judge?.listed(),
      unlisted: (messages) => this.#judge?.unlisted(messages),
      everything: true,
      untilNothingNew: true,
      signal: this.#ender.signal,
    };
    this.#readings = pulled(first(readings(source, folder, options)));
  }

  /** What came already and what comes; until it is called nothing is handed on. To be called once, and read to its end. */
  read(judge: Judge): Readings {
    this.#judge = judge;
    this.#begin();
    return this.#readings;
  }

  /** Ends what nobody came to read. */
  async [Symbol.asyncDispose](): Promise<void> {
    using ender = this.#ender;
    if (this.#judge !== undefined) return;
    ender.abort();
    this.#begin();
    try {
      for await (const reading of this.#readings) await reading[Symbol.asyncIterator]().return?.();
    } catch {
      // Nobody asked for it.
    }
  }
}

/** The first slice is begun as soon as it is known. */
async function* first(all: AsyncIterable<AsyncIterable<Incoming>>): AsyncGenerator<AsyncIterable<Incoming>> {
  let isFirst = true;
  for await (const reading of all) {
    yield isFirst ? pulled(reading) : reading;
    isFirst = false;
  }
}
