// Records taken over by new origins: a UIDVALIDITY changed, UIDLs changed, an mbox grew; and twins stay as many as they were.

import { afterEach, describe, expect, it, vi } from "vitest";
import type { ContentKey } from "../../src/mail/key.ts";
import { memoryLedger, openLedger } from "../../src/migrate/journal.ts";
import { hash64 } from "../../src/migrate/ledger-hash.ts";
import { LedgerTable } from "../../src/migrate/ledger-table.ts";
import { all, done, INBOX, keyOf, origin, PAIR, scratch } from "./journal-kit.ts";

const same = { key: keyOf("twin") };

/** Two keys that are in one chain of the index however long it is; the seed is another in each process. */
function alike(): readonly [ContentKey, ContentKey] {
  const seen = new Map<number, ContentKey>();
  for (let n = 0; n < 2_000_000; n++) {
    const key = keyOf(String(n));
    const { lo } = hash64(key, { lo: 0, hi: 0 });
    const twin = seen.get(lo);
    if (twin !== undefined) return [twin, key];
    seen.set(lo, key);
  }
  throw new Error("no two keys have the same 32 bits");
}

afterEach(() => vi.restoreAllMocks());

describe("a record is taken over", () => {
  it("from another generation of the same folder, durably, and once", async () => {
    await using place = await scratch();
    const old = done(origin("1"), { firstSeen: 50, proved: true });
    {
      await using ledger = await openLedger(place.path, PAIR);
      await (await ledger.folder("INBOX")).put(old);
    }
    const moved = { ...old, origin: origin("41", "8") };
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(await folder.adopt(moved.origin, old.key)).toEqual(moved);
      expect(await folder.adopt(origin("42", "8"), old.key)).toBeUndefined();
      expect(folder.find(old.origin)).toBeUndefined();
      expect(folder.firstSeen(old.origin)).toBeUndefined();
      expect(folder.size).toBe(1);
    }
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect(await all(folder)).toEqual([moved]);
    expect(folder.find(old.origin)).toBeUndefined();
    expect(folder.claim({ ref: "1:7-1" })).toBe(false);
  });

  it("only by the whole of its key, whatever other keys look the same to the index", async () => {
    const [first, second] = alike();
    // As if their hashes were the same as a whole.
    vi.spyOn(LedgerTable.prototype, "hasKey").mockImplementation(function (this: LedgerTable, row, { lo }) {
      return this.keyWord(row) === lo;
    });
    for (const [key, other] of [
      [first, second],
      [second, first],
    ] as const) {
      await using place = await scratch();
      {
        await using ledger = await openLedger(place.path, PAIR);
        const folder = await ledger.folder("INBOX");
        for (const id of ["1", "2"]) await folder.put(done(origin(id), { key: other }));
        await folder.put(done(origin("own"), { key }));
        await folder.put(done(origin("3"), { key: other }));
      }
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(await folder.adopt(origin("41", "8"), key)).toMatchObject({ key, receipt: { ref: "1:7-own" } });
      expect(await folder.adopt(origin("42", "8"), key)).toBeUndefined();
      const refs: unknown[] = [];
      for (const id of ["51", "52", "53"]) refs.push((await folder.adopt(origin(id, "8"), other))?.receipt?.ref);
      expect(refs.sort()).toEqual(["1:7-1", "1:7-2", "1:7-3"]);
      expect(await folder.adopt(origin("54", "8"), other)).toBeUndefined();
      expect(folder.size).toBe(4);
    }
  });

  it("by both of two that look the same to the index, at the same time: what one looks at is not hidden from the other", async () => {
    const [first, second] = alike();
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      for (const [id, key] of [first, second, second, first].entries())
        await folder.put(done(origin(String(id)), { key }));
    }
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    const wanted = [second, first, first, second];
    const taken = await Promise.all(wanted.map((key, i) => folder.adopt(origin(`new ${i}`, "8"), key)));
    expect(taken.map((record) => record?.key)).toEqual(wanted);
  });

  it("when its origin was not met although all were, also by another folder of this target", async () => {
    const folder = await memoryLedger().folder("INBOX");
    for (const id of ["1", "2"]) await folder.put(done(origin(id), same));
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const disk = await ledger.folder("INBOX");
      for (const id of ["1", "2"]) await disk.put(done(origin(id), same));
    }
    await using ledger = await openLedger(place.path, PAIR);
    const disk = await ledger.folder("INBOX");
    disk.find(origin("1"));
    expect(await disk.adopt(origin("new"), same.key)).toBeUndefined();
    disk.listedAll(INBOX, "7");
    expect(await disk.adopt(origin("new", "7", ["Other"]), same.key)).toMatchObject({ receipt: { ref: "1:7-2" } });
    expect(await disk.adopt(origin("newer"), same.key)).toBeUndefined();
  });

  it("never from an origin that was met or recorded in this run: its twin gets a copy of its own", async () => {
    const folder = await memoryLedger().folder("INBOX");
    folder.find(origin("1"));
    folder.find(origin("2"));
    folder.listedAll(INBOX, "7");
    await folder.put(done(origin("1"), same));
    expect(await folder.adopt(origin("2"), same.key)).toBeUndefined();
  });

  it("with its copy: nobody else gets that one in this run, even when its new owner has another by then", async () => {
    await using place = await scratch();
    const old = done(origin("1"));
    {
      await using ledger = await openLedger(place.path, PAIR);
      await (await ledger.folder("INBOX")).put(old);
    }
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    const moved = origin("1", "8");
    expect(await folder.adopt(moved, old.key)).toBeDefined();
    await folder.put(done(moved, { key: old.key, receipt: { ref: "1:another" } }));
    expect(folder.claim({ ref: "1:7-1" })).toBe(false);
  });

  it("by as many as there are, however many ask at once", async () => {
    const folder = await memoryLedger().folder("INBOX");
    for (let i = 0; i < 40; i++) await folder.put(done(origin(String(i)), same));
    const got = await Promise.all(Array.from({ length: 100 }, (_, i) => folder.adopt(origin(`${i}`, "8"), same.key)));
    const refs = got.flatMap((record) => (record?.receipt === undefined ? [] : [record.receipt.ref]));
    expect(refs.length).toBe(40);
    expect(new Set(refs).size).toBe(40);
    expect(folder.size).toBe(40);
  });

  it("once more when the generation changes again in the same run", async () => {
    const folder = await memoryLedger().folder("INBOX");
    await folder.put(done(origin("1"), same));
    expect(await folder.adopt(origin("1", "8"), same.key)).toBeDefined();
    expect(await folder.adopt(origin("2", "8"), same.key)).toBeUndefined();
    expect(await folder.adopt(origin("1", "9"), same.key)).toMatchObject({ origin: origin("1", "9") });
    expect(folder.size).toBe(1);
  });

  it("not from a failed, a removed or a forgotten one", async () => {
    const folder = await memoryLedger().folder("INBOX");
    await folder.put(done(origin("1"), same));
    await folder.put({ state: "failed", origin: origin("1"), code: "io" });
    await folder.put(done(origin("2"), same));
    await folder.put({ state: "removed", origin: origin("2") });
    expect(await folder.adopt(origin("1", "8"), same.key)).toBeUndefined();
    await folder.put(done(origin("3"), same));
    await folder.forget();
    expect(await folder.adopt(origin("1", "8"), same.key)).toBeUndefined();
  });

  it("only by the whole key, not by the half that is kept in memory", async () => {
    const folder = await memoryLedger().folder("INBOX");
    const key = keyOf("x");
    const alike = `${key.slice(0, 32)}${keyOf("y").slice(32)}` as typeof key;
    await folder.put(done(origin("1"), { key: alike }));
    await folder.put(done(origin("2"), { key }));
    expect(await folder.adopt(origin("1", "8"), key)).toMatchObject({ receipt: { ref: "1:7-2" } });
    expect(await folder.adopt(origin("2", "8"), key)).toBeUndefined();
    expect(await folder.adopt(origin("3", "8"), alike)).toMatchObject({ receipt: { ref: "1:7-1" } });
  });

  it("in time that does not grow with the number of twins", async () => {
    const folder = await memoryLedger().folder("INBOX");
    const count = 30_000;
    const ids = Array.from({ length: count }, (_, i) => String(i));
    await Promise.all(ids.map((id) => folder.put(done(origin(id), same))));
    const started = performance.now();
    await Promise.all(ids.map((id) => folder.adopt(origin(id, "8"), same.key)));
    // Quadratic, it would take minutes.
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(folder.size).toBe(count);
  });
});
