// What a journal says, line by line, kept in memory: the same for lines read back and for lines just written.

import { type FolderPath, type Origin, samePath, type Traits } from "../mail/model.ts";
import type { Head } from "./ledger.ts";
import {
  announcedIn,
  type CloseLine,
  type DoneLine,
  flagBits,
  headsOf,
  type JournalLine,
  letterBits,
  type WitnessLine,
} from "./ledger-codec.ts";
import { hash32, hash64 } from "./ledger-hash.ts";
import { KeyIndex } from "./ledger-keys.ts";
import { Scopes } from "./ledger-scopes.ts";
import { BIT, LedgerTable, STATE } from "./ledger-table.ts";

/** Copies by which a store is known again. */
const NEWEST = 4;
const DELETED = flagBits(new Set(["deleted"]));

export class LedgerState {
  readonly table = new LedgerTable();
  readonly scopes = new Scopes();
  /** Built when first asked for; kept up to date from then on. */
  #keys: KeyIndex | undefined;
  /** Scopes of which the index has dropped rows for good, since their origins were met. */
  readonly #dropped = new Set<number>();
  heads: { readonly source: FolderPath; readonly head: Head }[] = [];
  generation: string | undefined;
  position: string | undefined;
  /** Where the sink folder stood at the last close, in its own words. */
  stand: string | undefined;
  /** The newest copies, the newest last. */
  newest: readonly WitnessLine[] = [];
  /** Lines of the journal, for knowing how much of it is stale. */
  lines = 0;
  /** The highest number of a run met in the journal. */
  highestRun = 0;
  /** The number of the run that the last line closed; undefined when the last line is no closing mark. */
  closedRun: number | undefined;

  readonly #keepsAnnounced: boolean;

  constructor(keepsAnnounced = false) {
    this.#keepsAnnounced = keepsAnnounced;
  }

  /** The row of an origin; -1 when nothing is known of it. */
  find(origin: Origin): number {
    const scope = this.scopes.find(origin.folder, origin.generation, false);
    return scope < 0 ? -1 : this.table.find(scope, origin.id);
  }

  ensure(origin: Origin): number {
    return this.table.ensure(this.scopes.find(origin.folder, origin.generation, true), origin.id);
  }

  /** Takes in one line that stands at an offset. `fresh`: it was written in this run, for an origin that was met in it. */
  apply(line: JournalLine, offset: number, fresh: boolean): void {
    this.lines++;
    if (line.s === "close") {
      this.#close(line);
      return;
    }
    this.closedRun = undefined;
    switch (line.s) {
      case "open":
        this.highestRun = Math.max(this.highestRun, line.n);
        // What this run stored belongs to its generation; a position of another one means nothing.
        if (line.g !== undefined && line.g !== this.generation) {
          this.position = undefined;
          this.stand = undefined;
          this.generation = line.g;
        }
        return;
      case "forget":
        this.forget();
        return;
      case "done":
      case "altered":
        this.#record(line, offset, fresh);
        return;
      default: {
        const row = this.ensure({ folder: line.f, generation: line.g, id: line.i });
        const { table } = this;
        if (line.s === "seen") {
          const seen = table.seen(row);
          table.setSeen(row, seen === undefined ? line.c : Math.min(seen, line.c));
          return;
        }
        table.setState(row, STATE[line.s]);
        if (fresh) table.mark(row, BIT.listed);
        if (line.s === "failed") {
          table.mark(row, BIT.record, false);
          table.setReceipt(row, undefined);
          table.setOffset(row, offset);
        }
      }
    }
  }

  #record(line: DoneLine, offset: number, fresh: boolean): void {
    const { table } = this;
    if (line.o !== undefined) {
      const old = this.find({ folder: line.o.f, generation: line.o.g, id: line.o.i });
      if (old >= 0) this.#vacate(old);
    }
    const row = this.ensure({ folder: line.f, generation: line.g, id: line.i });
    const chained = table.has(row, BIT.chained);
    if (chained && this.#keys !== undefined && !table.hasKey(row, hash64(line.k, { lo: 0, hi: 0 })))
      this.#keys = undefined;
    table.setState(row, STATE[line.s]);
    table.setKey(row, line.k);
    table.setOffset(row, offset);
    if (table.setReceipt(row, line.r) && line.s === "done" && line.r !== undefined)
      this.newest = [...this.newest.slice(1 - NEWEST), { ...line, r: line.r }];
    const isPlain = line.w === undefined && line.l === undefined;
    table.setTraits(row, letterBits(line.t), isPlain ? 0 : setHash(line.w ?? [], line.l ?? []));
    const seen = table.seen(row);
    table.setSeen(row, seen === undefined ? line.c : Math.min(seen, line.c));
    if (this.#keepsAnnounced) table.setAnnounced(row, announcedIn(line));
    table.mark(row, BIT.record);
    table.mark(row, BIT.marked, line.m === 1);
    table.mark(row, BIT.taken, false);
    if (fresh) table.mark(row, BIT.listed);
    // Its origin was met, so only a generation yet to come could take it over.
    if (fresh && !chained) this.#dropped.add(table.scope(row));
    else if (!chained) this.#keys?.add(row);
  }

  /** The record has gone to another origin, its day with it. */
  #vacate(row: number): void {
    const { table } = this;
    table.setState(row, STATE.none);
    table.mark(row, BIT.record, false);
    table.setReceipt(row, undefined);
    table.setSeen(row, undefined);
  }

  #close(line: CloseLine): void {
    this.highestRun = Math.max(this.highestRun, line.n);
    this.closedRun = line.n;
    this.generation = line.g;
    this.position = line.p;
    this.heads = headsOf(line);
    this.stand = line.q;
    // After a compaction the lines are in another order.
    if (line.w !== undefined) this.newest = line.w;
  }

  forget(): void {
    this.table.forget();
    this.#keys = undefined;
    this.heads = [];
    this.generation = undefined;
    this.position = undefined;
    this.stand = undefined;
    this.newest = [];
  }

  head(source: FolderPath): Head | undefined {
    return this.heads.find((entry) => samePath(entry.source, source))?.head;
  }

  /** Whether a row has these traits; the received date is not compared, as no store can change it. */
  sameTraits(row: number, traits: Traits): boolean {
    const { table } = this;
    if (!table.has(row, BIT.record)) return false;
    const flags = flagBits(traits.flags);
    const isOurMark = this.hasOurMark(row) && table.flags(row) === (flags & ~DELETED);
    if (table.flags(row) !== flags && !isOurMark) return false;
    const isPlain = traits.keywords.size === 0 && traits.labels.size === 0;
    return table.traits(row) === (isPlain ? 0 : setHash(traits.keywords, traits.labels));
  }

  hasOurMark(row: number): boolean {
    const { table } = this;
    return table.has(row, BIT.marked) && (table.flags(row) & DELETED) === 0;
  }

  /** False where `take` finds nothing, whatever the key. */
  mayTake(origin: Origin): boolean {
    const { table, scopes } = this;
    const own = scopes.find(origin.folder, origin.generation, true);
    // Nothing here can be taken over, as in every first run: then this costs nothing, however many there are.
    return table.unlisted > 0 || scopes.generationsOf(scopes.folderOf(own)) > 1;
  }

  /** Nothing counts as met any more. */
  relist(): void {
    for (let row = 0; row < this.table.count; row++) this.table.mark(row, BIT.listed, false);
    this.scopes.unlistAll();
    // The index leaves out what was met.
    this.#keys = undefined;
    this.#dropped.clear();
  }

  /** An origin counts as not met: its record may be taken over. */
  release(origin: Origin): void {
    const row = this.find(origin);
    if (row < 0) return;
    this.table.mark(row, BIT.listed, false);
    // The index leaves out what was met.
    this.#keys = undefined;
    this.#dropped.clear();
  }

  /** Reserves the row whose record this origin may take over; -1 when there is none. */
  take(origin: Origin, key: string): number {
    const { table, scopes } = this;
    const own = scopes.find(origin.folder, origin.generation, true);
    const folder = scopes.folderOf(own);
    if (!this.mayTake(origin)) return -1;
    const isOlder = (scope: number): boolean =>
      scopes.folderOf(scope) === folder && scopes.generationOf(scope) !== origin.generation;
    // A generation that changes in the middle of a run makes records eligible that were dropped before.
    if (this.#keys === undefined || some(this.#dropped, isOlder)) {
      this.#keys = new KeyIndex(table);
      this.#dropped.clear();
    }
    const row = this.#keys.take(key, (candidate) => {
      const state = table.state(candidate);
      if (state !== STATE.done && state !== STATE.altered) return "never";
      const scope = table.scope(candidate);
      if (isOlder(scope)) return "now";
      if (table.has(candidate, BIT.listed)) {
        this.#dropped.add(scope);
        return "never";
      }
      return scopes.isListed(scope) ? "now" : "later";
    });
    if (row >= 0) table.mark(row, BIT.taken);
    return row;
  }

  /** Gives a reserved row back. */
  giveBack(row: number): void {
    this.table.mark(row, BIT.taken, false);
    if (!this.table.has(row, BIT.chained)) this.#keys?.add(row);
  }

  /** Lines that a journal with nothing stale would have, marks left out. */
  liveLines(): number {
    const { table } = this;
    let live = 0;
    for (let row = 0; row < table.count; row++) {
      const state = table.state(row);
      const hasRecord = table.has(row, BIT.record);
      if (hasRecord) live++;
      else if (table.seen(row) !== undefined) live++;
      if (state === STATE.removed || state === STATE.failed) live++;
    }
    return live;
  }
}

function some<T>(items: Iterable<T>, test: (item: T) => boolean): boolean {
  for (const item of items) if (test(item)) return true;
  return false;
}

// Sorted, and in lower case where case means nothing: the hash is of the sets. Seeded a process, so that two sets which
// happen to look alike (1 in 4 billion) do so in one run alone.
function setHash(keywords: Iterable<string>, labels: Iterable<string>): number {
  const words = [...keywords].map((keyword) => keyword.toLowerCase()).sort();
  return hash32(JSON.stringify([words, [...labels].sort()]));
}
