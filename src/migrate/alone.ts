// Suspects, tried after everything else, one at a time: what ends the connection then is found out, and takes nothing with it.

import { MailError } from "../mail/errors.ts";
import type { Entry } from "../mail/model.ts";
import { joinRivals } from "./copy.ts";
import { died, fail } from "./failures.ts";
import type { JobState } from "./job.ts";
import { type Pass, receive, sendOff } from "./read.ts";

/** Ends when each of them was tried once; those that failed are in `current.again`, or in `current.error` what ended it before. */
export async function tryAlone(current: Pass): Promise<void> {
  const { suspects } = current.target;
  current.target.alone = true;
  for (const state of current.states) {
    const tried = new Set<string>();
    // Whoever was struck most goes first, over a connection that nothing else has used.
    for (const least of [2, 0])
      for (let more = true; more; ) {
        const wanted = (entry: Entry): boolean =>
          !tried.has(entry.origin.id) && suspects.isDue(entry.origin) && suspects.strikesOf(entry.origin) >= least;
        more = await readSome(current, state, tried, wanted);
        if (current.error !== undefined || current.signal.aborted) return;
      }
  }
  current.target.alone = false;
}

/** Reads until its end, or until the source ends the connection: true, there is more to try then. */
async function readSome(
  current: Pass,
  state: JobState,
  tried: Set<string>,
  wanted: (entry: Entry) => boolean,
): Promise<boolean> {
  const { context, target, signal } = current;
  const before = tried.size;
  const asked = new Map<string, Entry>();
  const want = (entry: Entry): boolean => {
    if (!wanted(entry)) return false;
    const known = target.ledger.find(entry.origin);
    if (known !== undefined && known.state !== "failed" && known.state !== "removed") return false;
    asked.set(entry.origin.id, entry);
    if (!state.forLast.delete(entry.origin.id)) joinRivals(target.rivals, entry);
    return true;
  };
  try {
    for await (const slice of context.source.slices(state.job.folder, signal))
      for await (const incoming of context.source.read(slice, { want, alone: true, signal })) {
        tried.add(incoming.entry.origin.id);
        await receive(current, state, incoming);
        sendOff(current);
        await Promise.all(current.tasks);
        if (signal.aborted) return false;
      }
    return false;
  } catch (error) {
    const [suspect] = error instanceof MailError ? (error.details.suspects ?? []) : [];
    const entry = suspect === undefined ? undefined : asked.get(suspect.id);
    // Its content has told already.
    if (entry !== undefined && tried.has(entry.origin.id) && tried.size > before) return true;
    if (!(error instanceof MailError) || entry === undefined || tried.has(entry.origin.id)) {
      fail(current, error);
      return false;
    }
    tried.add(entry.origin.id);
    await died(current, state, entry, "source", error);
    return true;
  }
}
