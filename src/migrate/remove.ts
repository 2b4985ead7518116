// Deleting at the source: last of all, only what was read back from the sealed target just now, and only that.

import { mapOrdered } from "../core/pool.ts";
import { MailError } from "../mail/errors.ts";
import type { Origin } from "../mail/model.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import { isProved } from "./copy.ts";
import type { FolderResult } from "./folder.ts";
import type { JobState } from "./job.ts";
import type { DoneRecord, FolderLedger } from "./ledger.ts";

/** Copies that are read back at once. */
const PROOFS_IN_FLIGHT = 16;

/** Returns the number of origins that should have gone and did not; why, is said in notices. */
export async function removeProved(context: RunContext, result: FolderResult): Promise<number> {
  const { folder, ledger } = result;
  let failures = 0;
  if (folder === undefined || ledger === undefined) return 0;
  for (const state of result.states) {
    if (!state.tally.summary().closes) {
      await notice(context, state, "nothing is deleted at the source: the folder did not come through whole");
      failures += state.tally.balance["already-copied"] + state.tally.balance.copied + state.tally.balance.adopted;
      continue;
    }
    failures += await removeFolder(context, state, folder, ledger);
  }
  return failures;
}

async function removeFolder(
  context: RunContext,
  state: JobState,
  folder: SinkFolder,
  ledger: FolderLedger,
): Promise<number> {
  const { source, options, hard } = context;
  if (source.remove === undefined)
    throw new MailError("config", `${source.kind} cannot delete messages`, { scope: "account", remedy: "give-up" });
  const olderThan = options.remove?.olderThanSeconds ?? 0;
  const now = Math.floor(Date.now() / 1000);
  let unproved = 0;
  let asked = 0;

  const prove = async (record: DoneRecord): Promise<Origin | undefined> => {
    const due = now - record.firstSeen >= olderThan;
    if (!due && record.proved) return undefined;
    const good = record.receipt !== undefined && (await isProved(folder, record.receipt, record.key, hard));
    if (!good) {
      if (due) unproved++;
      return undefined;
    }
    if (!record.proved) await ledger.put({ ...record, proved: true });
    return due ? record.origin : undefined;
  };
  async function* selected(): AsyncGenerator<DoneRecord> {
    for await (const record of ledger.records(state.job.folder.path)) {
      const { generation, id } = record.origin;
      if (record.state === "done" && generation === state.generation && state.selected?.has(id) === true) yield record;
    }
  }
  async function* proved(): AsyncGenerator<Origin> {
    for await (const origin of mapOrdered(selected(), PROOFS_IN_FLIGHT, prove)) {
      if (origin === undefined) continue;
      if (context.soft.aborted) return;
      asked++;
      yield origin;
    }
  }

  // Looking for copies goes on from where it was: what was read back here says nothing of any other.
  const wasClean = ledger.clean;
  const position = ledger.sinkPosition;
  let gone = 0;
  try {
    for await (const origin of source.remove(proved(), hard)) {
      gone++;
      context.tally.removed++;
      await ledger.put({ state: "removed", origin });
      await context.events.emit({ type: "message-removed", origin });
    }
  } catch (error) {
    if (!(error instanceof MailError) || error.details.remedy === "give-up") throw error;
    await notice(context, state, `deleting was cut short (${error.message}); run the same command again`);
    return Math.max(1, asked - gone);
  } finally {
    if (wasClean) await ledger.close(position, []);
  }
  if (unproved > 0)
    await notice(
      context,
      state,
      `${unproved} messages stay at the source: their copy could not be read back as it was sent`,
    );
  if (asked > gone) await notice(context, state, `the server did not confirm that ${asked - gone} messages are gone`);
  return unproved + (asked - gone);
}

async function notice(context: RunContext, state: JobState, text: string): Promise<void> {
  await context.events.emit({ type: "notice", text, folder: state.job.folder.path });
}
