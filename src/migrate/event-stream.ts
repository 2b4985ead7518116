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
  let waiting: (() => void)[] = [];
  let room: { promise: Promise<void>; resolve: () => void } | undefined;

  const wake = (): void => {
    const all = waiting;
    waiting = [];
    for (const resolve of all) resolve();
  };
  const makeRoom = (): void => {
    room?.resolve();
    room = undefined;
  };

  signal.addEventListener("abort", makeRoom, { once: true });

  // By hand and not as a generator: each message is an event.
  let given: readonly MigrationEvent[] = [];
  let at = 0;
  const next = async (): Promise<IteratorResult<MigrationEvent, undefined>> => {
    for (;;) {
      if (!reading) return { done: true, value: undefined };
      const value = given[at++];
      if (value !== undefined) return { done: false, value };
      given = queue;
      at = 0;
      queue = [];
      makeRoom();
      if (given.length > 0) continue;
      if (ended) stop();
      else
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
    }
  };
  const stop = (): void => {
    reading = false;
    given = [];
    queue = [];
    makeRoom();
    wake();
  };

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
      return {
        next,
        async return() {
          stop();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
