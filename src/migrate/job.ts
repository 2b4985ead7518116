// One source folder on its way through a run: its sums, and what is said of it and of each of its messages.

import type { MailError } from "../mail/errors.ts";
import type { Loss } from "../mail/fidelity.ts";
import { type Entry, samePath } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import type { Settled } from "./copy.ts";
import { IdSet } from "./id-set.ts";
import type { FolderLedger } from "./ledger.ts";
import type { FolderJob } from "./plan.ts";
import { FolderTally } from "./tally.ts";

/** One source folder on its way, over all its passes. */
export interface JobState {
  readonly job: FolderJob;
  readonly tally: FolderTally;
  /** The origins that this run is about, where they are to be removed afterwards. */
  readonly selected: IdSet | undefined;
  /** Those of them whose copies this run did not make: found in the target, or recorded by an earlier run. */
  readonly found: IdSet | undefined;
  generation: string | undefined;
  listed: number;
  /** Of these, left out because their owner deleted them: a folder in which nothing moves holds the same ones next time. */
  expunged: number;
  /** Its target was opened in this run. */
  opened: boolean;
  /** A change of traits was not carried over: next time the folder must be listed, whatever its state says. */
  behind: boolean;
  announced: boolean;
  /** Ids that failed in an earlier run and are tried again. */
  readonly retried: Set<string>;
  /** Stored, as the server says, and not found in the target yet, by id: what they are to be settled as. */
  readonly unnamed: Map<string, Unnamed>;
  /** Ids of those that wait for another turn of this pass; see Later. */
  later: IdSet;
  /** Ids of suspects that this pass has met and not tried yet. */
  readonly forLast: Set<string>;
  /** Messages that came with fewer octets than were announced. */
  short: number;
  /** Ids of those that were sent, and nobody said whether they are stored. */
  readonly doubtful: Set<string>;
  /** Ids of those that were looked for in vain. */
  readonly strayed: Set<string>;
}

export interface Unnamed {
  readonly entry: Entry;
  readonly outcome: Settled;
  readonly bytes: number;
}

export function startJob(context: RunContext, job: FolderJob): JobState {
  const tally = new FolderTally(job.folder.path, job.plan.name);
  context.tally.begin(tally);
  return {
    job,
    tally,
    selected: context.options.remove === undefined ? undefined : new IdSet(),
    found: context.options.remove === undefined ? undefined : new IdSet(),
    generation: undefined,
    listed: 0,
    expunged: 0,
    opened: false,
    behind: false,
    announced: false,
    retried: new Set(),
    unnamed: new Map(),
    later: new IdSet(),
    forLast: new Set(),
    short: 0,
    doubtful: new Set(),
    strayed: new Set(),
  };
}

/**
 * Says once a run what this folder is called in the target, and whether its name could be kept. `opened`: where it was opened,
 * as a store may refuse the name that was planned.
 */
export async function announce(context: RunContext, state: JobState, opened?: SinkFolder): Promise<void> {
  if (state.announced) return;
  state.announced = true;
  const { folder, target, plan } = state.job;
  // By then an archive is there.
  context.options.standing?.look();
  const { name, path } = opened ?? plan;
  const losses: Loss[] = samePath(path, target.path) ? [] : [{ kind: "folder-name", from: target.path, to: name }];
  context.tally.addLosses(losses);
  await context.events.emit({ type: "folder-opened", folder, name, losses, created: opened?.created === true });
}

/** Counts an origin once a run, and says so. */
export function settle(
  context: RunContext,
  state: JobState,
  ledger: FolderLedger,
  entry: Entry,
  outcome: Settled,
  bytes: number,
  error?: MailError,
): Promise<void> | undefined {
  if (!ledger.settle(entry.origin)) return undefined;
  const { as, losses, quarantine, note, subject, from, date } = outcome;
  state.tally.balance[as]++;
  if (as === "adopted" || as === "already-copied") state.found?.add(entry.origin.id);
  if (as === "failed" && state.retried.has(entry.origin.id)) context.tally.failedAgain++;
  context.tally.addLosses(losses);
  if (as === "copied" || as === "altered" || as === "planned") context.tally.bytes += bytes;
  if (outcome.traitsUpdated === true) {
    context.tally.traitsUpdated++;
    void context.events.emit({ type: "traits-updated", origin: entry.origin });
  }
  return context.events.emit({
    type: "message-settled",
    entry,
    as,
    bytes,
    losses,
    ...(error === undefined ? {} : { error }),
    ...(quarantine === undefined ? {} : { quarantine }),
    ...(note === undefined ? {} : { note }),
    ...(subject === undefined ? {} : { subject }),
    ...(from === undefined ? {} : { from }),
    ...(date === undefined ? {} : { date }),
  });
}
