// One authenticated connection: tagged commands sent without waiting, answers handed to whom they belong, stalls noticed.

import type { Duplex, Readable, Writable } from "node:stream";
import { MailError } from "../../mail/errors.ts";
import { scrub } from "../credentials.ts";
import { LEAST_ROOM, type Reader } from "../reader.ts";
import { brokenWire, type ServerOptions } from "../server.ts";
import { SILENCE_MS } from "../silence.ts";
import { Trickle, tooSlow } from "../trickle.ts";
import { words } from "../words.ts";
import { CommandWriter, type Writing } from "./command-writer.ts";
import { accountRefusal, protocolError } from "./errors.ts";
import { type DataResponse, parseResponse, type Response, type Status, type Tagged } from "./parse.ts";
import { type LiteralSink, type Piece, Scanner, Streamed } from "./scanner.ts";
import type { CommandPart } from "./syntax.ts";

/** A server that says nothing for this long while we wait for it is taken for dead (a FETCH of a huge folder may think a while). */
export const STALL_MS = 5 * 60 * 1000;
/** The same where what was asked for is suspected to be the reason. */
export const SUSPECT_STALL_MS = 60 * 1000;
/** A goodbye is a courtesy. */
const LOGOUT_MS = 1_000;

/** What imapflow's unbind() hands over. */
export interface Wire {
  readonly readSocket: Readable;
  readonly writeSocket: Writable;
  readonly socket: Duplex;
  /** What `socket` was made with, where its octets are the server's as they are: not compressed, nor encrypted later on. */
  readonly reader?: Reader;
}

export interface ConnectionOptions {
  /** For errors and traces. */
  readonly server: ServerOptions;
  readonly name: string;
  /** In upper case ("UIDPLUS", "APPENDLIMIT=1000"). */
  readonly capabilities: ReadonlySet<string>;
  /** What this login sent, in every spelling: no refusal that repeats it brings it back. */
  readonly secrets?: readonly string[];
  readonly stallMs?: number;
  /** A command that goes out right before the first one, whatever its answer. */
  readonly introduction?: string;
}

/**
 * Who hears what the server says while a command has no answer yet. A server may work on several commands at once (RFC 9051
 * 5.5), so untagged data is offered to the oldest command first, and then to younger ones until one takes it.
 */
export interface Listener {
  /** True when it was for this command; false lets the next one look. */
  data?(response: DataResponse): boolean;
  /** Only while the command is the oldest. */
  status?(status: Status): void;
  /** Its own tagged answer, before anything behind it is looked at: what comes next may belong to another folder. */
  answered?(answer: Tagged): void;
  /** The connection ended without an answer; `oldest`: this is what the server was working on. */
  lost?(oldest: boolean): void;
  /** Waited for no longer than this without a word, as long as it is the oldest. */
  readonly stallMs?: number | undefined;
  /** A literal too large to gather begins, after `soFar`. Undefined: not for this command; if for none, it is gathered. */
  literal?(soFar: DataResponse, size: number): LiteralSink | undefined;
}

interface Command extends Writing {
  readonly listener: Listener;
  readonly resolve: (answer: Tagged) => void;
  readonly reject: (error: unknown) => void;
}

/** What is open on this connection. */
export interface Selected {
  readonly name: string;
  readonly readOnly: boolean;
  readonly uidValidity: string;
  /** Kept up to date by EXISTS. */
  exists: number;
  readonly uidNext?: number;
  readonly flags: readonly string[];
  /** Undefined: the server did not say, so all of `flags` (RFC 3501 7.1). */
  readonly permanentFlags?: readonly string[];
}

export class Connection {
  readonly capabilities: ReadonlySet<string>;
  readonly server: ServerOptions;
  /** Set by whoever selects a folder; undefined while none is open. */
  selected: Selected | undefined;
  /** The folder that will be open when all that was sent so far is done; undefined when that is not known. */
  upcoming: string | undefined;
  readonly #wire: Wire;
  readonly #name: string;
  readonly #scanner: Scanner;
  readonly #writer: CommandWriter;
  readonly #pending: Command[] = [];
  readonly #secrets: readonly string[];
  readonly #stallMs: number;
  readonly #trickle = new Trickle();
  #stall: NodeJS.Timeout | undefined;
  /** The timer's; it may be shorter than the limit, for a word about the silence. */
  #stallsAfter = 0;
  #limit = 0;
  /** The silence was told; called when the wait is over. */
  #heard: (() => void) | undefined;
  #introduction: string | undefined;
  #holds = 0;
  /** The wire ended while it was held: what came before that is heard first. */
  #ended = false;
  #tags = 0;
  #failure: MailError | undefined;
  #bye: string | undefined;

  constructor(wire: Wire, options: ConnectionOptions) {
    this.#wire = wire;
    this.#name = options.name;
    this.server = options.server;
    this.capabilities = options.capabilities;
    this.#secrets = options.secrets ?? [];
    this.#stallMs = options.stallMs ?? STALL_MS;
    this.#introduction = options.introduction;
    this.#scanner = new Scanner({
      response: (pieces) => this.#response(pieces),
      literal: (pieces, size) => this.#literal(pieces, size),
    });
    this.#writer = new CommandWriter(wire.writeSocket, {
      capabilities: options.capabilities,
      failed: (error) => this.fail(error),
      progress: () => {
        this.#alive();
        this.#trickle.reset();
      },
      trace: (text) => this.#trace("C", text),
    });
    const lost = (error?: Error | null): void => this.#lost(error ?? undefined);
    for (const stream of new Set<Readable | Writable>([wire.readSocket, wire.writeSocket, wire.socket])) {
      stream.on("error", lost);
      stream.on("close", () => lost());
    }
    wire.readSocket.on("end", () => lost());
    wire.readSocket.on("data", (chunk: Buffer) => this.#receive(chunk));
    wire.reader?.attach(wire.socket, {
      room: () => (this.#failure === undefined ? this.#scanner.room(LEAST_ROOM) : undefined),
      filled: (length) => this.#take(length, () => this.#scanner.filled(length)),
      receive: (chunk) => this.#receive(chunk),
    });
    wire.readSocket.resume();
  }

  /** Why it is of no more use; undefined while it is. */
  get failure(): MailError | undefined {
    return this.#failure;
  }

  /** True while an answer is outstanding or a response is half read. */
  get busy(): boolean {
    return this.#pending.length > 0 || this.#scanner.midResponse;
  }

  has(capability: string): boolean {
    return this.capabilities.has(capability);
  }

  /**
   * Sends a command behind all that were sent before, and resolves with its tagged answer, whatever that is. Rejects with
   * MailError connection when there will be none: outcome "none" when not an octet of it went out, else "unknown".
   */
  run(parts: string | readonly CommandPart[], listener: Listener = {}): Promise<Tagged> {
    const introduction = this.#introduction;
    this.#introduction = undefined;
    if (introduction !== undefined) this.run(introduction).catch(() => undefined);
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failureOf("none"));
        return;
      }
      const command: Command = {
        tag: `m${(++this.#tags).toString(36)}`,
        parts: typeof parts === "string" ? [parts] : parts,
        started: false,
        listener,
        resolve,
        reject,
      };
      this.#pending.push(command);
      this.#alive();
      this.#writer.add(command);
    });
  }

  /** Stops reading until as many `release` calls came. Backpressure: the server's octets stay in the socket. */
  hold(): void {
    if (++this.#holds > 1) return;
    this.#scanner.paused = true;
    this.#wire.readSocket.pause();
  }

  release(): void {
    if (--this.#holds > 0 || this.#failure !== undefined) return;
    this.#scanner.paused = false;
    this.#alive();
    this.#trickle.reset();
    this.#wire.readSocket.resume();
    // Not from inside the caller's own loop: what was kept back is dispatched by itself.
    queueMicrotask(() => {
      this.#guard(() => this.#scanner.resume());
      if (this.#ended) this.#lost(undefined);
    });
  }

  /** Ends it for everybody: nothing more is read or written. The first reason counts. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = brokenWire(this.server, error);
    clearTimeout(this.#stall);
    this.#endSilence();
    this.#wire.readSocket.pause();
    this.#writer.stop(this.#failure);
    for (const stream of new Set<Readable | Writable>([
      this.#wire.writeSocket,
      this.#wire.readSocket,
      this.#wire.socket,
    ]))
      stream.destroy();
    this.#scanner.fail(this.#failure);
    for (const [i, { started, listener, reject }] of this.#pending.splice(0).entries()) {
      listener.lost?.(i === 0);
      reject(this.#failureOf(started ? "unknown" : "none"));
    }
  }

  /** Takes leave where that is possible without waiting for anything else, not even for the answer. Never fails. */
  async close(): Promise<void> {
    if (this.#failure === undefined && !this.busy) {
      const farewell = this.run("LOGOUT").catch(() => undefined);
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        farewell,
        // An empty write is done when what was written before it is.
        new Promise<void>((resolve) => {
          setImmediate(() => this.#wire.writeSocket.write("", () => resolve()));
        }),
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, LOGOUT_MS);
        }),
      ]);
      clearTimeout(timer);
    }
    this.fail(new MailError("connection", "the connection was closed", { scope: "account", remedy: "retry" }));
  }

  /** Runs `work` so that an abort ends the connection, and with it every wait on it. */
  async abortable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const release = this.endOn(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** From now on, until the returned function is called, an abort ends the connection. */
  endOn(signal: AbortSignal): () => void {
    const stop = (): void => this.fail(stopped(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    return () => signal.removeEventListener("abort", stop);
  }

  #failureOf(outcome: "none" | "unknown"): MailError {
    const failure = this.#failure ?? protocolError("the connection is closed");
    return new MailError(failure.code, failure.message, { ...failure.details, outcome });
  }

  #lost(error: Error | undefined): void {
    if (this.#failure !== undefined) return;
    this.#ended = error === undefined && this.#holds > 0;
    if (this.#ended) return;
    if (this.#bye !== undefined) {
      const refusal = accountRefusal({ status: "BYE", text: this.#bye });
      this.fail(
        refusal ??
          new MailError("connection", `the server ended the connection: ${words(this.#bye)}`, {
            scope: "account",
            remedy: "retry",
            cause: error,
          }),
      );
      return;
    }
    this.fail(error ?? new Error("the server closed the connection"));
  }

  #receive(chunk: Buffer): void {
    this.#take(chunk.length, () => this.#scanner.push(chunk));
  }

  #take(octets: number, work: () => void): void {
    if (this.#failure !== undefined) return;
    if (this.#pending.length > 0 && this.#trickle.took(octets)) {
      this.fail(tooSlow(this.server.host));
      return;
    }
    this.#alive();
    this.#guard(work);
  }

  #guard(work: () => void): void {
    if (this.#failure !== undefined) return;
    try {
      work();
    } catch (error) {
      this.fail(error);
    }
  }

  #response(pieces: readonly Piece[]): void {
    if (this.server.trace !== undefined) this.#trace("S", describe(pieces));
    const response = this.#parse(pieces);
    const oldest = this.#pending[0];
    switch (response.kind) {
      case "continuation":
        this.#writer.proceed();
        return;
      case "tagged": {
        const at = this.#pending.findIndex(({ tag }) => tag === response.tag);
        const [command] = at === -1 ? [] : this.#pending.splice(at, 1);
        if (command === undefined)
          throw protocolError(`the server answers a command that nobody gave: ${words(response.tag)}`);
        this.#endSilence();
        this.#writer.answered(command);
        this.#trickle.reset();
        this.#alive();
        command.listener.answered?.(response);
        command.resolve(response);
        return;
      }
      case "status":
        if (response.status === "BYE") this.#bye = response.text;
        this.#trickle.idle(describe(pieces).length + 2);
        oldest?.listener.status?.(response);
        return;
      case "data":
        this.#trickle.answer();
        if (response.name === "EXISTS" && this.selected !== undefined && response.number !== undefined)
          this.selected.exists = response.number;
        for (let at = 0; at < this.#pending.length; at++)
          if (this.#pending[at]?.listener.data?.(response) === true) break;
    }
  }

  /** What a refusal says ends in errors, reports and files. */
  #parse(pieces: readonly Piece[]): Response {
    try {
      const response = parseResponse(pieces);
      if (!("text" in response) || !("status" in response) || response.status === "OK") return response;
      return { ...response, text: scrub(response.text, this.#secrets) };
    } catch (error) {
      const raw = describe(pieces);
      if (scrub(raw, this.#secrets) === raw) throw error;
      throw protocolError("not an IMAP response, and the password is in it");
    }
  }

  #literal(pieces: readonly Piece[], size: number): LiteralSink | undefined {
    if (!this.#pending.some(({ listener }) => listener.literal !== undefined)) return undefined;
    const soFar = parseResponse(pieces, true);
    if (soFar.kind !== "data") return undefined;
    for (const { listener } of this.#pending) {
      const sink = listener.literal?.(soFar, size);
      if (sink !== undefined) return sink;
    }
    return undefined;
  }

  /** Something moved, or is now waited for: the stall clock starts anew. */
  #alive(): void {
    const [oldest] = this.#pending;
    if (this.#failure !== undefined || oldest === undefined) {
      clearTimeout(this.#stall);
      this.#stall = undefined;
      return;
    }
    this.#limit = Math.min(oldest.listener.stallMs ?? this.#stallMs, this.#stallMs);
    const isTold = this.server.onSilence === undefined || this.#heard !== undefined;
    const after = isTold ? this.#limit : Math.min(SILENCE_MS, this.#limit);
    if (this.#stall !== undefined && after === this.#stallsAfter) {
      this.#stall.refresh();
      return;
    }
    clearTimeout(this.#stall);
    this.#stallsAfter = after;
    this.#stall = setTimeout(() => this.#stalled(), after);
  }

  /** The wait that may have been told is over. */
  #endSilence(): void {
    this.#heard?.();
    this.#heard = undefined;
  }

  #stalled(): void {
    this.#stall = undefined;
    // It is we who make the server wait.
    if (this.#holds > 0) this.#alive();
    else if (this.#stallsAfter > 0 && this.#stallsAfter < this.#limit) {
      this.#heard = this.server.onSilence?.("answer");
      this.#stall = setTimeout(() => this.#stalled(), this.#limit - this.#stallsAfter);
      this.#stallsAfter = 0;
    } else
      this.fail(
        new MailError(
          "connection",
          `no answer from ${this.server.host} for ${Math.round(this.#limit / 1000)} seconds`,
          {
            scope: "account",
            remedy: "retry",
          },
        ),
      );
  }

  #trace(direction: "C" | "S", text: string): void {
    this.server.trace?.(this.#name, direction, text);
  }
}

/** What ends a wait that was aborted: whether its command took effect is not known. */
function stopped(reason: unknown): MailError {
  return new MailError("connection", "stopped", { scope: "account", remedy: "retry", cause: reason });
}

function describe(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) =>
      typeof piece === "string" ? piece : `<${piece instanceof Streamed ? piece.size : piece.length} octets>`,
    )
    .join("");
}
