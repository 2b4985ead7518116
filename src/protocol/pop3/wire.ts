// One POP3 connection as lines and multi-line answers: pulled, so that a slow reader stops the server; watched; traced.

import type { Socket } from "node:net";
import { MailError } from "../../mail/errors.ts";
import { scrub } from "../credentials.ts";
import { brokenWire, type ServerOptions } from "../server.ts";
import { SILENCE_MS } from "../silence.ts";
import { Trickle, tooSlow } from "../trickle.ts";
import { words } from "../words.ts";
import type { DotUnstuffer } from "./dots.ts";
import { INACTIVITY_TIMEOUT_MS, REPLY_LINE_LIMIT } from "./limits.ts";
import { parseReply, type Reply } from "./replies.ts";

const LF = 10;
const CR = 13;
const NOTHING = Buffer.alloc(0);

let connections = 0;

/** Answers come in the order of the commands; whoever sends several at once reads as many. After a failure every call fails. */
export class Wire {
  readonly server: ServerOptions;
  readonly #name = `pop3-${++connections}`;
  #socket: Socket;
  #rest: Buffer = NOTHING;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #secrets: readonly string[] = [];
  /** Milliseconds that were waited for the server; a slow reader is not its fault. */
  #waited = 0;
  readonly #trickle = new Trickle(() => this.#waited);
  /** The silence was told; called when the wait is over. */
  #heard: (() => void) | undefined;
  /** Silence endured while an answer is awaited. */
  patienceMs: number;
  /** The last line ended in LF alone, as every line of some servers does. */
  bareLf = false;
  /** What a broken connection means for what was asked: "unknown" from the moment that QUIT was sent. */
  outcome: "none" | "unknown" = "none";

  constructor(server: ServerOptions, socket: Socket, patienceMs: number = INACTIVITY_TIMEOUT_MS) {
    this.server = server;
    this.patienceMs = patienceMs;
    this.#socket = socket;
    this.#attach(socket);
  }

  /** Between two commands only: a word that nobody asked for is the server's goodbye. */
  get alive(): boolean {
    if (this.#failure !== undefined || this.unread() > 0) return false;
    return !this.#ended && !this.#socket.destroyed;
  }

  /** Octets that came from the server and were not asked for yet. Reads what lies in the socket. */
  unread(): number {
    const chunk: Buffer | null = this.#socket.read();
    if (chunk !== null) this.#rest = Buffer.concat([this.#rest, chunk]);
    return this.#rest.length;
  }

  /** Gives the socket away, for a TLS handshake, and takes the secured one back. Nothing that was buffered survives. */
  async replaceSocket(secure: (socket: Socket) => Promise<Socket>): Promise<void> {
    const plain = this.#socket;
    this.#detach(plain);
    this.#rest = NOTHING;
    try {
      this.#socket = await secure(plain);
    } catch (error) {
      plain.on("error", () => undefined).destroy();
      throw error;
    }
    this.#attach(this.#socket);
  }

  /** From now on these are shown as stars, wherever they turn up. */
  hide(secrets: readonly string[]): void {
    this.#secrets = [...this.#secrets, ...secrets];
  }

  /** Commands without their last CRLF; several may be joined by CRLF. `shown` is what the trace says instead. */
  send(text: string, shown: string = text): void {
    if (this.#failure !== undefined) throw this.#failure;
    for (const line of shown.split("\r\n")) this.note("C", line);
    this.#socket.write(`${text}\r\n`, "utf8");
  }

  note(direction: "C" | "S", text: string): void {
    this.server.trace?.(this.#name, direction, this.scrub(text));
  }

  /** `foreign`: what a line that is no answer means, where that is known. */
  async reply(foreign?: (line: string) => MailError | undefined): Promise<Reply> {
    const line = await this.line(REPLY_LINE_LIMIT);
    this.note("S", line);
    this.#trickle.reset();
    this.#endSilence();
    const parsed = parseReply(line);
    // Some servers repeat what they did not like: the secret must not come back in an error.
    const reply = parsed?.status === "-ERR" ? { ...parsed, text: this.scrub(parsed.text) } : parsed;
    if (reply === undefined)
      throw this.fail(foreign?.(line) ?? this.protocolError(`an answer that is none: ${words(this.scrub(line))}`));
    return reply;
  }

  /** One line without its line end, one octet a character. */
  async line(limit: number): Promise<string> {
    let seen = 0;
    for (;;) {
      const at = this.#rest.indexOf(LF, seen);
      if (at !== -1 && at < limit) {
        this.bareLf = at === 0 || this.#rest[at - 1] !== CR;
        const end = this.bareLf ? at : at - 1;
        const line = this.#rest.toString("latin1", 0, end);
        this.#rest = this.#rest.subarray(at + 1);
        this.#trickle.answer();
        return line;
      }
      if (at !== -1 || this.#rest.length >= limit)
        throw this.fail(this.protocolError(`a line of more than ${limit} octets`));
      seen = this.#rest.length;
      await this.#fill();
    }
  }

  /** The next content of a multi-line answer: undefined when it has ended, never when the connection has. */
  async pieces(answer: DotUnstuffer): Promise<readonly Buffer[] | undefined> {
    if (answer.ended) return undefined;
    if (this.#rest.length === 0) await this.#fill();
    const { pieces, used } = answer.feed(this.#rest);
    this.#rest = this.#rest.subarray(used);
    return pieces;
  }

  protocolError(what: string): MailError {
    const place = `${this.server.host}:${this.server.port}`;
    return new MailError("protocol", `${place} sent ${what}`, {
      scope: "account",
      remedy: "give-up",
      outcome: this.outcome,
      hint: "Check that a POP3 server listens there; MAILFERRY_TRACE=1 shows the conversation.",
    });
  }

  /** Ends the connection; the first error is what every later call fails with. Returns it. */
  fail(error: Error): Error {
    this.#failure ??= error;
    this.#endSilence();
    this.#socket.destroy();
    this.#wake?.();
    return this.#failure;
  }

  /** Ends the connection without a word more. */
  close(): void {
    this.fail(
      new MailError("connection", "the session is closed", {
        scope: "account",
        remedy: "retry",
        outcome: this.outcome,
      }),
    );
  }

  /** The text without the secrets. Not for texts that are parsed: "1234" may be a password. */
  scrub(text: string): string {
    return scrub(text, this.#secrets);
  }

  async #fill(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const chunk: Buffer | null = this.#socket.read();
      if (chunk !== null && chunk.length > 0) {
        if (this.#trickle.took(chunk.length))
          throw this.fail(brokenWire(this.server, tooSlow(this.server.host), this.outcome));
        this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
        return;
      }
      // A FIN where an answer is due: whatever came before it is not the whole.
      if (this.#ended) throw this.fail(brokenWire(this.server, new Error("the server closed it"), this.outcome));
      await this.#wait();
    }
  }

  /** Until the socket has something to say. Only here does time run against the server: a slow reader is not its fault. */
  async #wait(): Promise<void> {
    const from = performance.now();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      const giveUp = (): void => {
        const silence = new Error(`no answer for ${this.patienceMs / 1_000} s`);
        this.fail(brokenWire(this.server, silence, this.outcome));
      };
      const { onSilence } = this.server;
      if (onSilence === undefined || this.#heard !== undefined || this.patienceMs <= SILENCE_MS) {
        timer = setTimeout(giveUp, this.patienceMs);
        return;
      }
      timer = setTimeout(() => {
        this.#heard = onSilence("answer");
        timer = setTimeout(giveUp, this.patienceMs - SILENCE_MS);
      }, SILENCE_MS);
    });
    clearTimeout(timer);
    this.#waited += performance.now() - from;
    this.#wake = undefined;
  }

  /** The wait that may have been told is over. */
  #endSilence(): void {
    this.#heard?.();
    this.#heard = undefined;
  }

  readonly #onReadable = () => this.#wake?.();
  readonly #onEnd = () => {
    this.#ended = true;
    this.#wake?.();
  };
  readonly #onError = (error: Error) => {
    this.fail(brokenWire(this.server, error, this.outcome));
  };

  #attach(socket: Socket): void {
    socket.on("readable", this.#onReadable).on("end", this.#onEnd).on("close", this.#onEnd).on("error", this.#onError);
  }

  #detach(socket: Socket): void {
    socket
      .off("readable", this.#onReadable)
      .off("end", this.#onEnd)
      .off("close", this.#onEnd)
      .off("error", this.#onError);
  }
}
