// Whether source and target are two places, as far as a run has come to know it, before it deletes in a folder.

import type { Origin } from "../mail/model.ts";
import type { Removable, Removal } from "../mail/removal.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import type { KeptWhy } from "./events.ts";
import type { DoneRecord } from "./ledger.ts";
import { patiently } from "./patiently.ts";
import type { FolderJob } from "./plan.ts";
import { tryOne } from "./trial.ts";
import { demandTwoAccounts } from "./two-places.ts";

/** One folder in which messages are to be deleted. */
export interface Deletion {
  readonly job: FolderJob;
  readonly folder: SinkFolder;
  /** What is to go, each time anew. */
  due(): AsyncIterable<DoneRecord>;
  removable(record: DoneRecord): Removable;
  /** Whether its copy, of so many lines, may be less than its original. */
  isShort(record: DoneRecord, lines: number): boolean;
  readonly removal: Removal;
  /** Whether its copy was not made by this run: found in the target, or recorded by an earlier one. */
  isFound(record: DoneRecord): boolean;
  /** Records that it is about to be deleted. */
  mark(record: DoneRecord): Promise<void>;
  gone(origin: Origin): Promise<void>;
  stays(record: DoneRecord, why: KeptWhy): Promise<void>;
}

/** The smallest of so many are tried first. */
const CHOICE = 256;
/** A store that does not confirm so many deletions in a row confirms none. */
const VAIN = 3;

export class Places {
  readonly #context: RunContext;
  /** Somewhere a copy was seen to be another message than its original, or that source and target show other folders. */
  #two: boolean | undefined;
  /** A copy was looked at twice. */
  #careful = false;

  constructor(context: RunContext) {
    this.#context = context;
  }

  /**
   * False when it cannot be told: then nothing more may go. Where copies were found, and not made, one of them is tried in each
   * folder: accounts that are two may show one folder. Throws MailError config when they are one place.
   */
  async areTwo(deletion: Deletion): Promise<boolean> {
    const { sink } = this.#context;
    if (sink.apart === "always" || !(await isAny(deletion.due()))) return true;
    const found = (): AsyncIterable<DoneRecord> => only(deletion.due(), (record) => deletion.isFound(record));
    this.#two ??= await this.#demandTwo((await isAny(found())) ? "again" : "no");
    const fate = await this.#try(deletion, found(), true);
    if (fate !== "none") return fate === "apart";
    // What this run put there itself is another message, but for a store that takes it for the one that it has.
    if (this.#two || sink.apart === "appended") return true;
    const made = only(deletion.due(), (record) => !deletion.isFound(record));
    return (await this.#try(deletion, made, false)) !== "unclear";
  }

  async #demandTwo(thorough: "again" | "no"): Promise<boolean> {
    const { events, options, soft } = this.#context;
    const demand = (): Promise<boolean> => demandTwoAccounts(this.#context, thorough);
    return await patiently("comparing source and target", demand, { patience: options.patience, events }, soft);
  }

  async #try(
    deletion: Deletion,
    records: AsyncIterable<DoneRecord>,
    found: boolean,
  ): Promise<"apart" | "unclear" | "none"> {
    const { job, folder } = deletion;
    let vain = 0;
    for await (const record of smallestFirst(records)) {
      if (this.#context.soft.aborted) return "unclear";
      const verdict = await tryOne(this.#context, job, folder, record, {
        removable: deletion.removable(record),
        removal: deletion.removal,
        isShort: (lines) => deletion.isShort(record, lines),
        careful: found && !this.#careful,
        marked: () => deletion.mark(record),
      });
      if (verdict === "apart") {
        await deletion.gone(record.origin);
        this.#two = true;
        this.#careful ||= found;
        return "apart";
      }
      await deletion.stays(record, verdict === "kept" ? "not-confirmed" : verdict === "short" ? "short" : "not-proved");
      if (verdict === "kept" && ++vain === VAIN) return "unclear";
    }
    return vain === 0 ? "none" : "unclear";
  }
}

async function isAny(records: AsyncIterable<DoneRecord>): Promise<boolean> {
  for await (const _ of records) return true;
  return false;
}

async function* only(
  records: AsyncIterable<DoneRecord>,
  fits: (record: DoneRecord) => boolean,
): AsyncGenerator<DoneRecord> {
  for await (const record of records) if (fits(record)) yield record;
}

/** As far as that is known without gathering all of them. */
async function* smallestFirst(records: AsyncIterable<DoneRecord>): AsyncGenerator<DoneRecord> {
  const first: DoneRecord[] = [];
  let isSorted = false;
  for await (const record of records) {
    if (isSorted) yield record;
    else if (first.push(record) === CHOICE) {
      isSorted = true;
      yield* sorted(first);
    }
  }
  if (!isSorted) yield* sorted(first);
}

function sorted(records: readonly DoneRecord[]): readonly DoneRecord[] {
  return [...records].sort((a, b) => a.size - b.size);
}
