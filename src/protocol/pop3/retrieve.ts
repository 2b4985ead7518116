// RETR: messages one after the other, small ones whole, while the commands for the next ones are already under way.

import type { MailError } from "../../mail/errors.ts";
import { DotUnstuffer } from "./dots.ts";
import { PIPELINE_BUNCH, PIPELINE_COMMANDS, PIPELINE_OCTETS, UNKNOWN_SIZE, WHOLE_OCTETS } from "./limits.ts";
import { replyError } from "./replies.ts";
import type { Wire } from "./wire.ts";

export interface Retrieved {
  readonly number: number;
  /**
   * Once, before the next is pulled. Fails with MailError scope "message" when the server answers -ERR (the session goes on),
   * scope "account" when the connection ends: a message that was cut is never taken for a whole one.
   */
  readonly content: AsyncIterable<Uint8Array>;
  /** The same content, when it was small and came to its end: then nothing is left to fail. */
  readonly bytes?: Uint8Array;
  /** What `content` fails with, where the server answered -ERR. */
  readonly refused?: MailError;
}

/** What was asked for and is not answered yet, the one that is being answered first. */
export interface Asked {
  readonly number: number;
  readonly octets: number;
}

/** See Pop3Session.retrieve and heads. `asked` is kept up to date. `command`: what asks for a message, or for a part of it. */
export async function* retrieve(
  wire: Wire,
  pipelining: boolean,
  numbers: Iterable<number>,
  size: (number: number) => number | undefined,
  asked: Asked[] = [],
  command = (number: number): string => `RETR ${number}`,
): AsyncGenerator<Retrieved> {
  const ahead = pipelining ? PIPELINE_COMMANDS : 1;
  const iterator = numbers[Symbol.iterator]();
  asked.length = 0;
  let octets = 0;
  let next = iterator.next();
  let whole = false;
  try {
    for (;;) {
      if (asked.length === 0 || asked.length <= ahead - PIPELINE_BUNCH) {
        const commands: string[] = [];
        while (next.done !== true && asked.length < ahead && (asked.length === 0 || octets < PIPELINE_OCTETS)) {
          const number = next.value;
          const weight = size(number) ?? UNKNOWN_SIZE;
          asked.push({ number, octets: weight });
          octets += weight;
          commands.push(command(number));
          next = iterator.next();
        }
        if (commands.length > 0) wire.send(commands.join("\r\n"));
      }
      const current = asked[0];
      if (current === undefined) break;
      const answer = new Answer(wire, command(current.number));
      const bytes = current.octets <= WHOLE_OCTETS ? await answer.whole(WHOLE_OCTETS) : undefined;
      const refused = bytes === undefined ? await answer.refusal() : undefined;
      yield {
        number: current.number,
        content: answer.content(),
        ...(bytes === undefined ? {} : { bytes }),
        ...(refused === undefined ? {} : { refused }),
      };
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
  readonly #command: string;
  #unstuffer = new DotUnstuffer();
  /** Content that was received and not yet handed out. */
  #held: Buffer[] = [];
  #octets = 0;
  #begun = false;
  #taken = false;
  #refused: MailError | undefined;

  constructor(wire: Wire, command: string) {
    this.#wire = wire;
    this.#command = command;
  }

  /**
   * The content in one piece; undefined when it is refused or longer than `limit` octets, whatever LIST said: then `content`
   * has it all, from its first octet.
   */
  async whole(limit: number): Promise<Buffer | undefined> {
    await this.#begin();
    if (this.#refused !== undefined) return undefined;
    for (;;) {
      const pieces = await this.#pieces();
      if (pieces === undefined) break;
      for (const piece of pieces) this.#held.push(piece);
      if (this.#octets > limit) return undefined;
    }
    const [only] = this.#held;
    const bytes = this.#held.length === 1 && only !== undefined ? only : Buffer.concat(this.#held);
    this.#held = [bytes];
    return bytes;
  }

  async refusal(): Promise<MailError | undefined> {
    await this.#begin();
    return this.#refused;
  }

  async *content(): AsyncGenerator<Uint8Array> {
    if (this.#taken) throw new Error("a message is read once");
    this.#taken = true;
    await this.#begin();
    if (this.#refused !== undefined) throw this.#refused;
    for (let pieces: readonly Buffer[] | undefined = this.#held; pieces !== undefined; pieces = await this.#pieces()) {
      this.#held = [];
      for (const piece of pieces) yield piece;
    }
  }

  /** Reads what nobody read. */
  async skip(): Promise<void> {
    this.#taken = true;
    await this.#begin();
    if (this.#refused !== undefined) return;
    while ((await this.#pieces()) !== undefined);
  }

  /** Reads the status line, once. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const reply = await this.#wire.reply();
    if (this.#wire.bareLf) this.#unstuffer = new DotUnstuffer(true);
    if (reply.status !== "+OK") this.#refused = replyError(this.#wire.server, this.#command, reply, "message");
  }

  async #pieces(): Promise<readonly Buffer[] | undefined> {
    if (this.#unstuffer.ended) return undefined;
    const pieces = await this.#wire.pieces(this.#unstuffer);
    for (const piece of pieces ?? []) this.#octets += piece.length;
    if (this.#unstuffer.ended) this.#wire.note("S", `(${this.#octets} octets)`);
    return pieces;
  }
}
