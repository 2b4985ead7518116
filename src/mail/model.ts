// The words of mail as plain readonly data: folders, flags, dates, origins and entries.

/** Decoded names, root first. The separator and its encoding live only inside an adapter. `["INBOX"]` is the inbox everywhere. */
export type FolderPath = readonly string[];
export const SPECIAL_USES = [
  "inbox",
  "all",
  "archive",
  "drafts",
  "flagged",
  "important",
  "junk",
  "sent",
  "trash",
] as const;
/** What a folder is for (RFC 6154). */
export type SpecialUse = (typeof SPECIAL_USES)[number];
export type SystemFlag = "seen" | "answered" | "flagged" | "deleted" | "draft";

export const SYSTEM_FLAGS: readonly SystemFlag[] = ["seen", "answered", "flagged", "deleted", "draft"];

/** Folders of one account or archive: each is held in memory, and nobody has more than some ten thousand. */
export const MAX_FOLDERS = 100_000;

export interface Folder {
  readonly path: FolderPath;
  /** False for a folder that only holds folders (\Noselect). */
  readonly selectable: boolean;
  readonly use?: SpecialUse;
  readonly subscribed?: boolean;
  readonly messages?: number;
  readonly bytes?: number;
  /** The store's own spelling of the name (the raw listed mailbox name, a directory): for opening it again and for messages. */
  readonly name?: string;
  /**
   * An opaque token that changes whenever a listing of this folder would say anything new (UIDVALIDITY, UIDNEXT, MESSAGES and
   * HIGHESTMODSEQ). Absent where the store cannot promise that: then the folder is listed every time.
   */
  readonly state?: string;
}

/** An instant in whole seconds; the zone goes along where a store takes it and is never a loss. */
export interface Received {
  readonly epochSeconds: number;
  /** Minutes east of UTC. */
  readonly zoneMinutes?: number;
}

/** What a store says beside the bytes. Keywords compare without case. */
export interface Traits {
  readonly flags: ReadonlySet<SystemFlag>;
  readonly keywords: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
  readonly received?: Received;
  /** System flags of the store's own that no other store has a word for, as it spells them ("\\Indexed"). */
  readonly foreign?: ReadonlySet<string>;
  /** The store gives a received date that none can be (year 0, day 00): the header's stands in for it. */
  readonly misdated?: true;
}

export const NO_TRAITS: Traits = { flags: new Set(), keywords: new Set(), labels: new Set() };

/** What changed at the source since the last run; both sides may be empty. */
export interface TraitChange {
  readonly add: Pick<Traits, "flags" | "keywords" | "labels">;
  readonly remove: Pick<Traits, "flags" | "keywords" | "labels">;
}

/**
 * Names one message of one source for ever. A new `generation` (UIDVALIDITY; a POP maildrop; one state of an mbox) makes
 * older ids of that folder mean nothing. Where a store has no id (POP3 without UIDL, or a UIDL seen twice) the id is the
 * content key, and `want` is asked after the transfer.
 */
export interface Origin {
  readonly folder: FolderPath;
  readonly generation: string;
  readonly id: string;
}

export interface Entry {
  readonly origin: Origin;
  readonly traits: Traits;
  /** Deleted by its owner, and there only until its program tidies up: left out unless it is asked for. */
  readonly isExpunged?: true;
  /** Octets as announced by the store; never trusted. */
  readonly size?: number;
}

/** How a path is written for people and matched by globs: names joined by "/", with "/" and "\" inside a name escaped by "\". */
export function showPath(path: FolderPath): string {
  return path.map((name) => name.replace(/[\\/]/g, "\\$&")).join("/");
}

/** The inverse of showPath. */
export function parsePath(text: string): FolderPath {
  const names: string[] = [];
  let name = "";
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === "\\" && i + 1 < text.length) name += text.charAt(++i);
    else if (char === "/") {
      names.push(name);
      name = "";
    } else name += char;
  }
  names.push(name);
  return names.filter((part) => part !== "");
}

export function samePath(a: FolderPath, b: FolderPath): boolean {
  return a === b || (a.length === b.length && a.every((name, i) => name === b[i]));
}
