// The contract of the ledger: what was done, failed and removed, a record a message, for one (source, sink) pair.

import type { ErrorCode } from "../mail/errors.ts";
import type { Loss } from "../mail/fidelity.ts";
import type { ContentKey } from "../mail/key.ts";
import type { FolderPath, Origin, Traits } from "../mail/model.ts";
import type { Receipt, Stood } from "../sinks/sink.ts";

/** By which run a record was written, and when. The ledger itself puts it down; absent in what version 1 wrote. */
export interface Written {
  readonly run?: number;
  /** Epoch seconds. */
  readonly at?: number;
}

/** How a store changed the bytes of a copy. */
export interface Alteration {
  /** Words as in Likeness.how, with a blank between them. */
  readonly kind: string;
  /** Octets of the copy, as its store counts them. */
  readonly size?: number;
}

export interface DoneRecord extends Written {
  readonly state: "done" | "altered";
  readonly origin: Origin;
  /** Of the bytes as the source gave them. */
  readonly key: ContentKey;
  readonly size: number;
  /** Absent: stored, but the sink could not name it. */
  readonly receipt?: Receipt;
  /** The source's own traits as they were last carried over. */
  readonly traits: Traits;
  /** Epoch seconds of the day this origin's copy was first recorded; `--leave-for` counts from here. */
  readonly firstSeen: number;
  /** The copy was read back and its key matched. */
  readonly proved: boolean;
  /** Its removal was begun: a \Deleted that the source shows from here on may be our own mark, and is not carried over. */
  readonly marked?: true;
  /** Its owner deleted the copy from the archive, which a run saw and said: it stays deleted, and is missed by nobody. */
  readonly gone?: true;
  /** What the target could not keep of it; undefined where that was not written down (version 1). */
  readonly losses?: readonly Loss[];
  /** Octets that the source announced before it gave the bytes, which are `size`; undefined where it announced none, or nobody knows. */
  readonly announced?: number;
  readonly alteration?: Alteration;
}

export type LedgerRecord =
  | DoneRecord
  | ({ readonly state: "removed"; readonly origin: Origin } & Written)
  | ({ readonly state: "failed"; readonly origin: Origin; readonly code: ErrorCode } & Written);

/** What the ledger holds of one origin, without reading it from disk. */
export interface Known {
  readonly state: LedgerRecord["state"];
  /** Whether these are the traits that were last carried over. False for a record that has none. */
  sameTraits(traits: Traits): boolean;
  /** Whether a run has marked it as \Deleted, or was about to, and its owner had not: the mark says nothing of what is wanted. */
  readonly hasOurMark: boolean;
  /** Octets announced when it was copied; undefined where nobody knows, or the ledger does not keep them in memory. */
  readonly announced: number | undefined;
  /** The done record behind it, also when the origin was removed since; undefined for a failed one. */
  read(): Promise<DoneRecord | undefined>;
  /** Why it failed, where it is a failed one. */
  failure(): Promise<ErrorCode | undefined>;
}

/** Where one source folder stood when a run over it last ended with nothing left open. */
export interface Head {
  /** Folder.state of the source before that run listed it. */
  readonly sourceState?: string;
  readonly generation: string;
  readonly listed: number;
}

/** The ledger of one target folder; several source folders may lead to it. */
export interface FolderLedger extends AsyncDisposable {
  /** The number of the run that writes now, as its records bear it; undefined where none does. */
  readonly run: number | undefined;
  /** Records held (done or altered). */
  readonly size: number;
  /**
   * True when the last run over this folder closed it: then every copy that we made has its record. False for a new ledger, and
   * after a crash: then copies may exist that no record names.
   */
  readonly clean: boolean;
  /** The sink folder's generation and position when it was last closed. */
  readonly sinkGeneration: string | undefined;
  readonly sinkPosition: string | undefined;
  /** What its target is known by: see Sink.open. */
  readonly stood: Stood;
  /** The one that `begin` named since; undefined while nobody has begun. */
  readonly begunGeneration: string | undefined;
  head(source: FolderPath): Head | undefined;
  /**
   * When it was last written, in milliseconds of the epoch, if the run that wrote it came to no end: what that run had sent may only now
   * be stored. Undefined when it was closed, or is new.
   */
  readonly brokenOffAt: number | undefined;
  /** The source folders that have a head. */
  heads(): readonly FolderPath[];
  /** Done and altered records without a receipt: their copies are in the folder, and nobody knows which they are. */
  readonly nameless: number;

  /** Durable when it resolves: from now on the ledger is not clean until `close`. Call before the first append. */
  begin(sinkGeneration: string): Promise<void>;
  /** Looks an origin up, and marks it as listed in this run. */
  find(origin: Origin): Known | undefined;
  /** Another pass lists everything anew: what was met by an earlier one may be gone by now (UIDLs that change within a run). */
  relist(): void;
  /** Says that every origin that this source folder has now went through `find`. */
  listedAll(source: FolderPath, generation: string): void;
  /**
   * Takes over a done record with this key whose own origin is no longer listed: it has another generation of the same folder
   * (UIDVALIDITY changed, an mbox grew), or `listedAll` was said and `find` did not meet it (UIDLs changed). Each at most once.
   * The record returned is written again under the new origin, durably, with what that was `announced` with.
   */
  adopt(origin: Origin, key: ContentKey, announced?: number): Promise<DoneRecord | undefined>;
  /**
   * The id of this origin does not name the message any more that its record is about: the record goes to a name made of its content key,
   * durably, and may be adopted. Before the first `adopt` of a pass.
   */
  displace(origin: Origin): Promise<void>;
  /**
   * False when nothing is known of an origin, and no record is there that it could take over: then looking closer is in vain, as
   * it is for every message of a first run.
   */
  mayHold(origin: Origin): boolean;
  /** True when a done record names this receipt, or somebody claimed it in this run. */
  holds(receipt: Receipt): boolean;
  /** True for the first to claim a receipt that no done record holds. Synchronous: no two tasks share one. */
  claim(receipt: Receipt): boolean;
  /** Gives back every claim that no record holds. Nothing may be in flight. */
  unclaim(): void;
  /** Durable when it resolves; records that come together share an fdatasync. A done record also claims its receipt. */
  put(record: LedgerRecord): Promise<void>;
  /** The same for many at once: all are durable, or it rejects. */
  putAll(records: readonly LedgerRecord[]): Promise<void>;
  /** True the first time in this run that this origin is settled. Kept in memory alone. */
  settle(origin: Origin): boolean;
  /** Every done or altered record (of one source folder) that is not removed, oldest first. */
  records(source?: FolderPath): AsyncIterable<DoneRecord>;
  /** What was announced and what came, of every record that tells both, also of those that are removed by now. */
  sizes(source: FolderPath): AsyncIterable<{ readonly announced: number; readonly size: number }>;
  /** Forgets every record (a new generation of the sink folder, or --recheck), but for the days in `firstSeen`. */
  forget(): Promise<void>;
  /** What `firstSeen` was before `forget`, or in a record held. */
  firstSeen(origin: Origin): number | undefined;
  /**
   * Closes it cleanly, durably: heads, position, where the sink folder stands in its own words (absent: as at the last close), and a
   * compaction when more than half of the journal is stale.
   */
  close(
    position: string | undefined,
    heads: readonly { readonly source: FolderPath; readonly head: Head }[],
    stand?: string,
  ): Promise<void>;
}

/** Where a target folder stood when its ledger was last closed well. */
export interface Glance {
  readonly sinkGeneration: string | undefined;
  readonly sinkPosition: string | undefined;
  readonly stood: Stood;
  /** It was closed by the last run that copied anything: what an account lost by going back in time is most likely here. */
  readonly isLatest: boolean;
  head(source: FolderPath): Head | undefined;
}

/** What a run that writes says of itself when it begins. */
export interface RunStart {
  /** Of the program. */
  readonly version: string;
  /** The options by which it chose what to carry, as JSON has them; no secret is among them. */
  readonly selection: Readonly<Record<string, unknown>>;
}

export interface RunEnd {
  readonly outcome: string;
  /** And `removed`, where any were deleted at the source. */
  readonly balance: Readonly<Record<string, number>>;
  /** Of an archive: the number of the list of its own files as the run left it. */
  readonly inventory?: number;
}

/** One run as the ledger remembers it. */
export interface RunRecord extends RunStart {
  readonly number: number;
  /** Epoch seconds. */
  readonly startedAt: number;
  /** Absent: it was killed, or still goes on. */
  readonly end?: RunEnd & { readonly at: number };
}

export interface Ledger extends AsyncDisposable {
  /**
   * Durable when it resolves: a run of this number (the highest + 1) has begun, and what is written from here on bears it. In memory
   * for a dry run.
   */
  beginRun(start: RunStart): Promise<number>;
  /** How the run ended; where its state has gone with the finished target nothing is written. */
  endRun(end: RunEnd): Promise<void>;
  /** Every run that is remembered, the first one first. What is damaged is left out. */
  runs(): Promise<readonly RunRecord[]>;
  /** The raw name that was last remembered for a path (as the sink is asked for it); undefined where none was. */
  nameOf(path: FolderPath): Promise<string | undefined>;
  /** Durable when it resolves; those that come together share a sync. A name that is remembered already costs nothing. */
  rememberName(path: FolderPath, name: string): Promise<void>;
  /** `name`: the target folder's name as its sink spells it. Calling it again for the same name gives the same object. */
  folder(name: string): Promise<FolderLedger>;
  /**
   * The same folder's heads from the end of its journal alone, in a few milliseconds however long it is: enough to skip a folder
   * whose state has not moved. Undefined when it was not closed well. Damage further up shows only when `folder` loads it.
   */
  glance(name: string): Promise<Glance | undefined>;
}
