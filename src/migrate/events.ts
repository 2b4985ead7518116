// What a run says while it goes: every listed origin gets exactly one settled event.

import type { MailError } from "../mail/errors.ts";
import type { Loss } from "../mail/fidelity.ts";
import type { LeftOut } from "../mail/left-out.ts";
import type { Entry, Folder, FolderPath, Origin } from "../mail/model.ts";

export const DISPOSITIONS = [
  "copied",
  "already-copied",
  "adopted",
  "filtered",
  "altered",
  "failed",
  "vanished",
  "planned",
] as const;
/** What became of one origin in one run. */
export type Disposition = (typeof DISPOSITIONS)[number];

export type Balance = Readonly<Record<Disposition, number>>;

/** Why a message that was to be deleted at the source stayed there. */
export type KeptWhy =
  /** Its copy is not old enough yet. */
  | "too-new"
  /** Its copy could not be read back as it was sent. */
  | "not-proved"
  /** The source gave fewer octets than it announced. */
  | "short"
  /** Somebody deleted its copy from the archive: it stays deleted there, and its original stays. */
  | "copy-deleted"
  /** The server was asked, and the message is not known to be gone. */
  | "not-confirmed"
  /** The source does not list it any more: perhaps it is gone. */
  | "not-listed"
  /** What its id names now is another message. */
  | "changed"
  | "cut-short"
  /** The balance of its folder does not close. */
  | "folder-incomplete"
  /** More would have gone than was allowed. */
  | "over-limit"
  | "declined";

export interface FolderSummary {
  readonly folder: FolderPath;
  /** The folder's name in the target. */
  readonly name: string;
  readonly listed: number;
  readonly balance: Balance;
  readonly closes: boolean;
  /** Messages that the source counts in the folder and does not list; part of no other number. */
  readonly unlisted?: number;
  /** In a dry run: what would be deleted at the source once it is proved. */
  readonly due?: number;
  /** Why this folder as a whole could not be carried. */
  readonly error?: string;
}

/** Of a run that came to no end. */
export interface FolderProgress {
  readonly folder: FolderPath;
  /** Messages that were settled. */
  readonly done: number;
  /** Messages that were not, as far as the source counts them. */
  readonly open?: number;
}

export interface RunSummary {
  /** partial: it went to its end, but messages or folders failed. stopped: it did not go to its end. */
  readonly outcome: "complete" | "partial" | "stopped";
  /** Origins that the source listed; equals the sum of the balance when it closes. */
  readonly listed: number;
  readonly balance: Balance;
  readonly closes: boolean;
  /** Octets of the messages copied. */
  readonly bytes: number;
  readonly traitsUpdated: number;
  readonly removed: number;
  /** Origins that were to be removed and were not. */
  readonly kept: number;
  /** In a dry run that would delete: how many messages would be deleted at the source once they are proved. */
  readonly due?: number;
  readonly losses: readonly { readonly loss: Loss; readonly messages: number }[];
  readonly folders: readonly FolderSummary[];
  readonly seconds: number;
  /** Parts of the source or the target that were lost, each in words; absent where none was. Such a run is not complete. */
  readonly missing?: readonly string[];
  /** What the options ask for (a folder glob, a use, a mapped folder) and the source has not, each in words. Such a run is not complete. */
  readonly unmatched?: readonly string[];
  /** The target was finished before: it was compared with the source, and what it does not hold has failed. */
  readonly targetFinished?: true;
  /** Things that look like mail and are not read, each told by an event; absent where there are none. Such a run is not complete. */
  readonly leftOut?: number;
  /** Of a run that was stopped, each folder that it was to carry. */
  readonly progress?: readonly FolderProgress[];
  /** What ended the run before its time. */
  readonly error?: MailError;
}

export type MigrationEvent =
  | { readonly type: "run-planned"; readonly folders: number; readonly messages: number; readonly bytes?: number }
  | {
      readonly type: "folder-opened";
      readonly folder: Folder;
      readonly name: string;
      readonly losses: readonly Loss[];
      readonly created: boolean;
    }
  | {
      readonly type: "message-settled";
      readonly entry: Entry;
      readonly as: Disposition;
      readonly bytes: number;
      readonly losses: readonly Loss[];
      readonly error?: MailError;
      /** For a failed or altered message: where its bytes were set aside. */
      readonly quarantine?: string;
      readonly note?: string;
      /** Of a failed message, where it could be had: what a person knows it by. */
      readonly subject?: string;
      readonly from?: string;
      readonly date?: Date;
    }
  /** A folder whose state has not moved since the last run: all its messages at once, without listing them. */
  | { readonly type: "folder-unchanged"; readonly folder: Folder; readonly messages: number }
  | { readonly type: "folder-finished"; readonly folder: Folder; readonly summary: FolderSummary }
  /** Deleting at the source begins: so many have a copy, and go once it was read back, or stay. */
  | { readonly type: "removal-begun"; readonly messages: number }
  /** `message-proved`: its copy was read back, and it is to go. */
  | { readonly type: "traits-updated" | "message-proved" | "message-removed"; readonly origin: Origin }
  /** It was to be deleted at the source, and stays. */
  | { readonly type: "message-kept"; readonly origin: Origin; readonly why: KeptWhy }
  /** After deleting, a source folder: what went, and what stayed for which reason. */
  | {
      readonly type: "folder-removed";
      readonly folder: FolderPath;
      readonly removed: number;
      readonly stayed: Readonly<Partial<Record<KeptWhy | Disposition, number>>>;
    }
  | {
      readonly type: "retry-scheduled";
      readonly what: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: MailError;
    }
  | {
      readonly type: "notice";
      readonly text: string;
      readonly folder?: FolderPath;
      /** Said with -q too. */
      readonly insist?: boolean;
    }
  /** At the end: something that looks like mail was not read. */
  | ({ readonly type: "left-out" } & LeftOut)
  | { readonly type: "run-finished"; readonly summary: RunSummary };
