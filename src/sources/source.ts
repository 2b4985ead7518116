// The contract of a source: where mail comes from.

import type { Hold } from "../core/lock.ts";
import type { Fidelity } from "../mail/fidelity.ts";
import type { LeftOut } from "../mail/left-out.ts";
import type { Entry, Folder, FolderPath, Origin } from "../mail/model.ts";
import type { Removable, Removal } from "../mail/removal.ts";

/** Mail that one session reads in order: POP3 has one slice, an mbox one, IMAP may cut a large folder by UID. */
export interface Slice {
  readonly folder: Folder;
  readonly range?: string;
}

export interface Incoming {
  readonly entry: Entry;
  /**
   * Read at most once, before the next pull; left unread, it is skipped. Fails with a MailError of scope "message" when this
   * message alone cannot be had: "not-found" when it was listed and has since vanished, else with the store's own words.
   */
  readonly content: AsyncIterable<Uint8Array>;
  /** The same content, where the store has all of it in memory already: it may be taken instead of reading `content`. */
  readonly bytes?: Uint8Array;
}

export interface ReadOptions {
  /**
   * Asked exactly once for every entry of the slice, before its body is transferred (but see Origin). `doubtful`: the id may have come to
   * name another message than the one that it named in an earlier run.
   */
  want(entry: Entry, doubtful?: boolean): boolean | Promise<boolean>;
  /**
   * Whether the id is known, and named a message of another size when that was copied. Asked before the first `want`, by a store whose
   * ids may move.
   */
  differs?(entry: Entry): boolean;
  /** Called once, between the last `want` and the first body; never called by a store that meets its entries as it reads. */
  listed?(): void;
  /** Called with the number of messages that the store counts in the slice and does not list, in whatever way it is asked. */
  unlisted?(messages: number): void;
  /**
   * Nothing is known of the slice yet: `want` will say yes to nearly everything. A store that would have to list its entries before it
   * can transfer them may then do both at once, and ask `want` as it hands on what came.
   */
  readonly everything?: boolean;
  /**
   * A store that may show a part of its messages at a time is listed again, once what it showed has come, until it shows nothing new.
   * What comes then is offered after `listed`.
   */
  readonly untilNothingNew?: boolean;
  /** `remove` may follow: what that needs may be kept open. */
  readonly removesNext?: boolean;
  /**
   * Each message that is wanted may be one that ends the connection: asked for one by one, the next when the one before was taken, and
   * with a shorter wait for a server that says nothing.
   */
  readonly alone?: boolean;
  readonly signal: AbortSignal;
}

export interface Source extends AsyncDisposable {
  readonly kind: string;
  /** Stable across runs: scheme, user and host, or the archive's own id. Never a secret. */
  readonly identity: string;
  /** Slices that may be read at once. */
  readonly limits: { readonly sessions: number };
  /** The traits that this store can tell at all (POP3: none). Without them nothing can be missed when two ends are compared. */
  readonly tells: Fidelity;
  /**
   * `Entry.size` is what a server said before it gave the message: a content that is shorter, or something else in its place, is not
   * certainly the message.
   */
  readonly announces?: boolean;
  /** An id may come to name another message (UIDLs of servers that count): what is known of a message beside its id is compared. */
  readonly idsMove?: boolean;
  /**
   * A reading takes a while to begin, and costs next to nothing when it is broken off before `want` has answered: it may be begun
   * before it is known whether it can go on.
   */
  readonly readsAhead?: boolean;
  /**
   * What is to be remembered of a folder whose state was `before` when all of it was copied, and is `now`: one that never comes again
   * where something in it should have moved and did not. Absent: `now`.
   */
  stateAfter?(before: string, now: string): string;
  /** An archive's own folder (`mailferry/`), as Sink.home. Absent for all else. */
  readonly home?: string;
  /**
   * Before `folders`: how to ask whether mail of a path was copied by an earlier run. A folder to which earlier versions gave another
   * name goes on by that one where only it has been.
   */
  callAsBefore?(leads: (path: FolderPath) => Promise<boolean>): void;
  /** Parts of it that were lost, each in words: what they held cannot be read. Absent or empty where all is there. */
  readonly missing?: readonly string[];
  /**
   * What `folders` and `read` have met so far that is mail, or looks like it, and is not read, each once: a folder that may not be
   * opened, a file of another kind, a place that may be a message. A run that met any is not complete (exit 3), nor is a comparison.
   * What is left out by rule (by an option, or because it is no mail) does not belong here. A file that fails by itself neither: it
   * fails as a message (see Incoming.content).
   */
  leftOut?(): readonly LeftOut[];
  /** Each folder once. Fails with MailError auth, connection or config. */
  folders(signal: AbortSignal): AsyncIterable<Folder>;
  slices(folder: Folder, signal: AbortSignal): AsyncIterable<Slice>;
  /**
   * Every entry of the slice is offered to `want`, and every wanted one is yielded, a vanished or unreadable one too (see
   * Incoming.content): nothing is left out in silence. Ends quietly between two messages on abort. Throws a MailError of scope
   * folder or account when it cannot go on; the same slice may then, and always, be read again. Where the server ended the connection, fell
   * silent or put us off while it was asked for messages, the error names them (`suspects`): the engine then asks for them by
   * themselves, last (`alone`), and after three such ends sets that one aside as failed.
   */
  read(slice: Slice, options: ReadOptions): AsyncIterable<Incoming>;
  /**
   * Only where the store can delete. Runs after the folder's last read has ended; deletes exactly these, and yields only what
   * the store confirmed gone (IMAP: UID EXPUNGE; POP3: after QUIT's +OK). All origins are of one folder. Throws MailError config
   * when the store cannot delete single messages safely (no UIDPLUS).
   * `hold` is called before each step that deletes: what it throws ends the removal before that step.
   */
  remove?(
    origins: AsyncIterable<Removable>,
    signal: AbortSignal,
    hold?: Hold,
    removal?: Removal,
  ): AsyncIterable<Origin>;
  /** What is asked from here on is answered as to a client that comes now: nothing that was seen before is relied on. */
  afresh?(): Promise<void>;
  /** Every message with its Message-ID, where the store gives them without bodies. Throws what `read` throws. */
  identify?(
    folder: Folder,
    signal: AbortSignal,
    unlisted?: (messages: number) => void,
  ): AsyncIterable<{ readonly entry: Entry; readonly messageId: string | undefined }>;
  /**
   * From, Subject and Date of messages that could not be had, one header block each, for people to know them by: the first octets of
   * each that the store gives without its body. What it does not give is left out. May throw; nothing depends on it.
   */
  describe?(
    origins: readonly Origin[],
    signal: AbortSignal,
  ): AsyncIterable<{ readonly origin: Origin; readonly head: Uint8Array }>;
  /** The message's octets with CRLF line ends, where the store knows them exactly and without reading. */
  wireSize?(entry: Entry): number | undefined;
  /**
   * Asked before anything is copied that `remove` is to delete: throws what it would throw for every message (MailError config).
   * Gives a sentence for the user where deleting here is not what the word says.
   */
  checkRemove?(signal: AbortSignal): Promise<string | undefined>;
}
