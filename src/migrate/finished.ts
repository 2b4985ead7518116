// A run onto a target that is finished already (FILE.zip): nothing is copied. What the source has and the target has not is named; what is
// in it may still go at the source.

import { MailError } from "../mail/errors.ts";
import { receivedFromHeader } from "../mail/headers.ts";
import { type ContentKey, KeyHasher } from "../mail/key.ts";
import type { Entry } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { Incoming } from "../sources/source.ts";
import { filtersMessages, isFiltered, type RunContext } from "./context.ts";
import type { Disposition } from "./events.ts";
import { DESCRIBED, headsOf, type KnownBy, knownBy } from "./failures.ts";
import { type FolderResult, LET_GO } from "./folder.ts";
import { announce, type JobState, settle, startJob } from "./job.ts";
import type { FolderLedger } from "./ledger.ts";
import type { FolderJob } from "./plan.ts";
import { isDue } from "./remove.ts";

/** Octets of a header that are looked at. */
const HEAD = 64 * 1024;

/**
 * Finds each listed message in the finished target: by its origin, or by its bytes where the source calls its messages otherwise than it
 * did then. One that is not there cannot be added any more: it counts as failed, and stays. Throws what source and sink throw.
 */
export async function compareFinished(context: RunContext, jobs: readonly FolderJob[]): Promise<FolderResult> {
  const { sink, options, hard } = context;
  const states = jobs.map((job) => startJob(context, job));
  const [first] = jobs;
  if (first === undefined) return { states, ledger: undefined, folder: undefined };
  const ledger = await context.ledger.folder(first.plan.name);
  const folder = await sink.open(first.target, hard);
  const sizes = await record(folder, ledger, sink.sealed?.since, hard);
  for (const state of states) {
    await announce(context, state);
    await compare(context, state, ledger, sizes);
    await context.events.emit({ type: "folder-finished", folder: state.job.folder, summary: state.tally.summary() });
  }
  if (options.remove !== undefined) return { states, ledger, folder };
  await ledger[Symbol.asyncDispose]();
  return LET_GO;
}

/**
 * All is listed before anything is read: only then is it known which of what is held goes by a name that the source has no more, as after
 * mail was moved out and back. Where every message is found by its origin, that one listing is all.
 */
async function compare(context: RunContext, state: JobState, ledger: FolderLedger, sizes: Sizes): Promise<void> {
  const { source, options, soft } = context;
  const filters = filtersMessages(options);
  const firstSeen = context.sink.sealed?.since ?? Math.floor(Date.now() / 1000);
  const missing = new MailError("config", "the target is finished and does not hold this message", {
    scope: "message",
    remedy: "give-up",
  });
  /** To be described when nothing else is asked of the source. */
  const nameless: Entry[] = [];
  /** Read only to be described: these lie on a disk. */
  let read = 0;
  const end = async (entry: Entry, as: Disposition, known: KnownBy = {}, error = missing): Promise<void> => {
    if (as === "already-copied") {
      state.selected?.add(entry.origin.id);
      const { remove, dryRun } = options;
      if (remove !== undefined && dryRun === true && isDue(context, { firstSeen })) state.tally.due++;
    }
    await settle(context, state, ledger, entry, { as, losses: [], ...known }, 0, as === "failed" ? error : undefined);
  };
  const isKnown = async (entry: Entry): Promise<boolean> => {
    const isHere = ledger.find(entry.origin) !== undefined;
    if (isFiltered(entry, options, entry.traits.received, entry.size)) await end(entry, "filtered");
    else if (isHere) await end(entry, "already-copied");
    else return false;
    return true;
  };
  let unknown = 0;
  const list = async (entry: Entry): Promise<boolean> => {
    state.generation = entry.origin.generation;
    if (ledger.find(entry.origin) !== undefined) sizes.found(entry.size);
    if (!(await isKnown(entry))) unknown++;
    return false;
  };
  const want = async (entry: Entry): Promise<boolean> => {
    if (await isKnown(entry)) return false;
    // It may be here under another name, or be left out by the date in its header.
    if (ledger.mayHold(entry.origin) && (source.describe === undefined || sizes.mayHold(entry.size))) return true;
    if (filters && entry.traits.received === undefined) return true;
    if (source.describe === undefined && read++ < DESCRIBED) return true;
    if (nameless.length < DESCRIBED) nameless.push(entry);
    else await end(entry, "failed");
    return false;
  };
  const unlisted = (messages: number): void => {
    state.tally.unlisted += messages;
  };
  for await (const slice of source.slices(state.job.folder, soft))
    for await (const _ of source.read(slice, { want: list, unlisted, signal: soft })) {
      // It wants none.
    }
  state.tally.isCut = soft.aborted;
  if (unknown === 0 || soft.aborted || state.generation === undefined) return;
  ledger.listedAll(state.job.folder.path, state.generation);
  for await (const slice of source.slices(state.job.folder, soft))
    for await (const incoming of source.read(slice, { want, signal: soft })) {
      const { entry } = incoming;
      const looked = await look(incoming);
      if (looked instanceof MailError) {
        await end(entry, looked.code === "not-found" ? "vanished" : "failed", {}, looked);
        continue;
      }
      const { key, head, size } = looked;
      const received = entry.traits.received ?? receivedFromHeader(head);
      if (isFiltered(entry, options, received, size)) await end(entry, "filtered");
      else if ((await ledger.adopt(entry.origin, key)) !== undefined) await end(entry, "already-copied");
      else await end(entry, "failed", await knownBy(head));
    }
  const heads = await headsOf(
    context,
    nameless.map(({ origin }) => origin),
  );
  for (const entry of nameless) {
    const head = heads.get(entry.origin.id);
    await end(entry, "failed", head === undefined ? {} : await knownBy(head));
  }
  state.tally.isCut = soft.aborted;
}

/** Sizes of what is held and was not found by its origin: reading from a server what has none of them would be in vain. */
class Sizes {
  readonly #left = new Map<number, number>();
  #found = 0;
  #tells = true;

  held(size: number): void {
    this.#left.set(size, (this.#left.get(size) ?? 0) + 1);
  }

  found(size: number | undefined): void {
    const left = size === undefined ? undefined : this.#left.get(size);
    this.#found++;
    // The source says other sizes than its messages have.
    if (size === undefined || left === undefined || left === 0) this.#tells = false;
    else this.#left.set(size, left - 1);
  }

  /** True also where nothing has shown that the source's word on sizes can be taken. */
  mayHold(size: number | undefined): boolean {
    return size === undefined || this.#found === 0 || !this.#tells || (this.#left.get(size) ?? 0) > 0;
  }
}

interface Looked {
  readonly key: ContentKey;
  readonly head: Uint8Array;
  readonly size: number;
}

/** Gives the error where this message alone cannot be read. */
async function look({ content }: Incoming): Promise<Looked | MailError> {
  const hasher = new KeyHasher();
  const head: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of content) {
      if (size < HEAD) head.push(chunk.slice(0, HEAD - size));
      size += chunk.length;
      hasher.update(chunk);
    }
  } catch (error) {
    if (error instanceof MailError && error.details.scope === "message") return error;
    throw error;
  }
  return { key: hasher.digest().key, head: Buffer.concat(head), size };
}

/** What the target says of itself stands in for the ledger, which went when it was finished. Gives the sizes of what it holds. */
async function record(
  folder: SinkFolder,
  ledger: FolderLedger,
  since: number | undefined,
  signal: AbortSignal,
): Promise<Sizes> {
  const sizes = new Sizes();
  const firstSeen = since ?? Math.floor(Date.now() / 1000);
  for await (const { receipt, traits, size, key, origin } of folder.copies(undefined, signal))
    if (key !== undefined && origin !== undefined) {
      sizes.held(size ?? 0);
      await ledger.put({ state: "done", origin, key, size, receipt, traits, firstSeen, proved: false });
    }
  // What was written now was not met at the source yet.
  ledger.relist();
  return sizes;
}
