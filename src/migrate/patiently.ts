// One piece of a run's work that is tried again after a passing fault, until patience ends.

import { DEFAULT_PATIENCE, delayBefore, type Patience, pause } from "../core/retry.ts";
import { MailError } from "../mail/errors.ts";
import type { EventStream } from "./event-stream.ts";

/** Throws what `work` threw last. `what` names it for people. */
export async function patiently<T>(
  what: string,
  work: () => Promise<T>,
  { patience = DEFAULT_PATIENCE, events }: { readonly patience: Patience | undefined; readonly events: EventStream },
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !(error instanceof MailError) || error.details.remedy === "give-up") throw error;
      if (attempt >= patience.attempts) throw error;
      const delayMs = Math.max(error.details.waitMs ?? 0, delayBefore(attempt, patience));
      await events.emit({ type: "retry-scheduled", what, attempt, delayMs, error });
      await pause(delayMs, patience, signal);
      if (signal.aborted) throw error;
    }
  }
}
