// A clock by which locks are renewed and watched, that goes as fast as it is asked to.

import type { LockClock } from "../../src/core/lock.ts";

export interface VirtualClock extends LockClock {
  /** What it has waited for, in milliseconds. */
  readonly waited: number;
  /** Lets time pass, and what waits idly for it happen. */
  pass(ms: number): Promise<void>;
  /** The day's clock alone goes on: the machine slept. */
  sleep(ms: number): void;
}

/** Whoever waits for it has it pass; `each` happens during each such wait. */
export function virtualClock(each: (clock: VirtualClock) => unknown = () => undefined): VirtualClock {
  let now = 0;
  let slept = 0;
  let waited = 0;
  const idle = new Set<{ readonly due: number; readonly go: () => void }>();
  const clock: VirtualClock = {
    now: () => now,
    wall: () => 1_700_000_000_000 + now + slept,
    get waited() {
      return waited;
    },
    async wait(ms, signal, isIdle) {
      if (signal?.aborted === true) return;
      if (isIdle) {
        await new Promise<void>((resolve) => {
          idle.add({ due: now + ms, go: resolve });
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
        return;
      }
      waited += ms;
      await clock.pass(ms);
      await each(clock);
    },
    async pass(ms) {
      for (const end = now + ms; now < end; ) {
        now = Math.min(end, ...[...idle].map(({ due }) => due));
        for (const item of idle)
          if (item.due <= now) {
            idle.delete(item);
            item.go();
          }
        await settled();
      }
    },
    sleep(ms) {
      slept += ms;
    },
  };
  return clock;
}

/** Until file operations that were begun by what waited have come to their end. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}
