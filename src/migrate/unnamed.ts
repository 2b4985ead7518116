// Messages that a server without UIDPLUS says it has stored: they count as copied when the target was listed and shows them.

import { plural } from "../core/words.ts";
import { MailError } from "../mail/errors.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import { type Candidates, nameCopies } from "./candidates.ts";
import type { RunContext } from "./context.ts";
import { type JobState, settle } from "./job.ts";
import type { FolderLedger } from "./ledger.ts";

/** Gives each of our copies its name, and settles what this run sent. Returns how many of these are not there; they are in `strayed` from here on. */
export async function nameAll(
  context: RunContext,
  states: readonly JobState[],
  ledger: FolderLedger,
  folder: SinkFolder,
  seen: Candidates,
): Promise<number> {
  let count = 0;
  const { redated } = await nameCopies(folder, seen, ledger, context.hard);
  for (let n = 0; n < redated; n++) context.tally.addLosses([{ kind: "received" }]);
  for (const state of states) {
    for (const [id, { entry, outcome, bytes }] of state.unnamed) {
      const known = ledger.find(entry.origin);
      state.unnamed.delete(id);
      // Forgotten, or not there: another pass looks for it.
      if (known === undefined) continue;
      if (known.state === "failed") {
        state.strayed.add(id);
        count++;
      } else {
        if (state.tally.unresolved > 0) state.tally.unresolved--;
        await settle(context, state, ledger, entry, outcome, bytes);
      }
    }
  }
  return count;
}

/** What makes another pass look closer. */
export function strayed(count: number, { name }: SinkFolder): MailError {
  const text = `${plural(count, "message")} that the server says it stored ${count === 1 ? "is" : "are"} not to be found in ${name} as they were sent`;
  return new MailError("protocol", text, { scope: "folder", remedy: "retry" });
}
