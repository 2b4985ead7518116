// What is in flight stays within its bounds, and nobody is forgotten in the queue.

import { describe, expect, it } from "vitest";
import { Budget, mapOrdered } from "../../src/core/pool.ts";

const signal = new AbortController().signal;

describe("Budget", () => {
  it("never grants more than its total, and serves in order", async () => {
    const budget = new Budget(10);
    let held = 0;
    let most = 0;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const weight = 1 + (i % 4);
        const release = await budget.acquire(weight, signal);
        order.push(i);
        held += weight;
        most = Math.max(most, held);
        await new Promise<void>((resolve) => setImmediate(resolve));
        held -= weight;
        release();
        release();
      }),
    );
    expect(most).toBeLessThanOrEqual(10);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it("lets something heavier than the whole go alone", async () => {
    const budget = new Budget(10);
    const small = await budget.acquire(1, signal);
    let granted = false;
    const big = budget.acquire(1000, signal).then((release) => {
      granted = true;
      return release;
    });
    await Promise.resolve();
    expect(granted).toBe(false);
    small();
    (await big)();
    (await budget.acquire(10, signal))();
  });

  it("an aborted waiter leaves the queue to those behind it", async () => {
    const budget = new Budget(2);
    const first = await budget.acquire(1, signal);
    const abort = new AbortController();
    const waiting = budget.acquire(2, abort.signal);
    const behind = budget.acquire(1, signal);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    (await behind)();
    first();
  });
});

describe("mapOrdered", () => {
  async function* numbers(count: number): AsyncGenerator<number> {
    for (let i = 0; i < count; i++) yield i;
  }

  it("keeps the order and the bound", async () => {
    let running = 0;
    let most = 0;
    const results: number[] = [];
    for await (const result of mapOrdered(numbers(40), 5, async (n) => {
      most = Math.max(most, ++running);
      for (let turns = 0; turns < n % 3; turns++) await new Promise<void>((resolve) => setImmediate(resolve));
      running--;
      return n * 2;
    }))
      results.push(result);
    expect(results).toEqual(Array.from({ length: 40 }, (_, i) => i * 2));
    expect(most).toBeLessThanOrEqual(5);
    expect(most).toBeGreaterThan(2);
  });

  it("ends with the first failure, leaving none unhandled", async () => {
    const all = async (): Promise<void> => {
      for await (const _ of mapOrdered(numbers(10), 4, async (n) => {
        if (n >= 2) throw new Error(`item ${n}`);
        return n;
      }));
    };
    await expect(all()).rejects.toThrow("item 2");
  });
});
