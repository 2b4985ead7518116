// What every part of one run shares.

import type { Hold, LockClock } from "../core/lock.ts";
import type { Budget } from "../core/pool.ts";
import type { Patience } from "../core/retry.ts";
import type { Standing } from "../core/standing.ts";
import type { Entry, Received } from "../mail/model.ts";
import type { Sink, Stood } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import type { Alterations } from "./alterations.ts";
import type { EventStream } from "./event-stream.ts";
import type { Ledger } from "./ledger.ts";
import type { FolderJob, FolderMap } from "./plan.ts";
import type { Present } from "./present.ts";
import type { Quarantine } from "./quarantine.ts";
import type { ArchiveRecords } from "./recorded.ts";
import type { Refusals } from "./refusals.ts";
import type { Room } from "./room.ts";
import type { Course } from "./suspects.ts";
import type { RunTally } from "./tally.ts";
import type { Whole } from "./whole.ts";

/** How many messages one run may delete: a number, or a share of the messages that the source listed in it. */
export type MostRemoved = { readonly count: number } | { readonly percent: number };

export interface RemoveOptions {
  /** Only what was first copied that long ago. */
  readonly olderThanSeconds?: number;
  /** When more than this would go, nothing goes at all. */
  readonly most?: MostRemoved;
  /** Asked once, with the number of messages that would go; false: nothing goes. */
  readonly confirm?: (messages: number, signal: AbortSignal, about: AboutToGo) => Promise<boolean>;
}

/** What is about to be deleted. */
export interface AboutToGo {
  /** So many folders lose messages. */
  readonly folders: number;
  /** No earlier run from this source to this target is known to have deleted anything. */
  readonly isFirst: boolean;
}

export interface RunOptions extends FolderMap {
  /** Received date, epoch seconds: at or after `since`, and before `before`. */
  readonly since?: number;
  readonly before?: number;
  /** Octets; larger messages are filtered. */
  readonly maxSize?: number;
  /** Trust no ledger: look at both ends, and copy what is missing. */
  readonly recheck?: boolean;
  /** Read every copy back before it counts as done. */
  readonly prove?: boolean;
  /** Change nothing; say what would be done. */
  readonly dryRun?: boolean;
  /** For a dry run: the target, opened for reading, or nothing where there is none yet. Asked at most once; whoever opened it closes it. */
  readonly present?: () => Promise<Source | undefined>;
  /** Carry over flags that changed since the last run. Default true. */
  readonly flags?: boolean;
  /** Leave messages flagged \Deleted where they are. */
  readonly skipDeleted?: boolean;
  /** Bring what its owner deleted in a program that has not tidied up yet (Thunderbird, before it compacts). */
  readonly withExpunged?: boolean;
  /** Delete at the source, after proof. */
  readonly remove?: RemoveOptions;
  /** Account to account: ledger, lock and quarantine lie below it. Archives hold their own. */
  readonly stateDirectory: string;
  readonly patience?: Patience;
  /** Whether what lies on a disk at either end is still there: what is missing of it is else taken for mail that was deleted. */
  readonly standing?: Standing;
  /** For tests: the clock by which the lock is renewed and watched. */
  readonly lockClock?: LockClock;
}

export interface RunContext {
  readonly source: Source;
  readonly sink: Sink;
  readonly options: RunOptions;
  readonly events: EventStream;
  readonly tally: RunTally;
  readonly ledger: Ledger;
  readonly quarantine: Quarantine;
  readonly room: Room;
  /** Judges what came by the size that was announced; undefined where the source announces nothing that it may not keep. */
  readonly whole: Whole | undefined;
  /** In a dry run, what the target has beside what the ledger knows; undefined where nobody can tell. */
  readonly present?: Present | undefined;
  readonly alterations: Alterations;
  readonly course: Course;
  readonly refusals: Refusals;
  /** Whether it pays to read a source folder before its target is open. */
  readonly ahead: { pays: boolean };
  /** Folders that nothing seems to have moved in, and that are looked at closely all the same: so many more. */
  readonly closeLooks: { left: number };
  /**
   * Gets, for each target folder that was looked at anew, its generation and how many copies in it are nobody's; undefined where nobody
   * asks.
   */
  readonly looked?: Map<string, number> | undefined;
  /** What the ledgers of a source that is an archive of ours know of its messages. */
  readonly recorded?: ArchiveRecords | undefined;
  /** A file that is there while one message is deleted by itself; see trial.ts. */
  readonly trial: string;
  /** Where large bodies are staged. */
  readonly staging: string;
  /** Octets held in memory by messages in flight. */
  readonly bytes: Budget;
  /** Appends and updates in flight. */
  readonly writes: Budget;
  /** Aborted: read no more, finish what is in flight. */
  readonly soft: AbortSignal;
  /** Aborted: leave everything. */
  readonly hard: AbortSignal;
  /** Called before each step that cannot be taken back: throws once another run holds the lock. */
  readonly hold: Hold;
}

/** Whether the options leave this message where it is. A date or size that is not known yet filters nothing. */
export function isFiltered(
  entry: Entry,
  options: RunOptions,
  received: Received | undefined,
  size: number | undefined,
): boolean {
  if (entry.isExpunged === true && options.withExpunged !== true) return true;
  if (options.skipDeleted === true && entry.traits.flags.has("deleted")) return true;
  if (options.maxSize !== undefined && size !== undefined && size > options.maxSize) return true;
  if (received === undefined) return false;
  if (options.since !== undefined && received.epochSeconds < options.since) return true;
  return options.before !== undefined && received.epochSeconds >= options.before;
}

/** Whether the target folder, which is not open, is known to be another one than it was, or thinned; see Sink.isGone. */
export async function isGone(
  { sink, hard }: RunContext,
  { job }: { readonly job: FolderJob },
  generation: string | undefined,
  stood: Stood | undefined,
  closely = false,
): Promise<boolean | "thinned"> {
  return (await sink.isGone?.(job.target, generation, hard, stood, closely)) ?? false;
}

/** True when some messages of a folder may stay behind by choice: then "nothing moved" says nothing about what was copied. */
export function filtersMessages(options: RunOptions): boolean {
  return (
    options.skipDeleted === true ||
    // What earlier runs left out in a folder that has not changed since.
    options.withExpunged === true ||
    options.maxSize !== undefined ||
    options.since !== undefined ||
    options.before !== undefined
  );
}
