// Patience: how often and how long to wait before something is tried again.

import { setTimeout as delay } from "node:timers/promises";

export interface Patience {
  /** Tries in a row without any progress before giving up. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  /**
   * Waited at least where the effect of what was tried is not known: a server that has all of an APPEND when the connection dies
   * goes on and commits it, perhaps after we are back and have looked for it. Default three times the first delay.
   */
  readonly settleMs?: number;
  /** From 0 up to, but not including, 1: what the jitter is made of. Default `Math.random`. */
  readonly random?: () => number;
  /** Waits; resolves early, and never rejects, when the signal is aborted. Default: the clock of this machine. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** About two minutes in all: a server that restarts, a laptop that finds its network again. */
export const DEFAULT_PATIENCE: Patience = { attempts: 8, firstDelayMs: 1000 };

export const LONGEST_DELAY_MS = 60_000;
/** Of the delay, added at the most: many clients that lost one server do not come back at once. */
export const JITTER = 1 / 4;

/** Doubling from the first delay up to the longest, with jitter. */
export function delayBefore(attempt: number, { firstDelayMs, random = Math.random }: Patience): number {
  const base = Math.min(firstDelayMs * 2 ** (attempt - 1), LONGEST_DELAY_MS);
  return Math.round(base * (1 + random() * JITTER));
}

/** The same for what may still be on its way to happen. */
export function delayToSettle(attempt: number, patience: Patience): number {
  return Math.max(delayBefore(attempt, patience), patience.settleMs ?? 3 * patience.firstDelayMs);
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export async function pause(ms: number, { wait }: Patience, signal: AbortSignal): Promise<void> {
  if (wait !== undefined) await wait(ms, signal);
  else await delay(ms, undefined, { signal }).catch(() => undefined);
}
