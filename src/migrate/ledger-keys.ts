// Records by the hash of their content key, built only when the first unknown origin asks for one.

import { hash64 } from "./ledger-hash.ts";
import { BIT, type LedgerTable, STATE } from "./ledger-table.ts";

/** May this row be taken over: now, perhaps later, or never again in this run? */
export type Eligible = (row: number) => "now" | "later" | "never";

/** Rows in chains by key: any number of twins costs one step each, since a row that is taken or ruled out leaves its chain. */
export class KeyIndex {
  readonly #table: LedgerTable;
  /** As many as there are rows, or more, so that a chain stays short however many come later. */
  #heads: Uint32Array;
  #next: Uint32Array;

  constructor(table: LedgerTable) {
    this.#table = table;
    const count = Math.max(table.count, 16);
    this.#heads = new Uint32Array(2 ** Math.ceil(Math.log2(count)));
    this.#next = new Uint32Array(count);
    // From the newest down, so that the oldest of several twins comes first.
    for (let row = table.count - 1; row >= 0; row--) {
      table.mark(row, BIT.chained, false);
      const state = table.state(row);
      if ((state === STATE.done || state === STATE.altered) && !table.has(row, BIT.taken)) this.add(row);
    }
  }

  /** A row that is in no chain. */
  add(row: number): void {
    if (row >= this.#next.length) {
      const larger = new Uint32Array(Math.max(row + 1, this.#next.length * 2));
      larger.set(this.#next);
      this.#next = larger;
    }
    while (row >= this.#heads.length) this.#split();
    const head = this.#head(this.#table.keyWord(row));
    this.#next[row] = this.#heads[head] ?? 0;
    this.#heads[head] = row + 1;
    this.#table.mark(row, BIT.chained);
  }

  /**
   * The first row that may be taken over and whose key has the same hash, out of its chain; -1 when there is none. Its record
   * alone can tell whether it is the same key.
   */
  take(key: string, eligible: Eligible): number {
    const table = this.#table;
    const hash = hash64(key, { lo: 0, hi: 0 });
    const head = this.#head(hash.lo);
    let before = -1;
    for (let row = (this.#heads[head] ?? 0) - 1; row >= 0; ) {
      const next = (this.#next[row] ?? 0) - 1;
      let verdict: ReturnType<Eligible> = "later";
      if (table.hasKey(row, hash)) verdict = eligible(row);
      if (verdict === "later") before = row;
      else {
        if (before < 0) this.#heads[head] = next + 1;
        else this.#next[before] = next + 1;
        table.mark(row, BIT.chained, false);
        if (verdict === "now") return row;
      }
      row = next;
    }
    return -1;
  }

  /** Twice the chains: each row stays in its chain or goes to that one's new neighbour, in the same order. */
  #split(): void {
    const old = this.#heads;
    this.#heads = new Uint32Array(old.length * 2);
    for (let chain = 0; chain < old.length; chain++) {
      const last = [-1, -1];
      for (let row = (old[chain] ?? 0) - 1; row >= 0; ) {
        const next = (this.#next[row] ?? 0) - 1;
        const head = this.#head(this.#table.keyWord(row));
        const side = head === chain ? 0 : 1;
        const before = last[side] ?? -1;
        if (before < 0) this.#heads[head] = row + 1;
        else this.#next[before] = row + 1;
        this.#next[row] = 0;
        last[side] = row;
        row = next;
      }
    }
  }

  #head(word: number): number {
    return word & (this.#heads.length - 1);
  }
}
