// A lock that was taken: renewed while its process lives, and looked at before anything is written that it is to guard.

import { closeSync, readSync, writeSync } from "node:fs";
import type { open } from "node:fs/promises";
import { ioError, MailError } from "./errors.ts";
import { beginOf, endOf, type Holder, isMissing, nameOf, parseHolder, sinceOf } from "./holder.ts";
import { openOwn, openOwnNow } from "./own-file.ts";

export const RENEW_MS = 10_000;
/** What a look at the file said holds for so long. Whoever takes a lock over waits twice that before it begins. */
export const LOOK_MS = 1_000;
/** Not renewed for so long, it is renewed before it is relied on: others may be about to take it over. */
const LATE_MS = 30_000;
/** A lock file is much shorter. */
const MOST_BYTES = 4_096;

export interface LockClock {
  /** Milliseconds that only grow; they may stand still while the machine sleeps. */
  now(): number;
  /** Milliseconds of the day; they may jump. */
  wall(): number;
  /** Resolves early, and never rejects, when the signal is aborted. `idle`: keeps no process alive. */
  wait(ms: number, signal: AbortSignal | undefined, idle: boolean): Promise<void>;
}

export const MACHINE_CLOCK: LockClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  wait: (ms, signal, idle) =>
    new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      if (idle) timer.unref();
      if (signal?.aborted === true) done();
      else signal?.addEventListener("abort", done);
    }),
};

/**
 * To be called before each step that cannot be taken back. Throws MailError locked when the lock is another's by now, or its
 * file is gone; from then on always. Looks at the file once a second at the most, and after the process stood still; `now`: looks
 * in any case.
 */
export type Hold = (now?: boolean) => void;

interface Moment {
  readonly now: number;
  readonly wall: number;
}

/**
 * The file is renewed in place, through a descriptor whose content was seen to be ours: whoever takes the lock over puts another
 * file there, so that a renewal that comes too late goes into a file that has no name any more.
 */
export class Renewal {
  readonly #path: string;
  readonly #me: Holder;
  readonly #what: string;
  readonly #clock: LockClock;
  readonly #ended = new AbortController();
  readonly #begin: string;
  readonly #length: number;
  #count = 0;
  #looked: Moment;
  #renewed: Moment;
  #lost: MailError | undefined;

  /** `me`: as it was just written to `path`. */
  constructor(path: string, me: Holder, what: string, clock: LockClock) {
    this.#path = path;
    this.#me = me;
    this.#what = what;
    this.#clock = clock;
    this.#begin = beginOf(me);
    this.#length = Buffer.byteLength(this.#begin + endOf(0, 0));
    this.#looked = this.#moment();
    this.#renewed = this.#looked;
    void this.#keep();
  }

  readonly hold: Hold = (now = false) => {
    if (this.#lost !== undefined) throw this.#lost;
    const isLate = this.#since(this.#renewed) >= LATE_MS;
    if (now || isLate || this.#since(this.#looked) >= LOOK_MS) this.#look(isLate);
  };

  end(): void {
    this.#ended.abort();
  }

  #moment(): Moment {
    return { now: this.#clock.now(), wall: this.#clock.wall() };
  }

  /** By the clock that says more: while a machine sleeps the one stands still, and the other may be set. */
  #since({ now, wall }: Moment): number {
    return Math.max(this.#clock.now() - now, Math.abs(this.#clock.wall() - wall));
  }

  async #keep(): Promise<void> {
    const { signal } = this.#ended;
    for (;;) {
      await this.#clock.wait(RENEW_MS, signal, true);
      if (signal.aborted || this.#lost !== undefined) return;
      // What cannot be written now is tried again; `hold` says so once it matters.
      await this.#renew().catch(() => undefined);
    }
  }

  async #renew(): Promise<void> {
    const began = this.#moment();
    let handle: Awaited<ReturnType<typeof open>>;
    try {
      handle = await openOwn(this.#path, "r+");
    } catch (error) {
      if (isMissing(error)) this.#lost = this.#takenBy("");
      return;
    }
    try {
      const buffer = Buffer.alloc(MOST_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, MOST_BYTES, 0);
      if (!this.#isOurs(buffer.toString("utf8", 0, bytesRead))) return;
      await handle.write(this.#next(), Buffer.byteLength(this.#begin));
      this.#renewed = began;
      this.#looked = began;
    } finally {
      // On a network file system what was written is sent by it.
      await handle.close();
    }
  }

  /** At once: nothing else may come between it and the step that it is for. */
  #look(renew: boolean): void {
    const began = this.#moment();
    let text = "";
    try {
      const fd = openOwnNow(this.#path, renew ? "r+" : "r");
      try {
        const buffer = Buffer.alloc(MOST_BYTES);
        text = buffer.toString("utf8", 0, readSync(fd, buffer, 0, MOST_BYTES, 0));
        if (this.#isOurs(text) && renew) {
          writeSync(fd, this.#next(), Buffer.byteLength(this.#begin));
          this.#renewed = began;
        }
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (!isMissing(error)) throw ioError(`cannot look at the lock of ${this.#what} (${this.#path})`, error);
      this.#lost = this.#takenBy("");
    }
    if (this.#lost !== undefined) throw this.#lost;
    this.#looked = began;
  }

  #next(): string {
    return endOf(++this.#count, this.#clock.wall() / 1000);
  }

  #isOurs(text: string): boolean {
    if (text.startsWith(this.#begin) && Buffer.byteLength(text) === this.#length) return true;
    this.#lost ??= this.#takenBy(text);
    return false;
  }

  #takenBy(text: string): MailError {
    const holder = parseHolder(text);
    const isGone = text === "" || holder?.token === this.#me.token;
    const why = isGone
      ? `its lock file ${this.#path} was removed or changed`
      : `${nameOf(holder)} has taken over its lock${sinceOf(holder)} (lock file ${this.#path})`;
    return new MailError("locked", `${this.#what}: ${why}; this run writes nothing more`, {
      scope: "account",
      remedy: "give-up",
      hint: isGone
        ? "Run the same command again; it goes on where it stopped."
        : "This process stood still for a minute or longer, or could not write there. Wait until the other run has ended, then run the same command again.",
    });
  }
}
