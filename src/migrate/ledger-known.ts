// What the ledger answers about one origin.

import type { ErrorCode } from "../mail/errors.ts";
import type { Traits } from "../mail/model.ts";
import type { DoneRecord, Known, LedgerRecord } from "./ledger.ts";
import { decode, doneRecord } from "./ledger-codec.ts";
import type { JournalStore } from "./ledger-file.ts";
import type { LedgerState } from "./ledger-state.ts";
import { BIT } from "./ledger-table.ts";

export class KnownRow implements Known {
  readonly #ledger: LedgerState;
  readonly #store: JournalStore;
  readonly #row: number;
  readonly #id: string;
  readonly state: LedgerRecord["state"];

  constructor(ledger: LedgerState, store: JournalStore, row: number, state: LedgerRecord["state"], id: string) {
    this.#ledger = ledger;
    this.#store = store;
    this.#row = row;
    this.#id = id;
    this.state = state;
  }

  sameTraits(traits: Traits): boolean {
    return this.#ledger.sameTraits(this.#row, traits);
  }

  get hasOurMark(): boolean {
    return this.#ledger.hasOurMark(this.#row);
  }

  get announced(): number | undefined {
    return this.#ledger.table.announced(this.#row);
  }

  async failure(): Promise<ErrorCode | undefined> {
    const { table } = this.#ledger;
    if (this.state !== "failed") return undefined;
    const line = decode(await this.#store.lineAt(table.offset(this.#row)));
    return line?.s === "failed" && line.i === this.#id ? (line.e as ErrorCode) : undefined;
  }

  async read(): Promise<DoneRecord | undefined> {
    const { table } = this.#ledger;
    if (!table.has(this.#row, BIT.record)) return undefined;
    const line = decode(await this.#store.lineAt(table.offset(this.#row)));
    const isDone = line !== undefined && (line.s === "done" || line.s === "altered");
    // A hash can deceive; the line cannot.
    return isDone && line.i === this.#id ? doneRecord(line) : undefined;
  }
}
