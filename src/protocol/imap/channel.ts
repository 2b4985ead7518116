// From a connection that pushes to a consumer that pulls, bounded: when enough is waiting, the connection stops reading.

import type { LiteralSink } from "./scanner.ts";

/** What can be made to wait: a Connection. */
export interface Source {
  hold(): void;
  release(): void;
}

/** Octets that may wait before the connection is held. */
export const CHANNEL_BYTES = 1024 * 1024;
/** The same for one streamed literal. */
export const STREAM_BYTES = 256 * 1024;

export class Channel<T> {
  readonly #source: Source;
  readonly #limit: number;
  #items: T[] = [];
  #weight = 0;
  #held = false;
  #ended = false;
  #error: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(source: Source, limit = CHANNEL_BYTES) {
    this.#source = source;
    this.#limit = limit;
  }

  /** `weight` in octets, about. After the end, or when nobody reads any more, items are dropped. */
  push(item: T, weight: number): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#weight += weight;
    if (this.#weight > this.#limit && !this.#held) {
      this.#held = true;
      this.#source.hold();
    }
    this.#signal();
  }

  end(): void {
    this.#ended = true;
    this.#signal();
  }

  /** What came before is still given. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#error = { error };
    this.#ended = true;
    this.#signal();
  }

  /** Nobody reads any more: what waits and what comes is dropped, so that the connection goes on. */
  drop(): void {
    this.#ended = true;
    this.#items = [];
    this.#free();
  }

  /** All that waits, at least one item; undefined at the end. One call at a time. */
  async take(): Promise<T[] | undefined> {
    while (this.#items.length === 0) {
      if (this.#error !== undefined) throw this.#error.error;
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const items = this.#items;
    this.#items = [];
    this.#free();
    return items;
  }

  #free(): void {
    this.#weight = 0;
    if (!this.#held) return;
    this.#held = false;
    this.#source.release();
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** One literal as an async iterable, read at most once; `skip` lets the rest of it go by unread. */
export interface LiteralStream {
  readonly sink: LiteralSink;
  readonly content: AsyncIterable<Uint8Array>;
  skip(): void;
}

export function literalStream(source: Source): LiteralStream {
  const channel = new Channel<Buffer>(source, STREAM_BYTES);
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (let chunks = await channel.take(); chunks !== undefined; chunks = await channel.take()) yield* chunks;
    } finally {
      channel.drop();
    }
  }
  return {
    sink: {
      write: (chunk) => channel.push(chunk, chunk.length),
      end: () => channel.end(),
      fail: (error) => channel.fail(error),
    },
    content: read(),
    skip: () => channel.drop(),
  };
}
