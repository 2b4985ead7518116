// APPENDs into one folder, pipelined: each message gets its own fate, and what the server made of it is looked at in batches.

import { Budget } from "../../core/pool.ts";
import { ioError, MailError } from "../../mail/errors.ts";
import type { Loss } from "../../mail/fidelity.ts";
import { keyOf, wireSize } from "../../mail/key.ts";
import { toCrlf } from "../../mail/lineends.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import { fetchContent } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { messageRefusal } from "./errors.ts";
import { type FetchRow, fetchAll, parseRow } from "./fetch.ts";
import { NewUids } from "./new-uids.ts";
import type { Tagged } from "./parse.ts";
import type { SharedSession } from "./shared-session.ts";
import { type CommandPart, flagName, flagNames, formatInternalDate, stringPart } from "./syntax.ts";

/** Octets of messages that may be on their way into one folder; a larger message goes alone. */
const WINDOW_BYTES = 4 * 1024 * 1024;
/** Every message counts for at least this much of the window, so that empty ones are bounded too. */
const LEAST_WEIGHT = 4 * 1024;

/** What became of one append; `uid` is absent where the server does not say (no UIDPLUS), or took it back. */
export interface Appended {
  readonly uid?: number;
  readonly altered?: string;
  readonly losses: readonly Loss[];
}

export class Appender {
  readonly #name: string;
  readonly #uidValidity: string;
  readonly #session: SharedSession;
  readonly #maxBytes: number | undefined;
  readonly #window = new Budget(WINDOW_BYTES);
  readonly #checks = new NewUids();

  constructor(name: string, uidValidity: string, session: SharedSession, maxBytes: number | undefined) {
    this.#name = name;
    this.#uidValidity = uidValidity;
    this.#session = session;
    this.#maxBytes = maxBytes;
  }

  /** Fails with MailError: scope message when this one alone was refused; outcome "unknown" when no answer came. */
  async append(message: Message, signal: AbortSignal): Promise<Appended> {
    const { shape } = message.body;
    const size = wireSize(shape);
    if (this.#maxBytes !== undefined && size > this.#maxBytes)
      throw new MailError(
        "too-large",
        `the message has ${size} octets; the server takes ${this.#maxBytes} at the most`,
        {
          scope: "message",
          remedy: "give-up",
          outcome: "none",
        },
      );
    const { names, refused } = flagNames(message.traits);
    const losses: Loss[] = refused.map((name) => ({ kind: "keyword", name }));
    const release = await this.#window.acquire(Math.max(size, LEAST_WEIGHT), signal);
    try {
      using seat = await this.#session.enter(signal);
      const { connection } = seat;
      const { answer, later } = await this.#checks.during(() => this.#send(connection, message, size, names));
      release();
      const uid = this.#appendedUid(answer);
      if (uid === undefined) {
        const altered = shape.hasNul ? "it holds NUL octets, which IMAP cannot carry" : undefined;
        for (const name of later) losses.push(lossOf(name));
        return { losses, ...(altered === undefined ? {} : { altered }) };
      }
      return await this.#inspect(connection, uid, message, size, { names, losses });
    } finally {
      release();
    }
  }

  /** What the server made of a message that it has stored. Whatever fails here, the message may be there. */
  async #inspect(
    connection: Connection,
    uid: number,
    message: Message,
    size: number,
    { names, losses }: { readonly names: readonly string[]; readonly losses: Loss[] },
  ): Promise<Appended> {
    try {
      const row = await this.#checks.look(connection, uid);
      // Gmail names a UID for a message that it has already, and discards it.
      if (row === undefined) return { losses };
      for (const name of await missingFlags(connection, uid, row, names)) losses.push(lossOf(name));
      const { received } = message.traits;
      if (received !== undefined && !(await keptDate(connection, uid, row, received)))
        losses.push({ kind: "received" });
      const altered = await alteration(connection, uid, message, size, row);
      return { uid, losses, ...(altered === undefined ? {} : { altered }) };
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      // Not the message is refused, but a question about it: that is for another look, not for setting it aside.
      const { code, message: words, details } = error;
      const wider = details.scope === "message" ? ({ scope: "folder", remedy: "retry" } as const) : {};
      throw new MailError(code, words, { ...details, ...wider, outcome: "unknown" });
    }
  }

  /** Sends it with all its flags, then with fewer where the server refuses it so; `later` are those that it went without. */
  async #send(
    connection: Connection,
    message: Message,
    size: number,
    names: readonly string[],
  ): Promise<{ answer: Tagged; later: readonly string[] }> {
    const system = names.filter((name) => name.startsWith("\\"));
    const tries = [names, ...(system.length < names.length ? [system] : []), ...(system.length > 0 ? [[]] : [])];
    let refusal: Tagged | undefined;
    for (const tried of tries) {
      const answer = await connection.run(this.#command(message, size, tried));
      if (answer.status === "OK") return { answer, later: names.filter((name) => !tried.includes(name)) };
      refusal ??= answer;
      // Only words that may be meant for the flags: full, too large, not now or no such folder are not.
      if (messageRefusal("", answer).code !== "malformed" || isMissing(answer)) {
        refusal = answer;
        break;
      }
    }
    if (refusal !== undefined && isMissing(refusal))
      throw new MailError("not-found", `the folder ${this.#name} is gone: ${refusal.text}`, {
        scope: "folder",
        remedy: "retry",
        outcome: "none",
      });
    throw messageRefusal("the server refuses the message", refusal ?? { status: "NO", text: "" });
  }

  // MULTIAPPEND (RFC 3502) would put several of these tails behind one "APPEND name".
  #command(message: Message, size: number, flags: readonly string[]): CommandPart[] {
    const { received } = message.traits;
    const date = received === undefined ? undefined : formatInternalDate(received);
    const options = `${flags.length === 0 ? "" : `(${flags.join(" ")}) `}${date === undefined ? "" : `${date} `}`;
    return ["APPEND ", stringPart(this.#name), ` ${options}`, { size, chunks: () => content(message) }];
  }

  #appendedUid({ code, argument = "" }: Tagged): number | undefined {
    if (code !== "APPENDUID") return undefined;
    const [uidValidity, uid = ""] = argument.split(" ");
    if (uidValidity !== this.#uidValidity)
      throw new MailError("not-found", `the folder ${this.#name} was made anew by somebody else`, {
        scope: "folder",
        remedy: "retry",
        outcome: "unknown",
      });
    return /^\d{1,10}$/.test(uid) ? Number(uid) : undefined;
  }
}

async function* content(message: Message): AsyncGenerator<Uint8Array> {
  try {
    yield* toCrlf(message.body.open());
  } catch (error) {
    throw ioError("a staged message cannot be read", error);
  }
}

/** RFC 3501 6.3.11, RFC 5530: there is no such folder. */
function isMissing({ code }: Tagged): boolean {
  return code === "TRYCREATE" || code === "NONEXISTENT";
}

/** The flags that the copy lacks although a STORE asked for them again (Exchange forgets \Flagged in APPEND). */
async function missingFlags(
  connection: Connection,
  uid: number,
  row: FetchRow,
  names: readonly string[],
): Promise<readonly string[]> {
  let missing = lacking(row, names);
  if (missing.length === 0) return missing;
  for (const some of missing.length > 1 ? [missing, ...missing.map((name) => [name])] : [missing]) {
    if (missing.length === 0) break;
    await connection.run(`UID STORE ${uid} +FLAGS (${some.join(" ")})`, {
      data: (response) => {
        const told = parseRow(response);
        if (told?.flags === undefined || told.uid !== uid) return false;
        missing = lacking(told, missing);
        return true;
      },
    });
  }
  return missing;
}

async function keptDate(connection: Connection, uid: number, row: FetchRow, received: Received): Promise<boolean> {
  if (row.received?.epochSeconds !== received.epochSeconds) return false;
  if (received.epochSeconds >= 0) return true;
  // Dovecot 2.3 tells a date before 1970 rightly the first time, and from then on what its 32-bit cache made of it.
  const { rows } = await fetchAll(connection, `UID FETCH ${uid} (UID INTERNALDATE)`);
  return rows.some((again) => again.uid === uid && again.received?.epochSeconds === received.epochSeconds);
}

function lacking(row: FetchRow, names: readonly string[]): readonly string[] {
  const has = new Set([...(row.flags ?? [])].map((flag) => flagName(flag).toLowerCase()));
  for (const keyword of row.keywords ?? []) has.add(keyword.toLowerCase());
  return names.filter((name) => !has.has(name.toLowerCase()));
}

function lossOf(name: string): Loss {
  return name.startsWith("\\") ? { kind: "flag", name: name.slice(1).toLowerCase() } : { kind: "keyword", name };
}

/** How the copy differs, in words; undefined when it has the same content key. Read back only where there is a suspicion. */
async function alteration(
  connection: Connection,
  uid: number,
  { body }: Message,
  size: number,
  row: FetchRow,
): Promise<string | undefined> {
  if (!body.shape.hasNul && row.size === size) return undefined;
  const copy = await keyOf(fetchContent(connection, uid));
  if (copy.key === body.key) return undefined;
  if (body.shape.hasNul && !copy.shape.hasNul) return "the server replaced its NUL octets";
  return `the server changed it: ${size} octets were sent, ${copy.shape.size} came back`;
}
