// The ledger's table: receipts and claims answer as plain sets do, and a record takes no more memory than is promised.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { Column } from "../../src/migrate/ledger-column.ts";
import { type Hash64, Hash64Set } from "../../src/migrate/ledger-hash.ts";
import { LedgerTable, STATE } from "../../src/migrate/ledger-table.ts";
import { seeds } from "../kit/seeds.ts";
import { random } from "./journal-kit.ts";

describe("receipts and claims", () => {
  it("answer as plain sets do", () => {
    for (const seed of seeds(60, 3)) play(seed);
  });

  function play(seed: number): void {
    const pick = random(seed);
    const below = (n: number): number => Math.floor(pick() * n);
    const table = new LedgerTable();
    const held = new Map<number, string>();
    const claimed = new Set<string>();
    const holds = (ref: string): boolean => claimed.has(ref) || [...held.values()].includes(ref);
    // Some tables are asked from the start, others only when many rows are there.
    const patience = below(300);
    for (let step = 0; step < 400; step++) {
      const ref = `ref ${below(60)}`;
      const dice = pick();
      if (dice < 0.5) {
        const row = table.ensure(1, String(below(50)));
        const given = pick() < 0.85 ? ref : undefined;
        table.setReceipt(row, given);
        if (given === undefined) held.delete(row);
        else held.set(row, given);
      } else if (dice < 0.7) {
        table.claimAnyway(ref);
        claimed.add(ref);
      } else if (dice < 0.96) {
        if (step < patience) continue;
        expect(table.holds(ref), `${ref} at step ${step} of seed ${seed}`).toBe(holds(ref));
        const isFirst = ![...held.values()].includes(ref) && !claimed.has(ref);
        expect(table.claim(ref), `${ref} at step ${step} of seed ${seed}`).toBe(isFirst);
        if (isFirst) claimed.add(ref);
      } else if (dice < 0.99) {
        table.unclaim();
        claimed.clear();
      } else {
        table.forget();
        held.clear();
        claimed.clear();
      }
    }
    for (let n = 0; n < 60; n++)
      expect(table.holds(`ref ${n}`), `ref ${n} at the end of seed ${seed}`).toBe(holds(`ref ${n}`));
  }

  it("stay apart where a claim's record moves on to another receipt, and where two rows have one", () => {
    const table = new LedgerTable();
    const [first, second] = [table.ensure(1, "1"), table.ensure(1, "2")];
    table.claimAnyway("a");
    table.setReceipt(first, "a");
    table.setReceipt(second, "a");
    table.setReceipt(first, "b");
    table.setReceipt(second, undefined);
    expect(table.holds("a")).toBe(true);
    table.setReceipt(first, undefined);
    expect(table.holds("b")).toBe(false);
    table.unclaim();
    expect(table.holds("a")).toBe(false);
  });
});

it("a set of hashes answers as a plain one does, also where its members crowd", () => {
  for (const seed of seeds(10, 3)) crowd(seed);
});

function crowd(seed: number): void {
  const pick = random(seed);
  const set = new Hash64Set();
  const plain = new Set<number>();
  for (let step = 0; step < 4000; step++) {
    // Zero has a slot value of its own.
    const n = Math.floor(pick() * (step < 2000 ? 40 : 700));
    const hash: Hash64 = { lo: n === 0 ? 0 : n + 1, hi: n % 3 === 0 ? 0 : n };
    expect(set.has(hash)).toBe(plain.has(n));
    if (pick() < 0.5) {
      expect(set.add(hash)).toBe(!plain.has(n));
      plain.add(n);
    } else expect(set.delete(hash)).toBe(plain.delete(n));
  }
}

it("a column gives each row its own word, and takes no memory while all have the same", () => {
  for (const seed of seeds(10, 3)) {
    const pick = random(seed);
    const column = new Column();
    const plain: number[] = [];
    // Beyond two segments; words change seldom, so that some segments have one alone.
    const changes = pick() < 0.5 ? 0.00002 : 0.01;
    let word = 7;
    for (let row = 0; row < 40_000; row++) {
      if (pick() < changes) word = Math.floor(pick() * 2 ** 32);
      column.add(row, word);
      plain.push(word);
      if (pick() < changes) {
        const other = Math.floor(pick() * plain.length);
        const given = Math.floor(pick() * 3) * 0x7fffffff;
        column.set(other, given);
        plain[other] = given;
      }
    }
    for (const [row, expected] of plain.entries())
      if (column.get(row) !== expected) expect.fail(`row ${row} of seed ${seed}`);
  }
});

it("a small folder's table is small, whatever its rows have", () => {
  const before = process.memoryUsage().arrayBuffers;
  const tables = Array.from({ length: 1000 }, () => new LedgerTable());
  for (const table of tables)
    for (let n = 0; n < 10; n++) {
      table.setTraits(table.ensure(n % 3, `id ${n}`), 1, n);
    }
  expect((process.memoryUsage().arrayBuffers - before) / tables.length).toBeLessThan(2000);
});

it("a record with its claim takes some forty-five octets", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const COUNT = 196_000;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const table = new LedgerTable();
  for (let n = 0; n < COUNT; n++) {
    table.claimAnyway(`receipt ${n}`);
    const row = table.ensure(1, String(n));
    table.setState(row, STATE.done);
    table.setReceipt(row, `receipt ${n}`);
  }
  collect();
  expect((process.memoryUsage().arrayBuffers - before) / COUNT).toBeLessThan(46);
  // The first question costs an index, and finds them all.
  for (const n of [0, 1, COUNT - 1]) expect(table.holds(`receipt ${n}`)).toBe(true);
  expect(table.claim(`receipt ${COUNT}`)).toBe(true);
});
