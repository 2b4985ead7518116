// Later changes of traits, held compactly: two numbers a change, and each distinct change once.

import { applyChange } from "../../mail/fidelity.ts";
import type { TraitChange, Traits } from "../../mail/model.ts";
import type { UpdateRecord } from "./record.ts";
import { parseRef } from "./ref.ts";

interface Column {
  /** Offsets of the messages that changed, and which change each is, in the order of the manifest until they are sorted. */
  offsets: number[];
  changes: number[];
  sorted: boolean;
}

export interface Changes {
  add(record: UpdateRecord): void;
  /** The traits of the message at this place after all changes, in the order in which they were added. */
  fold(zip: number, entry: string, offset: number, traits: Traits): Traits;
}

export function collectChanges(): Changes {
  const distinct: TraitChange[] = [];
  const numbers = new Map<string, number>();
  const columns = new Map<string, Column>();

  const numberOf = (change: TraitChange): number => {
    const name = JSON.stringify(
      [change.add, change.remove].map((side) => [side.flags, side.keywords, side.labels].map((set) => [...set])),
    );
    const known = numbers.get(name);
    if (known !== undefined) return known;
    numbers.set(name, distinct.length);
    return distinct.push(change) - 1;
  };
  const sort = (column: Column): void => {
    const order = Uint32Array.from(column.offsets.keys());
    const { offsets, changes } = column;
    // By offset, then by age.
    order.sort((a, b) => (offsets[a] ?? 0) - (offsets[b] ?? 0) || a - b);
    column.offsets = Array.from(order, (i) => offsets[i] ?? 0);
    column.changes = Array.from(order, (i) => changes[i] ?? 0);
    column.sorted = true;
  };

  return {
    add(record) {
      const place = parseRef(record.ref);
      // A change of nothing that could be: it names no message, so none can miss it.
      if (place === undefined) return;
      const name = `${place.zip}/${place.entry}`;
      let column = columns.get(name);
      if (column === undefined) {
        column = { offsets: [], changes: [], sorted: false };
        columns.set(name, column);
      }
      column.offsets.push(place.offset);
      column.changes.push(numberOf(record.change));
      column.sorted = false;
    },
    fold(zip, entry, offset, traits) {
      const column = columns.get(`${zip}/${entry}`);
      if (column === undefined) return traits;
      if (!column.sorted) sort(column);
      let low = 0;
      let high = column.offsets.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((column.offsets[middle] ?? 0) < offset) low = middle + 1;
        else high = middle;
      }
      let folded = traits;
      for (; column.offsets[low] === offset; low++) {
        const change = distinct[column.changes[low] ?? 0];
        if (change !== undefined) folded = applyChange(folded, change);
      }
      return folded;
    },
  };
}
