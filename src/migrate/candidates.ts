// What the target folder holds without our knowing: found once in a streamed pass, and each copy claimed once.

import { hash32 } from "../core/hash.ts";
import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { narrow } from "../mail/fidelity.ts";
import { messageIdOf } from "../mail/headers.ts";
import { type ContentKey, keyOf, plausibleSizes } from "../mail/key.ts";
import { type Likeness, likenessOf } from "../mail/likeness.ts";
import type { Traits } from "../mail/model.ts";
import type { Receipt, SinkFolder } from "../sinks/sink.ts";
import { CopyTable, NO_ID, UNKNOWN_ID } from "./copy-table.ts";
import type { Alike } from "./later.ts";
import type { FolderLedger, LedgerRecord } from "./ledger.ts";

export interface Found {
  readonly receipt: Receipt;
  readonly traits: Traits;
  /** Whether it has this received date; true as well where the store does not tell. */
  receivedAt(epochSeconds: number): boolean;
}

export interface Candidates {
  readonly size: number;
  /** Copies that are still nobody's. */
  left(): number;
  /**
   * The copy of this body that nobody has claimed yet, and claims it; N twins at the source find N twins here. Of several, one
   * with this date, these flags and keywords comes first. `rivals`: how many messages of the same size and of another date are still
   * to be looked for; they may be twins, and a copy of their date is left to them.
   */
  find(body: Body, traits: Traits, signal: AbortSignal, rivals?: RivalsOf): Promise<Found | undefined>;
  /**
   * Whether something is left that has its date, and its Message-ID or about its size: it may be this message as the server altered it.
   * `isSent`: one of them surely is.
   */
  mayHoldAltered(body: Body, traits: Traits, isSent: boolean): boolean;
  /** What is left of that, with how each differs. Claims nothing. */
  alike(body: Body, traits: Traits, isSent: boolean, signal: AbortSignal): Promise<readonly Alike[]>;
  /** Claims one of these; undefined when it is somebody's by now. */
  take(alike: Alike): Found | undefined;
  /** The same as `find` for a message whose bytes are not at hand. */
  findKey(key: ContentKey, size: number, traits: Traits, signal: AbortSignal): Promise<Found | undefined>;
}

export type RivalsOf = (epochSeconds: number) => number;

export const NO_CANDIDATES: Candidates = {
  size: 0,
  left: () => 0,
  find: async () => undefined,
  mayHoldAltered: () => false,
  alike: async () => [],
  take: () => undefined,
  findKey: async () => undefined,
};

/**
 * Reads the folder's listing (after `since` where the store has an order) and keeps the copies that no record names. Throws
 * what the sink throws.
 */
export async function gatherCandidates(
  folder: SinkFolder,
  ledger: FolderLedger,
  since: string | undefined,
  signal: AbortSignal,
): Promise<Candidates> {
  const table = new CopyTable();
  let mayBeAltered = true;
  for await (const { receipt, size, messageId, traits, key } of folder.copies(since, signal)) {
    if (ledger.holds(receipt)) continue;
    const row = table.add(receipt, size, messageId === undefined ? UNKNOWN_ID : hashOf(messageId), traits);
    if (key === undefined) continue;
    table.setKey(row, key);
    // What knows its keys keeps what it is given.
    mayBeAltered = false;
  }
  if (table.count === 0) return NO_CANDIDATES;
  table.index();
  const search = new Search(folder, ledger, table);
  return {
    size: table.count,
    left: () => table.count - search.claimed,
    find: (body, traits, abort, rivals) => search.find(body, traits, abort, rivals),
    mayHoldAltered: (body, traits, isSent) => mayBeAltered && !search.alterable(body, traits, isSent).next().done,
    alike: (body, traits, isSent, abort) => search.alike(body, traits, isSent, abort),
    take: ({ row }) => search.take(row),
    findKey: (key, size, traits, abort) => search.findKey(key, size, traits, abort),
  };
}

export interface Named {
  /** Copies that have another received date: nothing could be asked about them when they were made. */
  readonly redated: number;
  /** Records whose copy is not there: they are done no longer. */
  readonly strays: number;
}

/** Octets by which an altered copy may be larger or smaller beyond a factor of two. */
const ROOM = 64 * 1024;
/** Copies of one Message-ID and date that are compared with a message: those of about its size. */
const MOST_ALIKE = 16;
/** Octets by which a copy may be larger or smaller for another Message-ID, and what a server notes beside it. */
const ROOM_FOR_ID = 1024;
/** Copies of one date and about one size, with other Message-IDs: where there are more, the date says nothing. */
const MOST_RENAMED = 1;
/** Copies of one date, of any size, beyond which it says nothing. */
const MOST_OF_DATE = 256;
/** Records written together. */
const TOGETHER = 256;

/**
 * Gives the done records that have no receipt (the server could not name its copies) the copies that are theirs. Without this a
 * twin that was not copied yet could be taken for one that was. A record for which none is left turns into a failed one, unless the
 * folder keeps equal messages once: the word of a server alone is no copy.
 */
export async function nameCopies(
  folder: SinkFolder,
  candidates: Candidates,
  ledger: FolderLedger,
  signal: AbortSignal,
): Promise<Named> {
  let redated = 0;
  let strays = 0;
  if (ledger.nameless === 0) return { redated, strays };
  let changed: LedgerRecord[] = [];
  for await (const record of ledger.records()) {
    if (record.receipt !== undefined) continue;
    const { kept } = narrow(record.traits, folder.fidelity);
    const found = await candidates.findKey(record.key, record.size, kept, signal);
    // Its bytes were read to find it, which is the proof.
    if (found !== undefined) changed.push({ ...record, receipt: found.receipt, proved: record.state === "done" });
    else if (folder.merges !== true) {
      changed.push({ state: "failed", origin: record.origin, code: "protocol" });
      strays++;
    }
    if (found !== undefined && kept.received !== undefined && !found.receivedAt(kept.received.epochSeconds)) redated++;
    if (changed.length >= TOGETHER) {
      await ledger.putAll(changed);
      changed = [];
    }
  }
  await ledger.putAll(changed);
  return { redated, strays };
}

class Search {
  readonly #folder: SinkFolder;
  readonly #ledger: FolderLedger;
  readonly #table: CopyTable;
  /** Copies that are being read. */
  readonly #reading = new Map<number, Promise<void>>();
  /** Copies that cannot be read: deleted by somebody since, or damaged. They are no copy of anything. */
  readonly #gone = new Set<number>();
  claimed = 0;
  /** Searches under way, and those of them that would only find a copy with another date. */
  #active = 0;
  #waiting: (() => void)[] = [];

  constructor(folder: SinkFolder, ledger: FolderLedger, table: CopyTable) {
    this.#folder = folder;
    this.#ledger = ledger;
    this.#table = table;
  }

  async find(body: Body, traits: Traits, signal: AbortSignal, rivals?: RivalsOf): Promise<Found | undefined> {
    this.#active++;
    try {
      return await this.#seek(body, traits, signal, rivals);
    } finally {
      this.#active--;
      this.#goOn();
    }
  }

  /** Whoever finds his own date comes first: of twins with several dates each gets his, if they are looked for together. */
  #lastTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#goOn();
    });
  }

  #goOn(): void {
    if (this.#waiting.length === 0 || this.#waiting.length < this.#active) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #seek(body: Body, traits: Traits, signal: AbortSignal, rivals?: RivalsOf): Promise<Found | undefined> {
    const messageId = hashOf(messageIdOf(body.head));
    const sizes = plausibleSizes(body.shape);
    const others: number[] = [];
    for (const size of sizes)
      for (const id of [messageId, UNKNOWN_ID])
        for (const row of this.#table.of(size, id)) {
          if (!(await this.#hasKey(row, body.key, signal))) continue;
          if (!this.#isLike(row, traits)) others.push(row);
          else if (this.#claim(row)) return this.#found(row);
        }
    // Flags can be mended afterwards, a date cannot.
    for (const row of others) if (this.#hasDateOf(row, traits) && this.#claim(row)) return this.#found(row);
    if (others.length > 0) await this.#lastTurn();
    for (const row of others) if (!this.#isAwaited(row, others, rivals) && this.#claim(row)) return this.#found(row);
    return undefined;
  }

  /** What is nobody's and may be this message, altered: of its own Message-ID, or else of another one. */
  *alterable(body: Body, traits: Traits, isSent: boolean): Generator<number> {
    let isOwn = false;
    for (const row of this.#ofOwnId(body, traits)) {
      isOwn = true;
      yield row;
    }
    if (!isOwn) yield* this.#ofOtherId(body, traits, isSent);
  }

  /** What is nobody's, has this Message-ID (or both have none) and this date, and a size that an altered copy may have. */
  *#ofOwnId(body: Body, { received }: Traits): Generator<number> {
    if (received === undefined) return;
    const id = hashOf(messageIdOf(body.head));
    const { size } = body.shape;
    // The listing of one that has none does not tell.
    for (const row of this.#table.ofDate(received.epochSeconds, id === NO_ID ? UNKNOWN_ID : id)) {
      const other = this.#table.size(row);
      if (other < size / 2 - ROOM || other > size * 2 + ROOM) continue;
      if (this.#isFree(row)) yield row;
    }
  }

  /** What is nobody's, has this date and about this size, and a Message-ID that the server may have put there. */
  *#ofOtherId({ shape: { size } }: Body, { received }: Traits, isSent: boolean): Generator<number> {
    if (received === undefined) return;
    const rows: number[] = [];
    let looked = 0;
    for (const row of this.#table.ofDate(received.epochSeconds)) {
      // Where all mail has one date it would be looked through once a message.
      if (++looked > MOST_OF_DATE) return;
      if (Math.abs(this.#table.size(row) - size) > ROOM_FOR_ID || !this.#isFree(row)) continue;
      // After a cut there may be many of our own, and none of them has another name.
      if (rows.push(row) > (isSent ? MOST_ALIKE : MOST_RENAMED)) return;
    }
    yield* rows;
  }

  #isFree(row: number): boolean {
    return !this.#gone.has(row) && !this.#ledger.holds(this.#table.receipt(row));
  }

  async alike(body: Body, traits: Traits, isSent: boolean, signal: AbortSignal): Promise<Alike[]> {
    const { size } = body.shape;
    const hasId = messageIdOf(body.head) !== undefined;
    const away = (row: number): number => Math.abs(this.#table.size(row) - size);
    const own = [...this.#ofOwnId(body, traits)].sort((a, b) => away(a) - away(b)).slice(0, MOST_ALIKE);
    const all: Alike[] = [];
    for (const row of own) {
      const likeness = await this.#likeness(row, body, signal);
      if (likeness !== undefined && (hasId || changesOf(likeness) < 2)) all.push({ row, likeness, isRenamed: false });
    }
    if (own.length > 0) return all;
    for (const row of this.#ofOtherId(body, traits, isSent)) {
      const likeness = await this.#likeness(row, body, signal);
      if (likeness !== undefined && isSameButForId(likeness)) all.push({ row, likeness, isRenamed: true });
    }
    return all;
  }

  async #likeness(row: number, body: Body, signal: AbortSignal): Promise<Likeness | undefined> {
    return await this.#unlessGone(row, (content) => likenessOf(body, content), signal);
  }

  take(row: number): Found | undefined {
    return this.#claim(row) ? this.#found(row) : undefined;
  }

  async findKey(key: ContentKey, size: number, traits: Traits, signal: AbortSignal): Promise<Found | undefined> {
    let other: number | undefined;
    // Line ends change a size by a CR a line; no mail has lines of less than two octets on average.
    for (const row of this.#table.near(size, size / 2 - 4, size * 1.5 + 4)) {
      // Twins have one size in one store.
      if (other !== undefined && this.#table.size(other) !== this.#table.size(row)) break;
      if (this.#ledger.holds(this.#table.receipt(row)) || !(await this.#hasKey(row, key, signal))) continue;
      if (!this.#isLike(row, traits)) {
        if (other === undefined || (this.#hasDateOf(row, traits) && !this.#hasDateOf(other, traits))) other = row;
      } else if (this.#claim(row)) return this.#found(row);
    }
    return other !== undefined && this.#claim(other) ? this.#found(other) : undefined;
  }

  #isLike(row: number, traits: Traits): boolean {
    return this.#hasDateOf(row, traits) && this.#table.hasTraits(row, traits);
  }

  /** As many twins of its date may come as there are such copies left. */
  #isAwaited(row: number, twins: readonly number[], rivals: RivalsOf | undefined): boolean {
    const date = this.#table.date(row);
    if (date === undefined || rivals === undefined) return false;
    const count = rivals(date);
    if (count === 0) return false;
    const isLeft = (twin: number): boolean =>
      this.#table.date(twin) === date && !this.#ledger.holds(this.#table.receipt(twin));
    return count >= twins.filter(isLeft).length;
  }

  /** True as well where either does not tell. */
  #hasDateOf(row: number, { received }: Traits): boolean {
    return received === undefined || !this.#table.hasDate(row) || this.#table.isOf(row, received.epochSeconds);
  }

  async #hasKey(row: number, key: ContentKey, signal: AbortSignal): Promise<boolean> {
    const known = this.#table.hasKey(row, key);
    if (known !== undefined || this.#gone.has(row)) return known === true;
    let reading = this.#reading.get(row);
    if (reading === undefined) {
      reading = this.#read(row, signal).finally(() => this.#reading.delete(row));
      this.#reading.set(row, reading);
    }
    await reading;
    return this.#table.hasKey(row, key) === true;
  }

  async #read(row: number, signal: AbortSignal): Promise<void> {
    const read = await this.#unlessGone(row, keyOf, signal);
    if (read !== undefined) this.#table.setKey(row, read.key);
  }

  async #unlessGone<T>(
    row: number,
    use: (content: AsyncIterable<Uint8Array>) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    try {
      return await use(this.#folder.reopen(this.#table.receipt(row), signal));
    } catch (error) {
      if (!(error instanceof MailError) || error.details.scope !== "message" || error.details.remedy !== "give-up")
        throw error;
      this.#gone.add(row);
      this.#table.drop(row);
      return undefined;
    }
  }

  #claim(row: number): boolean {
    const isOurs = this.#ledger.claim(this.#table.receipt(row));
    if (isOurs) this.claimed++;
    this.#table.drop(row);
    return isOurs;
  }

  #found(row: number): Found {
    const table = this.#table;
    return {
      receipt: table.receipt(row),
      traits: table.traits(row),
      receivedAt: (epochSeconds) => !table.hasDate(row) || table.isOf(row, epochSeconds),
    };
  }
}

/** Without its Message-ID a message is known by these fields and its body: how many of them are not as they were. */
function changesOf({ how }: Likeness): number {
  return how.filter((what) => /^body$|^(?:changed|dropped):(?:date|from|to|subject)$/.test(what)).length;
}

/** Another mail of this second has at least other Received fields. */
function isSameButForId({ how }: Likeness): boolean {
  return how.every((what) => what !== "body" && !/^(?:changed|dropped):(?!message-id$)/.test(what));
}

function hashOf(messageId: string | undefined): number {
  return messageId === undefined ? NO_ID : hash32(messageId, 2);
}
