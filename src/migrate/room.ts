// Whether the target has room left: a message that does not fit leaves room for smaller ones, many in a row mean that it is full.

import { MailError } from "../mail/errors.ts";

/** Each costs a transfer, over all folders. */
export const REFUSALS_IN_A_ROW = 20;

export class Room {
  #inARow = 0;
  #refusal: MailError | undefined;

  /** Why some messages could not be taken, as what ends the run; undefined while there was room for all. */
  get refusal(): MailError | undefined {
    return this.#refusal;
  }

  /** A message found no room. Returns what ends the run at once, when it is no use to go on. */
  refused({ message, details }: MailError): MailError | undefined {
    this.#refusal ??= new MailError("quota", message, { ...details, scope: "account", remedy: "give-up" });
    return ++this.#inARow >= REFUSALS_IN_A_ROW ? this.#refusal : undefined;
  }

  taken(): void {
    this.#inARow = 0;
  }
}
