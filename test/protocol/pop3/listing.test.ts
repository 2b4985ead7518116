// The packed listing of a maildrop: exact comparisons, any order, bounded memory.

import { describe, expect, it, vi } from "vitest";
import { MESSAGE_LIMIT, UIDL_OCTETS_LIMIT } from "../../../src/protocol/pop3/limits.ts";
import { IdTable, Listing } from "../../../src/protocol/pop3/listing.ts";

// A smaller bound, but above what the other tests hold: the real one would have to be held to be crossed.
vi.mock("../../../src/protocol/pop3/limits.ts", async (original) => ({
  ...(await original<typeof import("../../../src/protocol/pop3/limits.ts")>()),
  UIDL_OCTETS_LIMIT: 24 * 1024 * 1024,
}));

describe("a table of ids", () => {
  it("keeps each text once and finds it again, over many growths and blocks", () => {
    const table = new IdTable();
    const count = 60_000;
    const name = (i: number) => `${i}-\xff${"u".repeat(i % 60)}`;
    let wrong = 0;
    for (let i = 0; i < count; i++) if (table.add(name(i)) !== i + 1) wrong++;
    expect(wrong).toBe(0);
    for (let i = 0; i < count; i += 97) {
      expect(table.add(name(i))).toBe(i + 1);
      expect(table.find(name(i))).toBe(i + 1);
      expect(table.get(i + 1)).toBe(name(i));
    }
    expect(table.size).toBe(count);
    expect(table.find("missing")).toBe(0);
  });

  it("holds a million ids in some tens of megabytes", () => {
    const before = process.memoryUsage();
    const table = new IdTable();
    for (let i = 0; i < 1_000_000; i++) table.add(`0000${i.toString(16).padStart(16, "0")}`);
    const after = process.memoryUsage();
    expect(table.size).toBe(1_000_000);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(100e6);
  });

  it("refuses one that fits into no block, and more of them together than a maildrop may have", () => {
    expect(() => new IdTable().add("u".repeat(64 * 1024 + 1))).toThrow(/too many octets/);
    const table = new IdTable();
    const size = 64 * 1024;
    for (let i = 0; i < UIDL_OCTETS_LIMIT / size; i++) table.add(`${i}`.padEnd(size, "u"));
    expect(() => table.add("one more")).toThrow(/too many octets/);
    expect(table.find("one more")).toBe(0);
  });
});

describe("a listing", () => {
  it("knows which ids name one message alone", () => {
    const listing = new Listing();
    for (const [number, id] of [
      [3, "c"],
      [1, "a"],
      [9, "a"],
      [5, undefined],
    ] as const)
      expect(listing.addId(number, id)).toBe(true);
    expect(listing.addSize(7, 0)).toBe(true);
    expect([...listing.numbers()]).toEqual([1, 3, 5, 7, 9]);
    expect([...listing.numbers()].map((number) => listing.uniqueId(number))).toEqual([
      undefined,
      "c",
      undefined,
      undefined,
      undefined,
    ]);
    expect([listing.count, listing.size(7), listing.size(1)]).toEqual([5, 0, undefined]);
    listing.choose(3);
    listing.choose(7);
    expect([...listing.chosen()]).toEqual([3, 7]);
    expect(listing.count).toBe(5);
  });

  it("refuses numbers that no maildrop has", () => {
    const listing = new Listing();
    for (const number of [0, -1, 1.5, Number.NaN, MESSAGE_LIMIT + 1, 2 ** 40])
      expect(listing.addSize(number, 1)).toBe(false);
  });

  it("takes a row that is repeated for one row, and of two ids for one message neither", () => {
    const listing = new Listing();
    for (const [number, id] of [
      [1, "a"],
      [1, "a"],
      [2, "b"],
      [2, "c"],
      [3, "b"],
      [4, "d"],
    ] as const)
      expect(listing.addId(number, id)).toBe(true);
    expect(listing.count).toBe(4);
    expect([1, 2, 3, 4].map((number) => listing.uniqueId(number))).toEqual(["a", undefined, undefined, "d"]);
  });
});
