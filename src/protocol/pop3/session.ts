// One POP3 session, from login to QUIT: listings, messages, deletion. It never reconnects: numbers and marks die with it.

import { MailError } from "../../mail/errors.ts";
import { checkCredentials, spellings, withSecret } from "../credentials.ts";
import type { ServerOptions } from "../server.ts";
import { whileOpening } from "../silence.ts";
import { unlessTlsPort } from "../tls-port.ts";
import { openWire } from "./connect.ts";
import {
  CAPABILITY_LIMIT,
  GOODBYE_TIMEOUT_MS,
  HEAD_OCTETS,
  LISTING_LINE_LIMIT,
  PIPELINE_COMMANDS,
  SUSPECT_TIMEOUT_MS,
  type Timing,
} from "./limits.ts";
import { lines } from "./lines.ts";
import { list, type Maildrop, stat } from "./list.ts";
import type { Listing } from "./listing.ts";
import { type Credentials, Lessons, login } from "./login.ts";
import { type Capabilities, capabilities, replyError } from "./replies.ts";
import { type Asked, type Retrieved, retrieve } from "./retrieve.ts";
import type { Wire } from "./wire.ts";

export type { Maildrop } from "./list.ts";

/** Calls go one after another. After a thrown MailError of scope account the session is over. */
export interface Pop3Session extends AsyncDisposable {
  readonly capabilities: Capabilities;
  /** False once the connection is known to be gone. */
  readonly alive: boolean;
  stat(): Promise<Maildrop>;
  /** STAT (unless it was asked before), LIST and UIDL. Throws MailError protocol when the server lists less than STAT counts. */
  list(): Promise<Listing>;
  /**
   * RETR, in this order, several under way where the server can (RFC 2449 6.6). A message is read before the next is pulled, or
   * is skipped; a small one is whole before it is given out. Left before its end, the session is closed, for the answers to come cannot be called back.
   * `alone`: one command at a time, and less patience, for messages that may be what ends the connection.
   */
  retrieve(
    numbers: Iterable<number>,
    size?: (number: number) => number | undefined,
    options?: { readonly alone?: boolean },
  ): AsyncGenerator<Retrieved>;
  /** Messages that the last `retrieve` asked for and has no whole answer to, the one that is being answered first. */
  readonly underWay: readonly number[];
  /** TOP without a line of the body, the same way; only where the server offers it (RFC 1939 7). */
  heads?(numbers: Iterable<number>, options?: { readonly alone?: boolean }): AsyncGenerator<Retrieved>;
  /** DELE, only marks: nothing is gone before `quit`. Yields the numbers that the server took. */
  delete(numbers: Iterable<number>): AsyncGenerator<number>;
  noop(): Promise<void>;
  /** Takes all marks back. */
  reset(): Promise<void>;
  /**
   * Ends the session; what was marked is gone when this resolves. Throws MailError with outcome "unknown" when the answer
   * never came, or was no +OK: then some, all or none of it is gone.
   */
  quit(): Promise<void>;
  /** Says QUIT where nothing was marked, waits a little for the answer, and never fails. Marked messages stay. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Cuts the connection: nothing that was marked is deleted (RFC 1939 6), calls under way fail. */
  close(): void;
}

/**
 * Connects, secures and logs in. The password is asked for before the connection is made: servers do not wait for people.
 * Fails with MailError connection, config, auth or locked, or with the signal's reason. `lessons` of earlier sessions.
 */
export async function openPop3Session(
  server: ServerOptions,
  signal: AbortSignal,
  timing: Timing = {},
  lessons: Lessons = new Lessons(),
): Promise<Pop3Session> {
  // The user name first: nobody is asked for a password in vain.
  checkCredentials(server.user, "password", "-");
  return withSecret(server.password, (password) =>
    whileOpening(
      server.onSilence,
      unlessTlsPort("pop3", server, signal, (until, onGreeting) => {
        const told = onGreeting === undefined ? timing : { ...timing, onGreeting };
        return openPop3SessionAs(server, { kind: "password", user: server.user, password }, until, told, lessons);
      }),
    ),
  );
}

/** The same, with a password or a token at hand. */
export async function openPop3SessionAs(
  server: ServerOptions,
  credentials: Credentials,
  signal: AbortSignal,
  timing: Timing = {},
  lessons: Lessons = new Lessons(),
): Promise<Pop3Session> {
  const secret = credentials.kind === "password" ? credentials.password : credentials.token;
  checkCredentials(credentials.user, credentials.kind, secret);
  const known = lessons.hangsUpAtCapa;
  try {
    return await openOnce(server, credentials, secret, signal, timing, lessons);
  } catch (error) {
    const refusal = lessons.hungUp;
    if (signal.aborted || (refusal === undefined && lessons.hangsUpAtCapa === known)) throw error;
    try {
      return await openOnce(server, credentials, secret, signal, timing, lessons);
    } catch (again) {
      // It says no more: what it said before is its word.
      const isCut = again instanceof MailError && again.code === "connection";
      // Perhaps it was the line, and no dislike of CAPA.
      if (isCut) lessons.hangsUpAtCapa = known;
      throw isCut ? (refusal ?? again) : again;
    }
  } finally {
    lessons.hungUp = undefined;
  }
}

async function openOnce(
  server: ServerOptions,
  credentials: Credentials,
  secret: string,
  signal: AbortSignal,
  timing: Timing,
  lessons: Lessons,
): Promise<Pop3Session> {
  const { wire, greeting } = await openWire(server, spellings(credentials.user, secret), signal, timing);
  const cancel = () => wire.fail(signal.reason);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    signal.throwIfAborted();
    const isAsked = !lessons.hangsUpAtCapa;
    const able = isAsked ? await askCapabilities(wire, lessons) : capabilities(undefined);
    if (able.has("UTF8")) await allowUtf8(wire);
    await login(wire, greeting, able, credentials, lessons).catch((error: unknown) => {
      // Some say -ERR to CAPA, and hang up.
      if (isAsked && !able.told && error instanceof MailError && error.code === "connection")
        lessons.hangsUpAtCapa = true;
      throw error;
    });
    return session(wire, able);
  } catch (error) {
    wire.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/**
 * RFC 6856 2.1: before the login. Without it a server may wrap what has octets above 127 in its header, or rewrite it; that is then
 * not the message. Refused, it is as if it were not offered.
 */
async function allowUtf8(wire: Wire): Promise<void> {
  wire.send("UTF8");
  await wire.reply();
}

const CAPA_MS = 15_000;

async function askCapabilities(wire: Wire, lessons: Lessons): Promise<Capabilities> {
  const { patienceMs } = wire;
  // Who knows the command answers it at once; who does not may say nothing at all.
  wire.patienceMs = Math.min(patienceMs, CAPA_MS);
  wire.send("CAPA");
  const reply = await wire.reply().catch((error: unknown) => {
    lessons.hangsUpAtCapa = error instanceof MailError && error.code === "connection";
    throw error;
  });
  wire.patienceMs = patienceMs;
  if (reply.status !== "+OK") return capabilities(undefined);
  const told: string[] = [];
  for await (const line of lines(wire, LISTING_LINE_LIMIT)) {
    wire.note("S", line);
    if (told.push(line) > CAPABILITY_LIMIT) throw wire.fail(wire.protocolError("a CAPA answer without end"));
  }
  return capabilities(told);
}

function session(wire: Wire, able: Capabilities): Pop3Session {
  const { server } = wire;
  const pipelining = able.has("PIPELINING");
  /** What STAT said: the maildrop is ours alone (RFC 1939 4), so it holds until something is marked. */
  let counted: Maildrop | undefined;
  let marked = false;
  let quitting = false;
  const asked: Asked[] = [];

  async function simple(command: string): Promise<string> {
    wire.send(command);
    const reply = await wire.reply();
    if (reply.status !== "+OK") throw replyError(server, command, reply, "command");
    return reply.text;
  }

  return {
    capabilities: able,
    get alive() {
      return wire.alive;
    },
    async stat() {
      counted = await stat(wire);
      return counted;
    },
    list: () => list(wire, able, counted),
    async *retrieve(numbers, size = () => undefined, { alone = false } = {}) {
      const { patienceMs } = wire;
      if (alone) wire.patienceMs = Math.min(patienceMs, SUSPECT_TIMEOUT_MS);
      yield* retrieve(wire, pipelining && !alone, numbers, size, asked);
      wire.patienceMs = patienceMs;
    },
    get underWay() {
      return asked.map(({ number }) => number);
    },
    ...(able.has("TOP")
      ? {
          async *heads(numbers, { alone = false } = {}) {
            const { patienceMs } = wire;
            if (alone) wire.patienceMs = Math.min(patienceMs, SUSPECT_TIMEOUT_MS);
            const top = (number: number): string => `TOP ${number} 0`;
            yield* retrieve(wire, pipelining && !alone, numbers, () => HEAD_OCTETS, [], top);
            wire.patienceMs = patienceMs;
          },
        }
      : {}),
    async *delete(numbers) {
      const ahead = pipelining ? PIPELINE_COMMANDS : 1;
      const batch: number[] = [];
      const iterator = numbers[Symbol.iterator]();
      for (;;) {
        while (batch.length < ahead) {
          const next = iterator.next();
          if (next.done === true) break;
          batch.push(next.value);
        }
        if (batch.length === 0) return;
        marked = true;
        counted = undefined;
        wire.send(batch.map((number) => `DELE ${number}`).join("\r\n"));
        const taken: number[] = [];
        for (const number of batch) if ((await wire.reply()).status === "+OK") taken.push(number);
        batch.length = 0;
        yield* taken;
      }
    },
    async noop() {
      await simple("NOOP");
    },
    async reset() {
      await simple("RSET");
      counted = undefined;
      marked = false;
    },
    async quit() {
      quitting = true;
      // From here on a lost connection leaves open whether the server entered the UPDATE state.
      if (marked) wire.outcome = "unknown";
      wire.send("QUIT");
      const reply = await wire.reply();
      wire.close();
      if (reply.status === "+OK") return;
      // RFC 1939 6: "some deleted messages not removed".
      const { code, message, details } = replyError(server, "QUIT", reply, "command");
      throw new MailError(code, message, { ...details, ...(marked ? { outcome: "unknown", remedy: "retry" } : {}) });
    },
    async [Symbol.asyncDispose]() {
      if (wire.alive && !quitting && !marked) {
        try {
          wire.patienceMs = Math.min(wire.patienceMs, GOODBYE_TIMEOUT_MS);
          wire.send("QUIT");
          await wire.reply();
        } catch {
          // Nothing was marked: the server's goodbye changes nothing.
        }
      }
      wire.close();
    },
    close: () => wire.close(),
  };
}
