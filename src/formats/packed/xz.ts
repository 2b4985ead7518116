// Undoing xz by xz-decompress, one content at a time: all of them share its memory.

import { createRequire } from "node:module";
import { ReadableStream } from "node:stream/web";
import type * as Library from "xz-decompress";

let loaded: typeof Library | undefined;
let turn: Promise<void> = Promise.resolve();

/**
 * Throws Error for damage, and for an end that comes too early. Another one waits until this is read to its end or let go of: nobody may
 * hold one and wait for another.
 */
export async function* unpackXz(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const before = turn;
  let done = (): void => undefined;
  turn = new Promise((resolve) => {
    done = resolve;
  });
  try {
    await before;
    loaded ??= createRequire(import.meta.url)("xz-decompress") as typeof Library;
    yield* read(new loaded.XzReadableStream(streamOf(content)).getReader());
  } finally {
    done();
  }
}

async function* read(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isOver = false;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        isOver = true;
        throw inWords(error);
      });
      isOver = done;
      if (done) return;
      if (value.length > 0) yield value;
    }
  } finally {
    // Its own memory is given back even where it then fails over what it had closed already.
    if (!isOver) await reader.cancel().catch(() => undefined);
  }
}

/** The library tells the number that xz-embedded ended with. */
const REASONS: Readonly<Record<string, string>> = {
  2: "it has a checksum that is not known here",
  3: "there is not enough memory",
  4: "it asks for too much memory",
  5: "no xz stream",
  6: "it is of a kind that is not known here",
  7: "a damaged block",
  8: "it ends too early",
};

function inWords(error: unknown): unknown {
  const [, code = ""] = (error instanceof Error && /error code (\d+)$/.exec(error.message)) || [];
  const reason = REASONS[code];
  return reason === undefined ? error : new Error(reason, { cause: error });
}

function streamOf(content: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const octets = content[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await octets.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await octets.return?.();
    },
  });
}
