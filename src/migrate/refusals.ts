// A target that refuses one message after the other for good, in the same words: full, most likely, in words that nobody knows.

import { MailError } from "../mail/errors.ts";

/** In a row, in the same words, with nothing accepted between: from here on nothing more is set aside. */
export const SAME_IN_A_ROW = 20;
/** So many more are tried, as they may be of another kind; then no more are read. */
const PROBES = 20;

/** A refused message that is not settled yet. */
export interface Held {
  settle(): Promise<void>;
  /** Nothing of it was to be set aside. */
  takeBack(): Promise<void>;
}

export class Refusals {
  #words = "";
  #inARow = 0;
  #held: Held[] = [];
  #verdict: MailError | undefined;

  /** Whether this one is not even set aside; `isTooMany`: nothing more is to be read. */
  refused({ message }: MailError): { readonly isLeft: boolean; readonly isTooMany: boolean } {
    // Sizes, UIDs and dates differ from one to the next.
    const words = message.replace(/\d+/g, "0");
    if (words !== this.#words) this.#inARow = 0;
    this.#words = words;
    this.#inARow++;
    return { isLeft: this.#inARow > SAME_IN_A_ROW, isTooMany: this.#inARow >= SAME_IN_A_ROW + PROBES };
  }

  hold(held: Held): void {
    this.#held.push(held);
  }

  /** One was accepted: what was refused before was refused for its own sake. Undefined where nothing has to be waited for. */
  taken(): Promise<void> | undefined {
    this.#inARow = 0;
    return this.#held.length === 0 ? undefined : this.#settle();
  }

  /** A folder has been tried to its end: what ends the work on it, where nothing is accepted any more. */
  async atEnd(): Promise<MailError | undefined> {
    if (this.#inARow <= SAME_IN_A_ROW) {
      await this.#settle();
      return undefined;
    }
    for (const held of this.#held.splice(0)) await held.takeBack();
    this.#verdict = new MailError("quota", `the target refuses everything: ${this.#words}`, {
      scope: "account",
      remedy: "retry",
      outcome: "none",
      hint: "See whether the target account is full, or takes no mail; then run the same command again.",
    });
    return this.#verdict;
  }

  /** It is for another folder to show whether it is the account. */
  isVerdict(error: MailError): boolean {
    return error === this.#verdict;
  }

  async #settle(): Promise<void> {
    for (const held of this.#held.splice(0)) await held.settle();
  }
}
