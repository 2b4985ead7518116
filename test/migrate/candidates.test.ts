// Copies that nobody knows are found again by their bytes, each once, and a million of them need little memory.

import { describe, expect, it } from "vitest";
import type { ContentKey } from "../../src/mail/key.ts";
import { NO_TRAITS, type Traits } from "../../src/mail/model.ts";
import { CopyTable } from "../../src/migrate/copy-table.ts";

const traits = (keywords: string[], seconds?: number): Traits => ({
  flags: new Set(["seen"]),
  keywords: new Set(keywords),
  labels: new Set(),
  ...(seconds === undefined ? {} : { received: { epochSeconds: seconds } }),
});
const key = (n: number) => n.toString(16).padStart(32, "0").padEnd(64, "0") as ContentKey;

describe("the table of unknown copies", () => {
  it("gives back receipts of any length and script, traits and dates", () => {
    const table = new CopyTable();
    const refs = ["1:2", "", "ünï→💌", "x".repeat(3 << 20), "7:8", "y".repeat((1 << 20) - 4), "z"];
    for (const [i, ref] of refs.entries()) table.add({ ref }, 10, 5, traits(i % 2 === 0 ? ["A", "b"] : [], -i));
    table.index();
    for (const [i, ref] of refs.entries()) {
      expect(table.receipt(i).ref === ref).toBe(true);
      expect(table.hasTraits(i, traits(i % 2 === 0 ? ["B", "a"] : []))).toBe(true);
      expect(table.hasTraits(i, NO_TRAITS)).toBe(false);
      expect(table.isOf(i, -i)).toBe(true);
      expect(table.isOf(i, -i - 1)).toBe(false);
    }
  });

  it("finds rows by size and Message-ID in the order of the listing, while others are dropped", () => {
    const table = new CopyTable();
    for (let n = 0; n < 100; n++) table.add({ ref: String(n) }, n % 3, n % 2, NO_TRAITS);
    table.index();
    const wanted = Array.from({ length: 100 }, (_, n) => n).filter((n) => n % 3 === 1 && n % 2 === 0);
    expect([...table.of(1, 0)]).toEqual(wanted);
    const met: number[] = [];
    for (const row of table.of(1, 0)) {
      met.push(row);
      table.drop(row);
    }
    expect(met).toEqual(wanted);
    expect([...table.of(1, 0)]).toEqual([]);
    expect([...table.of(1, 1)]).toHaveLength(17);
  });

  it("gives the nearest sizes first, and nothing beyond the bounds", () => {
    const table = new CopyTable();
    for (const size of [5, 100, 90, 111, 100, 300]) table.add({ ref: "r" }, size, 0, NO_TRAITS);
    table.index();
    expect([...table.near(100, 50, 150)]).toEqual([1, 4, 2, 3]);
  });

  it("finds rows by date and Message-ID, in the order of the listing, and none without a date", () => {
    const table = new CopyTable();
    for (let n = 0; n < 60; n++) table.add({ ref: "r" }, 1, (n * 7) % 5, traits([], (n % 3) - 1));
    table.add({ ref: "r" }, 1, 2, NO_TRAITS);
    table.index();
    for (const date of [-1, 0, 1])
      for (const id of [0, 2, 4]) {
        const wanted = Array.from({ length: 60 }, (_, n) => n).filter(
          (n) => (n % 3) - 1 === date && (n * 7) % 5 === id,
        );
        expect([...table.ofDate(date, id)]).toEqual(wanted);
      }
    expect([...table.ofDate(0, 9)]).toEqual([]);
  });

  it("knows a key once it was set", () => {
    const table = new CopyTable();
    table.add({ ref: "a" }, 1, 0, NO_TRAITS);
    table.add({ ref: "b" }, 1, 0, NO_TRAITS);
    table.setKey(1, key(7));
    expect(table.hasKey(0, key(7))).toBeUndefined();
    expect(table.hasKey(1, key(7))).toBe(true);
    expect(table.hasKey(1, key(8))).toBe(false);
  });

  it("holds a million in less than 100 MB", () => {
    const table = new CopyTable();
    const before = process.memoryUsage();
    for (let n = 0; n < 1_000_000; n++)
      table.add({ ref: `1700000000.M${n}P4321Q${n}.some.host` }, 1000 + (n % 50_000), n, NO_TRAITS);
    table.index();
    const after = process.memoryUsage();
    const grown = after.arrayBuffers - before.arrayBuffers;
    expect(table.receipt(999_999).ref).toBe("1700000000.M999999P4321Q999999.some.host");
    expect(grown / 1e6).toBeLessThan(100);
  });
});
