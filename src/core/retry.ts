// Patience: how often and how long to wait before something is tried again.

import { setTimeout as delay } from "node:timers/promises";

export interface Patience {
  /** Tries in a row without any progress before giving up. */
  readonly attempts: number;
  readonly firstDelayMs: number;
}

/** About two minutes in all: a server that restarts, a laptop that finds its network again. */
export const DEFAULT_PATIENCE: Patience = { attempts: 7, firstDelayMs: 1000 };

const LONGEST_DELAY_MS = 60_000;

/** Doubling from the first delay, with up to a quarter of jitter so that many clients do not come back at once. */
export function delayBefore(attempt: number, patience: Patience): number {
  const base = Math.min(patience.firstDelayMs * 2 ** (attempt - 1), LONGEST_DELAY_MS);
  return Math.round(base * (1 + Math.random() / 4));
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
