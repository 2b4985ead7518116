// The ledger of one target folder: answers from memory, writes in batches, one fdatasync each.

import { GroupCommit } from "../core/group.ts";
import { frame } from "../core/lines.ts";
import type { ContentKey } from "../mail/key.ts";
import { type FolderPath, type Origin, samePath } from "../mail/model.ts";
import type { Receipt, Stood } from "../sinks/sink.ts";
import type { DoneRecord, FolderLedger, Head, Known, LedgerRecord } from "./ledger.ts";
import {
  announcedIn,
  type CloseLine,
  type Closing,
  closeLine,
  decode,
  doneRecord,
  type JournalLine,
  recordLine,
  type Stamp,
  seenFirst,
  stoodOf,
} from "./ledger-codec.ts";
import type { JournalStore } from "./ledger-file.ts";
import { KnownRow } from "./ledger-known.ts";
import { liveLines, replant } from "./ledger-live.ts";
import { LedgerState } from "./ledger-state.ts";
import { BIT, STATE } from "./ledger-table.ts";

/** Lines a batch: bounds the memory of one write, far above what a disk gains by more. */
const BATCH = 4096;
/** A journal shorter than this is never worth a compaction. */
const SMALL = 64;

interface CloseRequest {
  readonly close: true;
  readonly position: string | undefined;
  readonly heads: readonly { readonly source: FolderPath; readonly head: Head }[];
  readonly stand: string | undefined;
}

type Request = JournalLine | CloseRequest | { readonly all: readonly JournalLine[] };

/** What a folder's ledger needs of the ledger that it is part of. */
export interface Surroundings {
  notice(text: string): void;
  /** What is written now bears it; undefined where no run began. */
  stamp(): Stamp | undefined;
  onDispose(): void;
  /** See LedgerOptions. */
  readonly keepsAnnounced: boolean;
}

/** Reads the journal and keeps what it says. MailError io when it cannot be read; damage is told through `notice`. */
export async function loadFolder(store: JournalStore, name: string, around: Surroundings): Promise<FolderLedger> {
  const state = new LedgerState(around.keepsAnnounced);
  let bad = 0;
  for await (const lines of store.scan())
    for (const { text, offset, torn } of lines) {
      const line = text === undefined ? undefined : decode(text);
      if (line !== undefined) state.apply(line, offset, false);
      else if (torn) store.cut(offset);
      else bad++;
      // A closing mark before a torn line closed nothing: something was written after it.
      if (line === undefined) state.closedRun = undefined;
    }
  if (bad > 0)
    around.notice(
      `The ledger of ${name} has ${bad} damaged lines; all others hold, and the target is looked at for the rest.`,
    );
  return new JournalFolder(store, state, name, bad > 0, around);
}

class JournalFolder implements FolderLedger {
  readonly #store: JournalStore;
  readonly #state: LedgerState;
  readonly #name: string;
  readonly #around: Surroundings;
  readonly #writes: GroupCommit<Request, undefined>;
  /** Lines were lost: a copy is kept aside and the rest written anew before anything is appended. */
  #damaged: boolean;
  /** The run that `begin` opened. */
  #open: { readonly generation: string; readonly durable: Promise<undefined> } | undefined;
  #generation: string | undefined;
  #position: string | undefined;
  /** Counts the compactions: after one, every offset is another. */
  #epoch = 0;
  #disposed = false;
  readonly brokenOffAt: number | undefined;

  constructor(store: JournalStore, state: LedgerState, name: string, damaged: boolean, around: Surroundings) {
    this.#store = store;
    this.#state = state;
    this.#name = name;
    this.#damaged = damaged;
    this.#around = around;
    this.#generation = state.generation;
    this.#position = state.position;
    this.brokenOffAt = this.clean ? undefined : store.writtenAt;
    this.#writes = new GroupCommit((requests) => this.#write(requests), { maxItems: BATCH });
  }

  get run(): number | undefined {
    return this.#around.stamp()?.run;
  }

  get size(): number {
    return this.#state.table.size;
  }

  get clean(): boolean {
    const { closedRun } = this.#state;
    return this.#open === undefined && !this.#damaged && closedRun !== undefined && closedRun === this.#store.runs;
  }

  get sinkGeneration(): string | undefined {
    return this.#generation;
  }

  get begunGeneration(): string | undefined {
    return this.#open?.generation;
  }

  get sinkPosition(): string | undefined {
    return this.#position;
  }

  get stood(): Stood {
    const { stand, table, newest } = this.#state;
    return stoodOf(stand, table.size - table.nameless(), newest);
  }

  head(source: FolderPath): Head | undefined {
    return this.#state.head(source);
  }

  heads(): readonly FolderPath[] {
    return this.#state.heads.map(({ source }) => source);
  }

  get nameless(): number {
    return this.#state.table.nameless();
  }

  async begin(sinkGeneration: string): Promise<void> {
    if (this.#open?.generation !== sinkGeneration) {
      const durable = this.#request({ s: "open", n: 0, g: sinkGeneration });
      this.#open = { generation: sinkGeneration, durable };
      // Tried again, it must be written again; the caller has the rejection itself.
      durable.catch(() => {
        this.#open = undefined;
      });
    }
    await this.#open.durable;
  }

  find(origin: Origin): Known | undefined {
    const { table } = this.#state;
    const row = this.#state.find(origin);
    if (row < 0) return undefined;
    table.mark(row, BIT.listed);
    const state = table.stateName(row);
    return state === "none" ? undefined : new KnownRow(this.#state, this.#store, row, state, origin.id);
  }

  relist(): void {
    this.#state.relist();
  }

  listedAll(source: FolderPath, generation: string): void {
    const { scopes } = this.#state;
    scopes.listAll(scopes.find(source, generation, true));
  }

  async adopt(origin: Origin, key: ContentKey, announced?: number): Promise<DoneRecord | undefined> {
    const state = this.#state;
    const reserved: number[] = [];
    try {
      for (;;) {
        const row = state.take(origin, key);
        if (row < 0) return undefined;
        reserved.push(row);
        const line = decode(await this.#store.lineAt(state.table.offset(row)));
        // The index has a hash of the key: the record itself has the word.
        if (line === undefined || (line.s !== "done" && line.s !== "altered") || line.k !== key) continue;
        const days = [line.c, state.table.seen(row) ?? line.c, this.firstSeen(origin) ?? line.c];
        const record: DoneRecord = {
          ...doneRecord(line),
          origin,
          firstSeen: Math.min(...days),
          ...(announced === undefined ? {} : { announced }),
        };
        if (line.r !== undefined) state.table.claimAnyway(line.r);
        const from = { folder: line.f, generation: line.g, id: line.i };
        await this.#request(recordLine(record, this.#around.stamp(), from));
        reserved.pop();
        return record;
      }
    } finally {
      for (const row of reserved) state.giveBack(row);
    }
  }

  async displace(origin: Origin): Promise<void> {
    const known = this.find(origin);
    const record = await known?.read();
    if (record === undefined || known?.state === "removed") return;
    const base = `sha256:${record.key}`;
    let id = base;
    for (let nth = 2; this.#isHeld({ ...origin, id }); nth++) id = `${base}#${nth}`;
    if (record.receipt !== undefined) this.#state.table.claimAnyway(record.receipt.ref);
    const to = { ...origin, id };
    await this.#request(recordLine({ ...record, origin: to }, this.#around.stamp(), origin));
    this.#state.release(to);
  }

  #isHeld(origin: Origin): boolean {
    const row = this.#state.find(origin);
    return row >= 0 && this.#state.table.stateName(row) !== "none";
  }

  holds(receipt: Receipt): boolean {
    return this.#state.table.holds(receipt.ref);
  }

  claim(receipt: Receipt): boolean {
    return this.#state.table.claim(receipt.ref);
  }

  unclaim(): void {
    this.#state.table.unclaim();
  }

  mayHold(origin: Origin): boolean {
    const row = this.#state.find(origin);
    return (row >= 0 && this.#state.table.stateName(row) !== "none") || this.#state.mayTake(origin);
  }

  async put(record: LedgerRecord): Promise<void> {
    await this.#request(this.#lineOf(record));
  }

  async putAll(records: readonly LedgerRecord[]): Promise<void> {
    if (records.length > 0) await this.#request({ all: records.map((record) => this.#lineOf(record)) });
  }

  #lineOf(record: LedgerRecord): JournalLine {
    const line = recordLine(record, this.#around.stamp());
    if (line.s !== "done" && line.s !== "altered") return line;
    if (line.r !== undefined) this.#state.table.claimAnyway(line.r);
    const seen = this.firstSeen(record.origin);
    return seen === undefined || seen >= line.c ? line : seenFirst(line, seen);
  }

  settle(origin: Origin): boolean {
    return this.#state.table.mark(this.#state.ensure(origin), BIT.settled);
  }

  async *records(source?: FolderPath): AsyncGenerator<DoneRecord> {
    const { table } = this.#state;
    const epoch = this.#epoch;
    // A record written again meanwhile moves to the end: it is met there, once, and new ones are left out.
    const count = table.count;
    const given = new Uint8Array((count + 7) >> 3);
    let end = 0;
    do {
      const from = end;
      end = this.#store.size;
      for await (const lines of this.#store.scan(from === 0 ? undefined : from)) {
        for (const { text, offset } of lines) {
          if (this.#epoch !== epoch) throw new Error("the ledger was compacted while its records were read");
          const line = text === undefined ? undefined : decode(text);
          if (line === undefined || (line.s !== "done" && line.s !== "altered")) continue;
          if (source !== undefined && !samePath(line.f, source)) continue;
          const row = this.#state.find({ folder: line.f, generation: line.g, id: line.i });
          if (row < 0 || row >= count || table.offset(row) !== offset) continue;
          const state = table.state(row);
          const bit = 1 << (row & 7);
          if ((state !== STATE.done && state !== STATE.altered) || ((given[row >> 3] ?? 0) & bit) !== 0) continue;
          given[row >> 3] = (given[row >> 3] ?? 0) | bit;
          yield doneRecord(line);
        }
      }
    } while (this.#store.size > end);
  }

  async *sizes(source: FolderPath): AsyncGenerator<{ readonly announced: number; readonly size: number }> {
    for await (const lines of this.#store.scan())
      for (const { text } of lines) {
        const line = text === undefined ? undefined : decode(text);
        if (line === undefined || (line.s !== "done" && line.s !== "altered") || !samePath(line.f, source)) continue;
        const announced = announcedIn(line);
        if (announced !== undefined) yield { announced, size: line.n };
      }
  }

  async forget(): Promise<void> {
    await this.#request({ s: "forget" });
  }

  firstSeen(origin: Origin): number | undefined {
    const row = this.#state.find(origin);
    return row < 0 ? undefined : this.#state.table.seen(row);
  }

  async close(position: string | undefined, heads: CloseRequest["heads"], stand?: string): Promise<void> {
    await this.#request({ close: true, position, heads, stand });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#writes.idle();
    await this.#store.close();
    this.#around.onDispose();
  }

  #request(request: Request): Promise<undefined> {
    if (this.#disposed) return Promise.reject(new Error(`the ledger of ${this.#name} is closed already`));
    return this.#writes.add(request);
  }

  async #write(requests: readonly Request[]): Promise<{ value: undefined }[]> {
    await this.#mend();
    let lines: JournalLine[] = [];
    for (const request of requests) {
      if (!("close" in request)) {
        if ("all" in request) lines.push(...request.all);
        else lines.push(request);
        continue;
      }
      await this.#append(lines);
      lines = [];
      await this.#close(request);
    }
    await this.#append(lines);
    return requests.map(() => ({ value: undefined }));
  }

  async #append(lines: readonly JournalLine[]): Promise<void> {
    if (lines.length === 0) return;
    const { runs } = this.#store;
    let run = runs ?? this.#state.highestRun;
    const numbered: JournalLine[] = [];
    // A line after a closing mark opens a run even if nobody began one: a lost end can then be told.
    if (this.#state.closedRun !== undefined && lines[0]?.s !== "open") numbered.push({ s: "open", n: ++run });
    for (const line of lines) numbered.push(line.s === "open" ? { ...line, n: ++run } : line);
    const texts = numbered.map((line) => frame(JSON.stringify(line)));
    let offset = await this.#store.append(texts.join(""), run === runs ? undefined : run);
    let next = 0;
    for (const line of numbered) {
      this.#state.apply(line, offset, true);
      offset += texts[next++]?.length ?? 0;
    }
    if (lines.some(({ s }) => s === "forget")) {
      this.#generation = undefined;
      this.#position = undefined;
    }
  }

  async #close({ position, heads, stand }: CloseRequest): Promise<void> {
    const state = this.#state;
    const kept = state.heads.filter(({ source }) => !heads.some((entry) => samePath(entry.source, source)));
    const all = [...kept, ...heads];
    const generation = this.#open?.generation ?? state.generation;
    const said = { ...this.#says(), generation, position, heads: all, stand: stand ?? state.stand };
    const mark = (run: number): CloseLine => closeLine(run, { ...said, by: this.#around.stamp()?.run });
    const run = this.#store.runs ?? state.highestRun;
    const isSame = this.clean && JSON.stringify(closeLine(run, said)) === JSON.stringify(this.#closing());
    if (!isSame) {
      if (!(await this.#compacted(mark))) await this.#appendMark(mark);
      this.#generation = generation;
      this.#position = position;
    }
    this.#open = undefined;
  }

  /** The closing mark as it stands. */
  #closing(): JournalLine {
    return closeLine(this.#state.closedRun ?? -1, this.#says());
  }

  /** What a closing mark says as things stand. */
  #says(): Closing {
    const { generation, position, heads, stand, newest, table } = this.#state;
    return { generation, position, heads, stand, newest, recorded: table.size - table.nameless(), by: undefined };
  }

  async #appendMark(mark: (run: number) => JournalLine): Promise<void> {
    // Two closing marks never have one number, else a journal cut back to the first would pass for whole.
    if (this.#state.closedRun !== undefined || this.#store.runs === undefined)
      await this.#append([{ s: "open", n: 0 }]);
    const line = mark(this.#store.runs ?? 0);
    const offset = await this.#store.append(frame(JSON.stringify(line)), undefined);
    this.#state.apply(line, offset, true);
  }

  /** Closes by writing only what still counts, when that is less than half; false when it is not, or cannot be. */
  async #compacted(mark: (run: number) => JournalLine): Promise<boolean> {
    const { lines } = this.#state;
    if (lines < SMALL || this.#state.liveLines() * 2 >= lines) return false;
    const run = (this.#store.runs ?? this.#state.highestRun) + 1;
    try {
      await this.#rewrite(run, frame(JSON.stringify(mark(run))));
    } catch (error) {
      this.#around.notice(`The ledger of ${this.#name} could not be made smaller: ${String(error)}`);
      return false;
    }
    return true;
  }

  async #rewrite(run: number, last: string): Promise<void> {
    await this.#store.replace(liveLines(this.#store, this.#state, last), run);
    this.#epoch++;
    await replant(this.#store, this.#state);
  }

  /**
   * Damage found on opening: the file as it was is kept, and what still holds is written anew. A file of an older version is
   * written anew as well, with everything that it says.
   */
  async #mend(): Promise<void> {
    const { runs, size, isOld } = this.#store;
    const isWhole = runs !== undefined || size === 0;
    if (!this.#damaged && isWhole) {
      if (isOld && runs !== undefined) await this.#renew(runs);
      return;
    }
    if (this.#damaged) {
      const copy = await this.#store.setAside();
      if (copy !== undefined) this.#around.notice(`The damaged ledger of ${this.#name} is kept as ${copy}.`);
    }
    await this.#rewrite(this.#state.highestRun + 1, "");
    this.#damaged = false;
  }

  async #renew(runs: number): Promise<void> {
    const { closedRun, generation } = this.#state;
    // Not clean: it is closed as it was at some time before, and then opened.
    const close = closeLine(closedRun ?? runs, this.#says());
    const open: JournalLine = { s: "open", n: runs + 1, ...(generation === undefined ? {} : { g: generation }) };
    const lines = closedRun === runs ? [close] : [close, open];
    const last = lines.map((line) => frame(JSON.stringify(line))).join("");
    await this.#rewrite(closedRun === runs ? runs : runs + 1, last);
  }
}
