// Exit codes: what a script learns from a run.

import { isAbort, MailError } from "../mail/errors.ts";
import type { RunSummary } from "../migrate/events.ts";

export const EXIT = {
  complete: 0,
  bug: 1,
  usage: 2,
  partial: 3,
  login: 4,
  temporary: 5,
  different: 6,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code of what ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (isAbort(error)) return EXIT.interrupted;
  if (!(error instanceof MailError)) return EXIT.bug;
  switch (error.code) {
    case "auth":
      // Some servers answer a login "in use" or "try later": then another run is the cure.
      return error.details.remedy === "give-up" ? EXIT.login : EXIT.temporary;
    case "quota":
    case "locked":
      return EXIT.temporary;
    case "connection":
    case "protocol":
    case "io":
      return error.details.remedy === "give-up" ? EXIT.usage : EXIT.temporary;
    case "too-large":
    case "not-found":
    case "malformed":
    case "config":
      return EXIT.usage;
  }
}

/** The exit code of a run that came to its end. */
export function exitCodeOfRun(summary: RunSummary): ExitCode {
  if (summary.error !== undefined) return exitCodeOf(summary.error);
  if (!summary.closes || summary.outcome === "partial" || summary.balance.failed > 0) return EXIT.partial;
  return summary.outcome === "stopped" ? EXIT.temporary : EXIT.complete;
}
