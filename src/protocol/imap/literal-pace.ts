// Whether a line that ends in a synchronising literal goes out behind a command that has no answer yet, or after that answer.
//
// Behind it spares a round trip. But a server that has TCP hold back small writes (Nagle) then keeps its "+" until we acknowledged
// the answer before it, and we have nothing to send that would carry the acknowledgement: the system delays it, by 40 ms on Linux.

/** Beyond a round trip; less is chance. */
const LATE_MS = 10;
/** So many in a row are no chance. */
const LATE_IN_A_ROW = 2;

/** One in so many goes after the answer all the same: what was taken for a round trip may have been the server's, or our own, work. */
const AFRESH = 16;

/** Of one connection. */
export class LiteralPace {
  readonly #now: () => number;
  /** The shortest, as far as it was seen. */
  #roundTrip: number | undefined;
  #late = 0;
  #behind = 0;
  #answered = 0;
  #asked: { readonly at: number; readonly isAlone: boolean } | undefined;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The next line is to wait for every answer. The first one does too, so that a round trip is known. */
  get waits(): boolean {
    return this.#late >= LATE_IN_A_ROW || this.#roundTrip === undefined || this.#behind >= AFRESH;
  }

  /** A line went out that a "+" is to follow; `isAlone`: everything before it had its answer. */
  asked(isAlone: boolean): void {
    this.#asked = { at: this.#now(), isAlone };
    this.#behind = isAlone ? 0 : this.#behind + 1;
  }

  /** A tagged answer came. */
  answered(): void {
    this.#answered = this.#now();
  }

  /** The "+" came. */
  went(): void {
    const asked = this.#asked;
    if (asked === undefined) return;
    this.#asked = undefined;
    const took = this.#now() - (asked.isAlone ? asked.at : Math.max(asked.at, this.#answered));
    if (asked.isAlone) this.#roundTrip = Math.min(took, this.#roundTrip ?? took);
    else if (this.#roundTrip !== undefined) this.#late = took > this.#roundTrip + LATE_MS ? this.#late + 1 : 0;
  }
}
