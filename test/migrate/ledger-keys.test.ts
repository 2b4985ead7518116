// The index of records by content key: what it finds, and what a search costs when it was made for an empty folder.

import { createHash } from "node:crypto";
import { expect, test, vi } from "vitest";
import { KeyIndex } from "../../src/migrate/ledger-keys.ts";
import { LedgerTable, STATE } from "../../src/migrate/ledger-table.ts";

const keyOf = (n: number): string => createHash("sha256").update(String(n)).digest("hex");

function addRow(table: LedgerTable, id: number, key: string): number {
  const row = table.ensure(1, String(id));
  table.setState(row, STATE.done);
  table.setKey(row, key);
  return row;
}

test("a search costs the same however many records came after the index was made", () => {
  const table = new LedgerTable();
  const index = new KeyIndex(table);
  for (let n = 0; n < 20_000; n++) index.add(addRow(table, n, keyOf(n)));
  const looks = vi.spyOn(table, "keyWord");
  for (let n = 0; n < 1000; n++) expect(index.take(keyOf(-1 - n), () => "now")).toBe(-1);
  expect(looks.mock.calls.length).toBeLessThan(10_000);
});

test("every record is found once by its key, also of twins, while others come and go", () => {
  const table = new LedgerTable();
  const index = new KeyIndex(table);
  const KEYS = 700;
  const expected = new Map<number, Set<number>>();
  const take = (n: number): void => {
    const rows = expected.get(n) ?? new Set();
    const row = index.take(keyOf(n), () => "now");
    if (rows.size === 0) expect(row).toBe(-1);
    else expect(rows.delete(row)).toBe(true);
  };
  for (let id = 0; id < 5000; id++) {
    const n = (id * 31) % KEYS;
    const row = addRow(table, id, keyOf(n));
    index.add(row);
    expected.set(n, (expected.get(n) ?? new Set()).add(row));
    if (id % 3 === 0) take((id * 17) % KEYS);
  }
  for (let n = 0; n < KEYS; n++) while ((expected.get(n)?.size ?? 0) > 0) take(n);
  for (let n = 0; n < KEYS; n++) take(n);
});

test("of twins the one that waits stays where it is, and the others are found behind it", () => {
  const table = new LedgerTable();
  const index = new KeyIndex(table);
  const rows = [0, 1, 2].map((id) => addRow(table, id, keyOf(7)));
  for (const row of rows) index.add(row);
  for (let id = 3; id < 200; id++) index.add(addRow(table, id, keyOf(id + 1000)));
  const taken = new Set([1, 2].map(() => index.take(keyOf(7), (row) => (row === rows[1] ? "later" : "now"))));
  expect(taken).toEqual(new Set([rows[0], rows[2]]));
  expect(index.take(keyOf(7), () => "now")).toBe(rows[1]);
});
