// RETR: messages streamed one after the other while the commands for the next ones are already under way.

import { DotUnstuffer } from "./dots.ts";
import { PIPELINE_COMMANDS, PIPELINE_OCTETS, UNKNOWN_SIZE } from "./limits.ts";
import { replyError } from "./replies.ts";
import type { Wire } from "./wire.ts";

export interface Retrieved {
  readonly number: number;
  /**
   * Once, before the next is pulled. Fails with MailError scope "message" when the server answers -ERR (the session goes on),
   * scope "account" when the connection ends: a message that was cut is never taken for a whole one.
   */
  readonly content: AsyncIterable<Uint8Array>;
}

/** See Pop3Session.retrieve. */
export async function* retrieve(
  wire: Wire,
  pipelining: boolean,
  numbers: Iterable<number>,
  size: (number: number) => number | undefined,
): AsyncGenerator<Retrieved> {
  const ahead = pipelining ? PIPELINE_COMMANDS : 1;
  const iterator = numbers[Symbol.iterator]();
  const asked: { number: number; octets: number }[] = [];
  let octets = 0;
  let next = iterator.next();
  let whole = false;
  try {
    for (;;) {
      // Sent in bunches: a packet a command would cost more than it wins.
      if (asked.length <= ahead / 2) {
        const commands: string[] = [];
        while (next.done !== true && asked.length < ahead && (asked.length === 0 || octets < PIPELINE_OCTETS)) {
          const number = next.value;
          const weight = size(number) ?? UNKNOWN_SIZE;
          asked.push({ number, octets: weight });
          octets += weight;
          commands.push(`RETR ${number}`);
          next = iterator.next();
        }
        if (commands.length > 0) wire.send(commands.join("\r\n"));
      }
      const current = asked[0];
      if (current === undefined) break;
      const answer = new Answer(wire, current.number);
      yield { number: current.number, content: answer.content() };
      await answer.skip();
      asked.shift();
      octets -= current.octets;
    }
    whole = true;
  } finally {
    if (!whole) wire.close();
  }
}

class Answer {
  readonly #wire: Wire;
  readonly #number: number;
  readonly #unstuffer = new DotUnstuffer();
  #begun = false;
  #refused = false;
  #octets = 0;

  constructor(wire: Wire, number: number) {
    this.#wire = wire;
    this.#number = number;
  }

  async *content(): AsyncGenerator<Uint8Array> {
    await this.#begin();
    for (;;) {
      const pieces = await this.#pieces();
      if (pieces === undefined) return;
      for (const piece of pieces) yield piece;
    }
  }

  /** Reads what nobody read. */
  async skip(): Promise<void> {
    if (this.#refused) return;
    if (!this.#begun) {
      this.#begun = true;
      if ((await this.#wire.reply()).status !== "+OK") return;
    }
    while ((await this.#pieces()) !== undefined);
  }

  async #begin(): Promise<void> {
    if (this.#begun) throw new Error("a message is read once");
    this.#begun = true;
    const reply = await this.#wire.reply();
    if (reply.status === "+OK") return;
    this.#refused = true;
    throw replyError(this.#wire.server, `RETR ${this.#number}`, reply, "message");
  }

  async #pieces(): Promise<readonly Buffer[] | undefined> {
    const before = this.#unstuffer.ended;
    const pieces = await this.#wire.pieces(this.#unstuffer);
    for (const piece of pieces ?? []) this.#octets += piece.length;
    if (!before && this.#unstuffer.ended) this.#wire.note("S", `(${this.#octets} octets)`);
    return pieces;
  }
}
