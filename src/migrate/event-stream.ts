// The events of a run as an async iterable that holds the run back when its reader is slow.

import type { MigrationEvent } from "./events.ts";

/** Events that may wait for a reader before the run has to. */
const HELD_EVENTS = 4096;

export interface EventStream extends AsyncIterable<MigrationEvent> {
  /** Await the result where it is one: the reader is behind. Without a reader events are dropped. */
  emit(event: MigrationEvent): Promise<void> | undefined;
  end(): void;
}

/**
 * One reader at the most; it must ask for the iterator before the run's first event (a run starts on the next tick). Once the
 * signal is aborted nobody waits for the reader any more.
 */
export function eventStream(signal: AbortSignal): EventStream {
  let queue: MigrationEvent[] = [];
  let reading = false;
  let ended = false;
  let wakeReader: (() => void) | undefined;
  let room: { promise: Promise<void>; resolve: () => void } | undefined;

  const wake = (): void => {
    wakeReader?.();
    wakeReader = undefined;
  };
  const makeRoom = (): void => {
    room?.resolve();
    room = undefined;
  };

  signal.addEventListener("abort", makeRoom, { once: true });

  async function* read(): AsyncGenerator<MigrationEvent> {
    try {
      for (;;) {
        const batch = queue;
        queue = [];
        makeRoom();
        yield* batch;
        if (queue.length > 0) continue;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wakeReader = resolve;
        });
      }
    } finally {
      reading = false;
      queue = [];
      makeRoom();
    }
  }

  return {
    emit(event) {
      if (!reading) return undefined;
      queue.push(event);
      wake();
      if (queue.length < HELD_EVENTS || signal.aborted) return undefined;
      if (room === undefined) {
        let resolve: () => void = () => undefined;
        const promise = new Promise<void>((done) => {
          resolve = done;
        });
        room = { promise, resolve };
      }
      return room.promise;
    },
    end() {
      ended = true;
      wake();
    },
    [Symbol.asyncIterator]() {
      if (reading) throw new Error("the events of a run can be read by one reader alone");
      reading = true;
      return read();
    },
  };
}
