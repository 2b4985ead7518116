// What a comparison is asked for, and what it tells.

import type { FolderPath, Origin } from "../mail/model.ts";
import type { FolderMap } from "./plan.ts";

export interface VerifyOptions extends FolderMap {
  /** What the target has beside the source's messages counts as a difference too. */
  readonly bothWays?: boolean;
  /** Compare Message-ID, size (where both ends know it alike), date and flags, and read no bodies: quick, and weaker. */
  readonly quick?: boolean;
  readonly since?: number;
  readonly before?: number;
  readonly maxSize?: number;
  readonly skipDeleted?: boolean;
  readonly withExpunged?: boolean;
}

export interface VerifyFinding {
  readonly kind:
    | "missing"
    | "changed"
    | "altered"
    /** No difference: what the target refused, as was told when it was copied. */
    | "known-loss"
    | "extra"
    | "folder-missing"
    | "folder-extra"
    | "unreadable"
    | "unlisted"
    /** No difference between the two: something of the source that looks like mail was not read. */
    | "left-out";
  readonly folder: FolderPath;
  readonly origin?: Origin;
  /** One line for a person. */
  readonly what: string;
  /** Of a message that is missing or altered, where they could be had: what a person knows it by. */
  readonly subject?: string;
  readonly from?: string;
  readonly date?: Date;
}

export interface VerifyFolderResult {
  readonly folder: FolderPath;
  readonly name: string;
  readonly matched: number;
  readonly missing: number;
  /** The traits differ, or (altered) the bytes do. */
  readonly changed: number;
  /** So many of these are there with other bytes. */
  readonly altered: number;
  /** So many of the changed differ in their date alone; left out where there are none. */
  readonly misdated?: number;
  /** So many of the missing cannot be read at the source; left out where there are none. */
  readonly unread?: number;
  readonly extra: number;
  /** Messages that the source counts in the folder and does not list. */
  readonly unlisted?: number;
  /** So many of the matched lack what the target refused when they were copied; left out where there are none. */
  readonly knownLosses?: number;
}

export interface VerifySummary {
  readonly folders: readonly VerifyFolderResult[];
  readonly matched: number;
  readonly missing: number;
  readonly changed: number;
  readonly altered: number;
  /** So many of the changed differ in their date alone; left out where there are none. */
  readonly misdated?: number;
  /** So many of the missing cannot be read at the source; left out where there are none. */
  readonly unread?: number;
  readonly extra: number;
  /** Folders, empty ones too, that the target does not have. */
  readonly foldersMissing: number;
  /** Folders, empty ones too, that the source does not have; they count with `bothWays`. */
  readonly foldersExtra: number;
  /** Messages that the source counts and does not list; left out where there are none. */
  readonly unlisted?: number;
  readonly knownLosses?: number;
  /** Things that look like mail and were not read; left out where there are none. What was read may be equal all the same. */
  readonly leftOut?: number;
  /** What the options ask for and the source has not, each in words; nothing was compared for it. */
  readonly unmatched?: readonly string[];
  /** Nothing differs, was left out or unmatched. */
  readonly equal: boolean;
  readonly seconds: number;
}
