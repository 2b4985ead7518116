// Writes commands one behind the other, literals in them as the server takes them: at once, or each after its "+".

import type { Writable } from "node:stream";
import { LiteralPace } from "./literal-pace.ts";
import type { CommandPart, Literal } from "./syntax.ts";

/** RFC 7888 5: a server with LITERAL- takes literals up to this size without being asked. */
export const LITERAL_MINUS_LIMIT = 4096;
/** Small writes are joined up to about this many octets. */
const JOIN = 64 * 1024;

export interface Writing {
  readonly tag: string;
  readonly parts: readonly CommandPart[];
  /** Whether an octet of it may have reached the server. */
  started: boolean;
  /** Whether the tagged answer came, perhaps in the middle of it (RFC 3502: no message behind a refused one matters). */
  answered?: boolean;
}

export interface WriterOptions {
  readonly capabilities: ReadonlySet<string>;
  /** The connection cannot go on: the wire failed, or a literal could not be given whole. */
  failed(error: unknown): void;
  /** The wire took something. */
  progress(): void;
  /** A whole command, literals as "<n octets>". */
  trace(text: string): void;
  /** Milliseconds, for tests. */
  now?(): number;
}

export class CommandWriter {
  readonly #wire: Writable;
  readonly #options: WriterOptions;
  readonly #queue: Writing[] = [];
  #joined: Buffer[] = [];
  #joinedLength = 0;
  #running = false;
  #current: Writing | undefined;
  #waiting: ((go: boolean) => void) | undefined;
  readonly #pace: LiteralPace;
  /** Commands that were begun and have no tagged answer. */
  readonly #open = new Set<Writing>();
  #quiet: (() => void) | undefined;
  #stopped: unknown;

  constructor(wire: Writable, options: WriterOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#pace = new LiteralPace(options.now);
  }

  add(command: Writing): void {
    this.#queue.push(command);
    if (this.#running) return;
    this.#running = true;
    // A tick later, so that what is asked for together goes out in one write.
    queueMicrotask(() => {
      this.#run().catch((error: unknown) => this.#options.failed(error));
    });
  }

  /** The server said "+". */
  proceed(): void {
    this.#pace.went();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(true);
  }

  /** This command has its tagged answer: what of it was not sent yet will not be. */
  answered(command: Writing): void {
    command.answered = true;
    this.#pace.answered();
    this.#open.delete(command);
    if (this.#open.size === 1) this.#quiet?.();
    if (command !== this.#current) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(false);
  }

  stop(reason: unknown): void {
    this.#stopped = reason;
    this.#queue.length = 0;
    this.#joined = [];
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(false);
    this.#quiet?.();
  }

  async #run(): Promise<void> {
    for (let command = this.#queue.shift(); command !== undefined; command = this.#queue.shift()) {
      this.#current = command;
      await this.#write(command);
      this.#current = undefined;
      if (this.#queue.length === 0) await this.#flush();
    }
    // In the same tick as the look into the empty queue: a command that is added later must start the next run.
    this.#running = false;
  }

  async #write(command: Writing): Promise<void> {
    let shown = `${command.tag} `;
    this.#open.add(command);
    const first = command.parts.find((part) => typeof part !== "string");
    if (first !== undefined && !this.#takesAtOnce(first) && this.#pace.waits) await this.#alone();
    if (this.#stopped !== undefined) return;
    command.started = true;
    let text = `${command.tag} `;
    for (const part of command.parts) {
      // The server skips the rest of a line that it has refused; a literal that is announced it would read.
      if (command.answered === true) {
        this.#join(Buffer.from("\r\n"));
        this.#options.trace(`${shown} (refused before the rest was sent)`);
        return;
      }
      if (typeof part === "string") {
        text += part;
        shown += part;
        continue;
      }
      shown += `<${part.size} octets>`;
      const atOnce = this.#takesAtOnce(part);
      this.#join(Buffer.from(`${text}{${part.size}${atOnce ? "+" : ""}}\r\n`, "latin1"));
      text = "";
      if (!atOnce) {
        const answer = new Promise<boolean>((resolve) => {
          this.#waiting = resolve;
        });
        await this.#flush();
        this.#pace.asked(this.#open.size === 1);
        if (!(await answer)) {
          this.#options.trace(`${shown} (refused before it was sent)`);
          return;
        }
      }
      await this.#literal(part);
      if (this.#stopped !== undefined) return;
    }
    this.#join(Buffer.from(`${text}\r\n`, "latin1"));
    this.#options.trace(shown);
    if (this.#joinedLength >= JOIN) await this.#flush();
  }

  /** Until all commands before the one that was just begun have their answers. */
  async #alone(): Promise<void> {
    if (this.#open.size === 1) return;
    await this.#flush();
    if (this.#open.size > 1 && this.#stopped === undefined)
      await new Promise<void>((resolve) => {
        this.#quiet = resolve;
      });
    this.#quiet = undefined;
  }

  #takesAtOnce({ size }: Literal): boolean {
    const { capabilities } = this.#options;
    return capabilities.has("LITERAL+") || (capabilities.has("LITERAL-") && size <= LITERAL_MINUS_LIMIT);
  }

  async #literal(literal: Literal): Promise<void> {
    let left = literal.size;
    const whole = literal.whole?.();
    if (whole !== undefined) {
      left -= whole.length;
      if (left === 0) await this.#take(whole);
    } else
      for await (const chunk of literal.chunks()) {
        if (this.#stopped !== undefined) return;
        left -= chunk.length;
        if (left < 0) break;
        await this.#take(chunk);
      }
    // A literal of another length would make the rest of the message into commands.
    if (left !== 0 && this.#stopped === undefined)
      throw new Error(
        `a literal was announced with ${literal.size} octets and came with ${left < 0 ? "more" : literal.size - left}`,
      );
  }

  /** Octets of a literal: many small ones are joined, a large one goes as it is. */
  async #take(bytes: Uint8Array): Promise<void> {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (chunk.length >= JOIN) await this.#flush();
    this.#join(chunk);
    if (this.#joinedLength >= JOIN) await this.#flush();
  }

  #join(bytes: Buffer): void {
    this.#joined.push(bytes);
    this.#joinedLength += bytes.length;
  }

  /** Hands everything to the wire, and waits where the wire is full. */
  async #flush(): Promise<void> {
    if (this.#joinedLength === 0 || this.#stopped !== undefined) return;
    const [only] = this.#joined;
    const bytes = this.#joined.length === 1 && only !== undefined ? only : Buffer.concat(this.#joined);
    this.#joined = [];
    this.#joinedLength = 0;
    const room = this.#wire.write(bytes);
    this.#options.progress();
    if (room) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#wire.off("drain", done);
        this.#wire.off("close", done);
        this.#wire.off("error", done);
        resolve();
      };
      this.#wire.on("drain", done);
      this.#wire.on("close", done);
      this.#wire.on("error", done);
    });
    this.#options.progress();
  }
}
