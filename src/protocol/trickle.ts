// Overall patience: a server that keeps a connection alive by a few octets, and never comes to an end, is given up like one that is
// silent. Silence itself is for the stall limit of each protocol.

import { MailError } from "../mail/errors.ts";

/** Judged over so long. */
export const TRICKLE_MS = 5 * 60 * 1000;
/** Octets a second that it takes at the least. */
export const LEAST_RATE = 1024;
/** What is no content ("* OK Still here") keeps a command alive for so long. */
export const KEEP_ALIVE_MS = 30 * 60 * 1000;
/** A whole answer counts for as much at the least: it may have cost the server a look at many messages. */
const ANSWER = 1024;
/** Less than this is a part of a line that keeps alive. */
const PART = 64;

/** Of one connection. Time counts only from what came while something was owed; see `reset`. */
export class Trickle {
  readonly #now: () => number;
  #from: number | undefined;
  #since: number | undefined;
  #worth = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Nothing is owed, or it is we who made the other side wait, or an answer has come to its end: time begins anew. */
  reset(): void {
    this.#from = undefined;
    this.#since = undefined;
    this.#worth = 0;
  }

  /** A whole line of an answer came, beside its octets. */
  answer(): void {
    this.#worth += ANSWER;
  }

  /** So many of the octets that came are no content. */
  idle(octets: number): void {
    this.#worth -= octets;
  }

  /** So many octets came. True: that is too slow to be waited for. */
  took(octets: number): boolean {
    const now = this.#now();
    this.#from ??= now;
    this.#since ??= now;
    this.#worth += octets;
    const passed = now - this.#from;
    if (passed < TRICKLE_MS) return false;
    const worth = this.#worth;
    this.#from = now;
    this.#worth = 0;
    if (worth <= PART) return now - this.#since >= KEEP_ALIVE_MS;
    this.#since = now;
    return worth < (LEAST_RATE * passed) / 1000;
  }
}

export function tooSlow(host: string): MailError {
  const minutes = TRICKLE_MS / 60_000;
  return new MailError("connection", `${host} sent less than 1 KB a second for ${minutes} minutes`, {
    scope: "account",
    remedy: "retry",
  });
}
