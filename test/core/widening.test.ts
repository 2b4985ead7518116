// A limit that grows while the process waits: by one with each look, never above what is granted, and only while somebody asks.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Widening } from "../../src/core/widening.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Looked extends Disposable {
  readonly limit: Widening;
  want(wanted: boolean): void;
  /** The limit after each of so many looks while more is wanted. */
  looks(count: number): Promise<number[]>;
}

function looked(first: number, most: number, busy: () => number): Looked {
  let isWanted = false;
  const limit = new Widening({ first, most, wanted: () => isWanted, onGrown: () => undefined }, { everyMs: 10, busy });
  return {
    limit,
    want(wanted) {
      isWanted = wanted;
      if (wanted) limit.ask();
    },
    async looks(count) {
      const seen: number[] = [];
      this.want(true);
      for (let n = 0; n < count; n++) {
        await vi.advanceTimersByTimeAsync(10);
        seen.push(limit.now);
      }
      return seen;
    },
    [Symbol.dispose]: () => limit[Symbol.dispose](),
  };
}

describe("a limit that grows", () => {
  it("begins as it is told, and stays there while the process has its hands full", async () => {
    using it = looked(2, 5, () => 0.9);
    expect(it.limit.now).toBe(2);
    expect(await it.looks(4)).toEqual([2, 2, 2, 2]);
  });

  it("takes one more with each look that finds the process waiting, and never above what is granted", async () => {
    using it = looked(2, 4, () => 0.1);
    expect(await it.looks(4)).toEqual([3, 4, 4, 4]);
  });

  it("is at least one, whatever is granted, also below what it begins with", () => {
    for (const [first, most, expected] of [
      [2, 1, 1],
      [2, 0, 1],
      [0, 3, 1],
    ] as const) {
      using it = looked(first, most, () => 0.1);
      expect(it.limit.now, `${first} of ${most}`).toBe(expected);
    }
  });

  it("keeps what it has when the work comes to outweigh the waiting", async () => {
    let share = 0.1;
    using it = looked(1, 5, () => share);
    expect(await it.looks(2)).toEqual([2, 3]);
    share = 0.8;
    expect(await it.looks(2)).toEqual([3, 3]);
  });

  it("looks once, however often it is asked meanwhile, and not at all when nobody asks", async () => {
    using it = looked(1, 5, () => 0.1);
    await vi.advanceTimersByTimeAsync(100);
    expect(it.limit.now).toBe(1);
    for (let n = 0; n < 3; n++) it.want(true);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(10);
    expect(it.limit.now).toBe(2);
  });

  it("does not grow for a request that was answered meanwhile, and then looks no more", async () => {
    using it = looked(1, 5, () => 0.1);
    it.want(true);
    it.want(false);
    await vi.advanceTimersByTimeAsync(10);
    expect([it.limit.now, vi.getTimerCount()]).toEqual([1, 0]);
  });

  it("looks no more when it is disposed, whoever asked or asks", async () => {
    for (const asksBefore of [true, false]) {
      const { limit, want } = looked(1, 5, () => 0.1);
      want(asksBefore);
      limit[Symbol.dispose]();
      expect(vi.getTimerCount()).toBe(0);
      want(true);
      await vi.advanceTimersByTimeAsync(100);
      expect(limit.now, String(asksBefore)).toBe(1);
    }
  });

  it("takes the event loop's own count for work: an idle process grows, a busy one does not", async () => {
    vi.useRealTimers();
    const grown = async (meanwhile: () => void): Promise<number> => {
      const limit = new Widening({ first: 1, most: 2, wanted: () => true, onGrown: () => undefined }, { everyMs: 100 });
      limit.ask();
      const working = setInterval(meanwhile, 5);
      await new Promise((resolve) => setTimeout(resolve, 150));
      clearInterval(working);
      limit[Symbol.dispose]();
      return limit.now;
    };
    const spin = (): void => {
      for (const end = performance.now() + 20; performance.now() < end; );
    };
    expect(await grown(() => undefined)).toBe(2);
    expect(await grown(spin)).toBe(1);
  });
});
