// The events of a run: each once and in order, to one reader, who holds the run back when he is slow.

import { expect, it } from "vitest";
import { eventStream } from "../../src/migrate/event-stream.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";

const notice = (n: number): MigrationEvent => ({ type: "notice", text: String(n) });
const never = new AbortController().signal;

it("every event comes once and in order, those before the end too", async () => {
  const stream = eventStream(never);
  const events: MigrationEvent[] = [];
  const read = (async () => {
    for await (const event of stream) events.push(event);
  })();
  const waits: Promise<void>[] = [];
  for (let n = 0; n < 10_000; n++) {
    const wait = stream.emit(notice(n));
    if (wait !== undefined) waits.push(wait);
    if (n % 1000 === 0) await wait;
  }
  stream.end();
  await read;
  expect(events).toEqual(Array.from({ length: 10_000 }, (_, n) => notice(n)));
  await Promise.all(waits);
});

it("without a reader nothing waits, and two cannot read", async () => {
  const stream = eventStream(never);
  for (let n = 0; n < 10_000; n++) expect(stream.emit(notice(n))).toBeUndefined();
  const reader = stream[Symbol.asyncIterator]();
  expect(() => stream[Symbol.asyncIterator]()).toThrow("one reader");
  stream.emit(notice(1));
  expect(await reader.next()).toEqual({ done: false, value: notice(1) });
});

it("a slow reader holds the run back until he asks for more, leaves, or is not waited for any more", async () => {
  const fill = (stream: ReturnType<typeof eventStream>): Promise<void> => {
    for (let n = 0; ; n++) {
      const wait = stream.emit(notice(n));
      if (wait !== undefined) return wait;
      expect(n).toBeLessThan(100_000);
    }
  };
  const asking = eventStream(never);
  const reader = asking[Symbol.asyncIterator]();
  const untilAsked = fill(asking);
  await reader.next();
  await untilAsked;

  const leaving = eventStream(never);
  const gone = leaving[Symbol.asyncIterator]();
  const untilGone = fill(leaving);
  await gone.return?.();
  await untilGone;
  expect(leaving.emit(notice(0))).toBeUndefined();

  const abort = new AbortController();
  const aborted = eventStream(abort.signal);
  aborted[Symbol.asyncIterator]();
  const untilAborted = fill(aborted);
  abort.abort();
  await untilAborted;
});

it("who asks several times before anything comes gets one event for each, and the end after them", async () => {
  const stream = eventStream(never);
  const reader = stream[Symbol.asyncIterator]();
  const asked = [reader.next(), reader.next(), reader.next()];
  await Promise.resolve();
  stream.emit(notice(1));
  stream.emit(notice(2));
  stream.end();
  const ends = await Promise.all(asked);
  expect(ends.filter(({ done }) => done !== true).map(({ value }) => value)).toEqual([notice(1), notice(2)]);
  expect(ends.filter(({ done }) => done === true)).toHaveLength(1);
});

it("leaving ends a wait for the next event", async () => {
  const reader = eventStream(never)[Symbol.asyncIterator]();
  const asked = reader.next();
  await reader.return?.();
  expect(await asked).toEqual({ done: true, value: undefined });
});
