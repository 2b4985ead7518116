// The contract of a sink: where mail goes.

import type { Fate } from "../core/group.ts";
import type { Hold } from "../core/lock.ts";
import type { Fidelity, Loss } from "../mail/fidelity.ts";
import type { ContentKey } from "../mail/key.ts";
import type { Message } from "../mail/message.ts";
import type { Folder, FolderPath, Origin, TraitChange, Traits } from "../mail/model.ts";

/** "uidvalidity:uid"; a Maildir name up to ":"; a zip entry and offset. Means something only with its folder's generation. */
export interface Receipt {
  readonly ref: string;
}

/** What became of an append that succeeded. */
export interface Stored {
  /** Absent = stored, name unknown (no UIDPLUS): to be resolved through `copies`. */
  readonly receipt?: Receipt;
  /** Set when the store is known to hold other bytes than it was given: how, in words. */
  readonly altered?: string;
  /** The same as what is equal for all messages to which it is done; see Likeness. Absent where it was not looked at. */
  readonly alteration?: readonly string[];
  /** Traits that the store refused for this message although its folder was thought to keep them. */
  readonly losses?: readonly Loss[];
}

/** One message as the sink holds it now. */
export interface Copy {
  readonly receipt: Receipt;
  readonly traits: Traits;
  /** Octets as the store counts them: on a disk those of the file, which may have LF line ends. */
  readonly size: number;
  /** With its angle brackets; absent where the store would have to read the message to know. */
  readonly messageId?: string;
  /** Present where the store knows it without reading the message. */
  readonly key?: ContentKey;
  /** Present where the store keeps from which message the copy was made. */
  readonly origin?: Origin;
}

export interface FolderPlan {
  /** As the store spells it. */
  readonly name: string;
  /** As this store gives the path back when it is read as a source. Differs from the one asked for when a name could not be kept. */
  readonly path: FolderPath;
  readonly fidelity: Fidelity;
}

/** A copy as it was recorded when it was made. */
export interface Witness {
  readonly receipt: Receipt;
  readonly key: ContentKey;
  /** Octets as its source gave them. */
  readonly size: number;
  /** Epoch seconds; absent where the source told none. */
  readonly received?: number;
}

/** What the ledger keeps of a folder, to see later that its store is still the one that was written, and did not go back in time. */
export interface Stood {
  /** SinkFolder.stand, as it was at the last close. */
  readonly at?: string;
  /** Some of the newest copies, the newest last. */
  readonly newest: readonly Witness[];
  /** Copies that are recorded. */
  readonly recorded: number;
}

/** What speaks against the folder's being as it was left. */
export interface Setback {
  /** It went back for certain: why, in words. */
  readonly why?: string;
  /** Under the name of these other mail seems to lie; their bytes decide. */
  readonly strange?: readonly Witness[];
  /** So much was taken out that it is worth counting how many of the recorded copies are left. */
  readonly thinned?: boolean;
}

/** What share of the recorded copies may be gone before the folder does not count as the one that was left. */
export const MOST_GONE = 0.2;

export interface SinkFolder extends FolderPlan {
  /** A new one (UIDVALIDITY, a re-created folder) makes older receipts mean nothing. */
  readonly generation: string;
  /** True when `open` had to create it. */
  readonly created: boolean;
  /** It was there, and by the store's own word nothing has ever been in it. */
  readonly pristine?: boolean;
  /**
   * What it holds already it may answer without a receipt, and keep once (Gmail). Elsewhere a copy without a receipt that `copies`
   * does not show is none.
   */
  readonly merges?: boolean;
  /** Present where `open` was told how it stood, and something speaks against that. */
  readonly setback?: Setback;
  /** Where it stands now, with what was stored through this object, for `Stood.at`; asks no server. */
  stand?(): string | undefined;
  /** True where this copy is known to be gone without looking. */
  lacks?(receipt: Receipt): boolean;
  /** Where the folder ends now, for a later `copies`; undefined where the store has no order. */
  position(signal: AbortSignal): Promise<string | undefined>;
  /**
   * What the folder holds, in one streamed pass; only what came after `since` where the store has an order. Cheap: no message
   * is read for it beyond what `Copy` says.
   */
  copies(since: string | undefined, signal: AbortSignal): AsyncIterable<Copy>;
  /**
   * Resolves when the copy would survive a power cut. A sink may gather concurrent calls into batches; each caller still gets
   * its own fate, and no call waits for another that may never come. Fails with a MailError: scope "message" when this message
   * alone was refused (give-up), else outcome "unknown" when it may have been stored all the same.
   */
  append(message: Message, signal: AbortSignal): Promise<Stored>;
  /** The same for messages that come together, in this order, each with its own fate; where that costs less than one by one. Never rejects. */
  appendAll?(messages: readonly Message[], signal: AbortSignal): Promise<readonly Fate<Stored>[]>;
  /** The proof: the bytes as the sink holds them. MailError not-found when they are gone. Calls may run at once. */
  reopen(receipt: Receipt, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /**
   * Only in an archive: a copy whose bytes are not those of the key any more (or that cannot be read) is moved out of the mail, and this
   * says where to; undefined where nothing is wrong with it, or it is not there.
   */
  setAside?(receipt: Receipt, key: ContentKey, signal: AbortSignal): Promise<string | undefined>;
  /** Only in an archive: what lies among the mail and can be none (pipes, devices, links) is moved out of it; where to. */
  sweep?(): Promise<readonly string[]>;
  /** Its traits as they are now, where they can be had by themselves; undefined when it is gone. */
  traits?(receipt: Receipt, signal: AbortSignal): Promise<Traits | undefined>;
  /** Only where traits can change after the fact. Applies just this change. Calls may run at once, and are gathered. */
  update?(receipt: Receipt, change: TraitChange, signal: AbortSignal): Promise<void>;
}

/** An empty folder that was made to be seen from elsewhere. */
export interface Mark {
  /** The last part of its path, and no other folder's. */
  readonly name: string;
  remove(): Promise<void>;
}

export interface Respelled {
  readonly path: FolderPath;
  readonly name: string;
  readonly listed: FolderPath;
}

export interface Sink extends AsyncDisposable {
  readonly kind: string;
  /** Like Source.identity, and equal to it for the same endpoint. */
  readonly identity: string;
  readonly limits: {
    /** Appends that may be in flight over all folders. */
    readonly writes: number;
    /** Folders that may be written at once. */
    readonly folders: number;
    /** So many of them to begin with, and more only when the run finds itself waiting; all of them where it is not told. */
    readonly foldersAtFirst?: number;
  };
  /** An archive's own folder for ledger, quarantine and staging (`mailferry/`). Absent for accounts. Created by `open` at the latest. */
  readonly home?: string;
  /**
   * Present when this target is already sealed by this very job (FILE.zip): nothing can be added. `open` gives folders that can be read, and whose
   * copies name their origin and key.
   */
  readonly sealed?: {
    readonly messages: number;
    /** Messages that failed in the run that sealed it, and are not in it. */
    readonly failed: number;
    /** Epoch seconds: not before it was sealed. */
    readonly since: number;
  };
  /** What was sent before a connection or a run died may be stored only afterwards. */
  readonly storesLate?: boolean;
  /** Messages lie in it with LF line ends, where that can be undone: their form with these is worth its memory. */
  readonly storesLf?: boolean;
  /**
   * What is certain of a copy. "always": no mail server keeps its mail in such a place. "appended": what this run appended is a file
   * of its own, and not the message at the source. Else a copy may be the very message that it is to be a copy of.
   */
  readonly apart?: "always" | "appended";
  /** What is read from here on is read as a client sees it that comes now: nothing that was seen before is relied on. */
  afresh?(): Promise<void>;
  /** `seal` ends this target for good: it is called only when nothing is open that another run could still bring. */
  readonly once?: boolean;
  /**
   * Told before the first `open` what to call before each batch that is put into the target for good: it throws when another run
   * has taken over the lock, and then nothing more is written.
   */
  guard?(hold: Hold): void;
  /** Name and fidelity as they would be; changes nothing. */
  describe(folder: Folder, signal: AbortSignal): Promise<FolderPlan>;
  /**
   * Only where a name may be refused when its folder is made: as `describe`, but under the name that took its place. For folders
   * that were filled before, when all were described; changes nothing.
   */
  find?(folder: Folder, signal: AbortSignal): Promise<FolderPlan>;
  /**
   * Only where a folder may get another name than the one described: the names (FolderPlan.name) under which earlier runs opened these
   * paths. Told when all were described, before any is found or opened.
   */
  recall?(names: readonly { readonly path: FolderPath; readonly name: string }[]): void;
  /**
   * Beside `recall`: the paths whose folder this run made, and which the store now lists under another name than it was made by, with
   * that name, and as the path that it is read back by. Asked once, when all is copied.
   */
  respelled?(signal: AbortSignal): Promise<readonly Respelled[]>;
  /**
   * True when the folder is known to be there no more as it was: deleted, (where a generation is given) made anew, or (where it is told
   * how it stood) gone back. For folders that are not opened, so it must cost next to nothing; where it would not, it answers false or
   * is left out. `closely`: a round trip may be spent on it although nothing seems to have moved. "thinned": it is that one, and fewer
   * are in it than are recorded.
   */
  isGone?(
    folder: Folder,
    generation: string | undefined,
    signal: AbortSignal,
    stood?: Stood,
    closely?: boolean,
  ): Promise<boolean | "thinned">;
  /** Creates what is missing; harmless when called again. `stood`: it is compared with that, in the same round trip. */
  open(folder: Folder, signal: AbortSignal, stood?: Stood): Promise<SinkFolder>;
  /** Parts of the target that were lost, each in words; empty where all is there. */
  readonly missing?: readonly string[];
  /** From now on they are not missed: all that can be brought back was. */
  forgive?(): Promise<void>;
  /** Only where one place can have two identities: makes a folder that no other place has. MailError of scope folder when that is refused. */
  mark?(signal: AbortSignal): Promise<Mark>;
  /** After the last append: packs the zip, subscribes, fsyncs. Removal at the source starts only after it; `reopen` works after it. `failed`: the messages that a target which is written once has to do without; it keeps the number. */
  seal(signal: AbortSignal, failed?: number): Promise<void>;
}
