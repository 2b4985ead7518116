// Whether the target has room left: a message that does not fit leaves room for smaller ones, many in a row mean that it is full.

import { MailError } from "../mail/errors.ts";

/** Each costs a transfer, over all folders. */
export const REFUSALS_IN_A_ROW = 20;

export class Room {
  #inARow = 0;
  #refusal: MailError | undefined;
  /** Octets of the smallest message that found no room. */
  #least = Number.POSITIVE_INFINITY;

  /** Why some messages could not be taken, as what ends the run; undefined while there was room for all. */
  get refusal(): MailError | undefined {
    return this.#refusal;
  }

  /** Why a message of so many octets is not even sent; undefined where it may fit. */
  refuses(size: number): MailError | undefined {
    if (size < this.#least || this.#refusal === undefined) return undefined;
    const { code, message, details } = this.#refusal;
    return new MailError(code, message, { ...details, scope: "message" });
  }

  /** A message found no room. Returns what ends the run at once, when it is no use to go on. */
  refused({ message, details }: MailError, size: number): MailError | undefined {
    this.#least = Math.min(this.#least, size);
    this.#refusal ??= new MailError("quota", message, { ...details, scope: "account", remedy: "give-up" });
    return ++this.#inARow >= REFUSALS_IN_A_ROW ? this.#refusal : undefined;
  }

  taken(): void {
    this.#inARow = 0;
  }
}
