// Group commit: batches, bounds, each its own fate, and nobody waits for a later call.

import { describe, expect, it } from "vitest";
import { type Fate, GroupCommit } from "../../src/core/group.ts";

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("a group commit", () => {
  it("takes the calls of one tick together, in order, and answers each with its own value", async () => {
    const batches: number[][] = [];
    const group = new GroupCommit<number, string>(async (items) => {
      batches.push([...items]);
      return items.map((item) => ({ value: `got ${item}` }));
    });
    const answers = await Promise.all([1, 2, 3].map((item) => group.add(item)));
    expect(answers).toEqual(["got 1", "got 2", "got 3"]);
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it("runs one batch at a time, and gathers what comes meanwhile into the next", async () => {
    const gates = [deferred(), deferred()];
    const batches: number[][] = [];
    let running = 0;
    const group = new GroupCommit<number, number>(async (items) => {
      expect(++running).toBe(1);
      batches.push([...items]);
      await gates[batches.length - 1]?.promise;
      running--;
      return items.map((value) => ({ value }));
    });
    const first = group.add(1);
    await new Promise((resolve) => setImmediate(resolve));
    const others = [group.add(2), group.add(3)];
    gates[0]?.resolve();
    expect(await first).toBe(1);
    gates[1]?.resolve();
    expect(await Promise.all(others)).toEqual([2, 3]);
    expect(batches).toEqual([[1], [2, 3]]);
  });

  it("fails one item without the others", async () => {
    const bad = new Error("bad");
    const group = new GroupCommit<number, number>(async (items) =>
      items.map((item): Fate<number> => (item === 2 ? { error: bad } : { value: item })),
    );
    const fates = await Promise.allSettled([1, 2, 3].map((item) => group.add(item)));
    expect(fates.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(fates[1]).toMatchObject({ reason: bad });
  });

  it("fails every item of a batch that throws, also at once, and works on", async () => {
    let broken = true;
    const group = new GroupCommit<number, number>((items) => {
      if (broken) throw new Error("disk full");
      return Promise.resolve(items.map((value) => ({ value })));
    });
    const fates = await Promise.allSettled([group.add(1), group.add(2)]);
    expect(fates.every(({ status }) => status === "rejected")).toBe(true);
    broken = false;
    expect(await group.add(3)).toBe(3);
  });

  it("fails an item that its batch forgot", async () => {
    const group = new GroupCommit<number, number>(async () => [{ value: 1 }]);
    const fates = await Promise.allSettled([group.add(1), group.add(2)]);
    expect(fates.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  it("tells a value of undefined from an error of undefined", async () => {
    const group = new GroupCommit<number, undefined>(async (items) =>
      items.map((item) => (item === 1 ? { value: undefined } : { error: undefined })),
    );
    const fates = await Promise.allSettled([group.add(1), group.add(2)]);
    expect(fates.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  it("keeps to its bounds, and lets one heavy item through alone", async () => {
    const batches: number[][] = [];
    const group = new GroupCommit<number, number>(
      async (items) => {
        batches.push([...items]);
        return items.map((value) => ({ value }));
      },
      { maxItems: 3, maxWeight: 10, weigh: (item) => item },
    );
    await Promise.all([1, 1, 1, 1, 50, 9, 2, 8].map((item) => group.add(item)));
    expect(batches).toEqual([[1, 1, 1], [1], [50], [9], [2, 8]]);
  });

  it("is idle only when nothing waits or runs, also when a batch brings in more", async () => {
    const order: number[] = [];
    const group = new GroupCommit<number, number>(async (items) => {
      for (const item of items) {
        order.push(item);
        if (item < 3) void group.add(item + 1);
      }
      return items.map((value) => ({ value }));
    });
    void group.add(1);
    await group.idle();
    expect(order).toEqual([1, 2, 3]);
    await group.idle();
  });

  it("takes a hundred thousand waiting items in time that grows with their number alone", async () => {
    const group = new GroupCommit<number, number>(async (items) => items.map((value) => ({ value })), { maxItems: 64 });
    const started = performance.now();
    await Promise.all(Array.from({ length: 100_000 }, (_, i) => group.add(i)));
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});
