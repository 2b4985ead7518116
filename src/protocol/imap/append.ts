// APPENDs into one folder, pipelined, small messages in groups: each message gets its own fate, and is looked at afterwards.

import type { Hold } from "../../core/lock.ts";
import { MailError, suspecting } from "../../mail/errors.ts";
import type { Loss } from "../../mail/fidelity.ts";
import { receivedFromHeader } from "../../mail/headers.ts";
import { wireSize } from "../../mail/key.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import { showRaw } from "../../mail/mutf7.ts";
import { checkCopy, flagLoss, isAsSent } from "./append-check.ts";
import { appendCommand, appendedUids, isMissing, type Outgoing } from "./append-command.ts";
import { type Connection, SUSPECT_STALL_MS } from "./connection.ts";
import { accountRefusal, isPassing, messageRefusal, outrightRefusal } from "./errors.ts";
import type { FetchRow } from "./fetch.ts";
import { GROUP_BYTES, Grouping } from "./grouping.ts";
import { madeAnew, NewUids, type Sent } from "./new-uids.ts";
import type { Tagged } from "./parse.ts";
import type { Seat, SharedSession } from "./shared-session.ts";
import { flagNames } from "./syntax.ts";

/** Octets of messages that may be on their way into one folder; a larger message goes alone. 50 MB/s at 150 ms. */
const WINDOW_BYTES = 8 * 1024 * 1024;
/** Every message counts for at least this much of the window, so that empty ones are bounded too. */
const LEAST_WEIGHT = 4 * 1024;
/** Groups on their way that were sent though more might have come for them; what comes then makes larger ones. */
const SMALL_GROUPS = 3;

/** Refusals in a row, of which each says that it passes, until nothing more of that group is sent. */
const PUT_OFF_IN_A_ROW = 10;

/** What became of one append; `uid` is absent where the server does not say (no UIDPLUS), or took it back. */
export interface Appended {
  readonly uid?: number;
  readonly altered?: string;
  /** What was done to it, as `Likeness.how`. */
  readonly alteration?: readonly string[];
  readonly losses: readonly Loss[];
}

const NO_LOSSES: readonly Loss[] = [];

interface Waiting extends Outgoing {
  /** In the window. */
  readonly weight: number;
  /** Keywords that IMAP cannot write. */
  readonly losses: readonly Loss[];
  readonly signal: AbortSignal;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

/** What became of one that was sent by itself. */
interface Alone {
  /** Taken, with all its flags. */
  readonly asItWas: boolean;
  readonly error?: unknown;
}

interface Group {
  readonly items: readonly Waiting[];
  readonly weight: number;
  /** More would have gone with it, had it been there. */
  readonly small: boolean;
}

/** What one command was answered; no UIDs where the answer names none that can be trusted. */
interface Given {
  readonly sent: Sent;
  readonly answer: Tagged;
  readonly uids: readonly number[] | undefined;
}

export class Appender {
  readonly #name: string;
  readonly #uidValidity: string;
  readonly #session: SharedSession;
  readonly #maxBytes: number | undefined;
  readonly #grouping: Grouping;
  readonly #hold: Hold;
  readonly #looks: NewUids;
  #waiting: Waiting[] = [];
  #sending = false;
  /** What is on its way. */
  #groups = 0;
  #small = 0;
  #weight = 0;
  #changed: (() => void) | undefined;
  #last: number | undefined = 0;

  constructor(
    name: string,
    uidValidity: string,
    session: SharedSession,
    maxBytes: number | undefined,
    grouping = new Grouping(),
    /** Called before each command that stores something. */
    hold: Hold = () => undefined,
  ) {
    this.#name = name;
    this.#uidValidity = uidValidity;
    this.#session = session;
    this.#maxBytes = maxBytes;
    this.#grouping = grouping;
    this.#hold = hold;
    this.#looks = new NewUids(name, uidValidity);
  }

  /** The highest UID that an append got, 0 where none was made; undefined when one was stored without a name. */
  get last(): number | undefined {
    return this.#last;
  }

  /**
   * Fails with MailError: scope message when this one alone was refused; outcome "unknown" when no answer came. Calls made
   * together go in one command where the server allows it; none waits for a later call.
   */
  append(message: Message, signal: AbortSignal): Promise<Appended> {
    const size = wireSize(message.body.shape);
    if (this.#maxBytes !== undefined && size > this.#maxBytes)
      return Promise.reject(
        new MailError("too-large", `the message has ${size} octets; the server takes ${this.#maxBytes} at the most`, {
          scope: "message",
          remedy: "give-up",
          outcome: "none",
        }),
      );
    const { names, refused } = flagNames(message.traits);
    const losses = refused.length === 0 ? NO_LOSSES : refused.map((name): Loss => ({ kind: "keyword", name }));
    const weight = Math.min(Math.max(size, LEAST_WEIGHT), WINDOW_BYTES);
    return new Promise((resolve, reject) => {
      const { received } = message.traits;
      this.#waiting.push({ message, size, flags: names, received, losses, weight, signal, resolve, reject });
      this.#changed?.();
      if (this.#sending) return;
      this.#sending = true;
      // A little later, so that what comes together goes together.
      setImmediate(() => void this.#send());
    });
  }

  async #send(): Promise<void> {
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      let seat: Seat;
      try {
        seat = await this.#session.enter(first.signal);
      } catch (error) {
        const failed = this.#waiting.splice(0, first.signal.aborted ? 1 : this.#waiting.length);
        for (const { reject } of failed) reject(error);
        continue;
      }
      const group = this.#take(seat.connection);
      if (group !== undefined) {
        void this.#carry(seat, group);
        continue;
      }
      seat[Symbol.dispose]();
      await new Promise<void>((resolve) => {
        this.#changed = () => {
          this.#changed = undefined;
          setImmediate(resolve);
        };
      });
    }
    this.#sending = false;
  }

  /** The messages to go next; undefined while something on its way must be answered first. */
  #take(connection: Connection): Group | undefined {
    const limit = this.#looks.knowsNext(connection) ? this.#grouping.limit(connection) : 1;
    const signal = this.#waiting[0]?.signal;
    let weight = 0;
    let count = 0;
    for (const item of this.#waiting) {
      if (count > 0 && (count >= limit || weight + item.weight > GROUP_BYTES || item.signal !== signal)) break;
      weight += item.weight;
      count++;
    }
    const small = count < limit && weight < GROUP_BYTES && count === this.#waiting.length;
    if (this.#groups > 0 && (this.#weight + weight > WINDOW_BYTES || (small && this.#small >= SMALL_GROUPS)))
      return undefined;
    this.#groups++;
    this.#weight += weight;
    if (small) this.#small++;
    return { items: this.#waiting.splice(0, count), weight, small };
  }

  async #carry(seat: Seat, group: Group): Promise<void> {
    const { items } = group;
    let held = true;
    const free = (): void => {
      if (!held) return;
      held = false;
      this.#groups--;
      this.#weight -= group.weight;
      if (group.small) this.#small--;
      this.#changed?.();
    };
    const { connection } = seat;
    try {
      const given = await this.#command(connection, items);
      if (given.answer.status === "OK") {
        this.#grouping.taken();
        free();
        await this.#inspect(connection, given, items);
      } else await this.#refused(connection, given, items);
    } catch (error) {
      if (items.length > 1) this.#grouping.failed();
      for (const { reject } of items) reject(error);
    } finally {
      free();
      await this.#looks.idle();
      seat[Symbol.dispose]();
    }
  }

  async #command(connection: Connection, items: readonly Outgoing[]): Promise<Given> {
    this.#hold();
    const bytes = items.reduce((sum, { size }) => sum + size, 0);
    const sent = this.#looks.begin(connection, items.length, bytes);
    let given: Given | undefined;
    let wasOldest = false;
    const lost = (oldest: boolean): void => {
      wasOldest = oldest;
    };
    const stallMs = items[0]?.message.alone === true ? SUSPECT_STALL_MS : undefined;
    try {
      const answered = connection.run(appendCommand(this.#name, items), { lost, stallMs });
      this.#looks.follow();
      const answer = await answered;
      const named = appendedUids(answer, items.length);
      if (answer.status === "OK" && named !== undefined && named.uidValidity !== this.#uidValidity)
        throw madeAnew(this.#name);
      given = { sent, answer, uids: named?.uids };
      return given;
    } catch (error) {
      // Those behind it had the bad luck to be on their way.
      if (!wasOldest || !(error instanceof MailError)) throw error;
      throw suspecting(
        error,
        items.map(({ message }) => message.entry.origin),
      );
    } finally {
      this.#looks.answered(sent, given?.answer.status === "OK", given?.uids);
    }
  }

  /** None of a refused group is there (RFC 3502: all or nothing); each then gets its own answer, which may be another. */
  async #refused(connection: Connection, given: Given, items: readonly Waiting[]): Promise<void> {
    const [only] = items;
    if (items.length === 1 && only !== undefined) {
      await this.#alone(connection, only, given);
      return;
    }
    const { answer, sent } = given;
    this.#grouping.failed();
    if (isMissing(answer)) throw gone(this.#name, answer);
    const account = outrightRefusal(answer);
    // Where there is no room for all there may be room for some.
    if (account !== undefined && account.code !== "quota") throw account;
    if (answer.code === "APPENDUID" || (await this.#strangers(connection, sent)) > 0) throw partlyStored(answer);
    const isPut = accountRefusal(answer) !== undefined || isPassing(answer);
    const fates = isPut
      ? await this.#carefully(connection, items)
      : await Promise.all(items.map((item) => this.#alone(connection, item, undefined)));
    if (fates.every(({ asItWas }) => asItWas)) this.#grouping.inVain();
  }

  /**
   * One waits for the other's answer where the server has no room, or wants to be left alone for a while: what is refused then is not
   * followed by all the others in vain.
   */
  async #carefully(connection: Connection, items: readonly Waiting[]): Promise<readonly Alone[]> {
    const fates: Alone[] = [];
    let inARow = 0;
    let least = Number.POSITIVE_INFINITY;
    let last: unknown;
    for (const item of items) {
      if (inARow >= PUT_OFF_IN_A_ROW) item.reject(ofAccount(last));
      else if (item.size >= least) item.reject(last);
      else {
        const fate = await this.#alone(connection, item, undefined);
        fates.push(fate);
        last = fate.error ?? last;
        if (fate.error instanceof MailError && fate.error.code === "quota") least = item.size;
        else inARow = fate.error === undefined ? 0 : inARow + 1;
      }
    }
    return fates.length === items.length ? fates : [...fates, { asItWas: false }];
  }

  #strangers(connection: Connection, sent: Sent): Promise<number> {
    return this.#looks.strangers(connection, sent).catch((error: unknown) => {
      throw asUnknown(error);
    });
  }

  /**
   * One message by itself, as it is, then with fewer flags or another date where the server refuses it so. A refusal is told to
   * whoever waits for it. `given` is what it has been answered already.
   */
  async #alone(connection: Connection, item: Waiting, given: Given | undefined): Promise<Alone> {
    try {
      let refusal: Tagged | undefined;
      let before = given;
      for (const way of waysOf(item, () => refusal)) {
        const mine = before ?? (await this.#command(connection, [way]));
        before = undefined;
        const { answer } = mine;
        if (answer.status === "OK") {
          const without = item.flags.filter((name) => !way.flags.includes(name)).map(flagLoss);
          // Another date is told by the look at the copy, here or when it gets its name.
          await this.#inspect(connection, mine, [item], without);
          return { asItWas: way === item };
        }
        if (isMissing(answer)) throw gone(this.#name, answer);
        refusal ??= answer;
        // Where new copies are named, one that nobody named is what was refused and stored all the same.
        if (connection.has("UIDPLUS") && (await this.#strangers(connection, mine.sent)) > 0) throw partlyStored(answer);
        // Only words that may be meant for the flags: full, too large and not now are not.
        if (messageRefusal("", answer).code !== "malformed") {
          refusal = answer;
          break;
        }
      }
      throw asOwn(messageRefusal("the server refuses the message", refusal ?? { status: "NO", text: "" }));
    } catch (error) {
      item.reject(error);
      return { asItWas: false, error };
    }
  }

  /**
   * What the server made of messages that it has stored; `without` are flags that they went without. Whatever fails here, they
   * may be there.
   */
  async #inspect(
    connection: Connection,
    { sent, uids }: Given,
    items: readonly Waiting[],
    without: readonly Loss[] = [],
  ): Promise<void> {
    if (this.#last !== undefined) this.#last = uids === undefined ? undefined : Math.max(this.#last, uids.at(-1) ?? 0);
    if (uids === undefined) {
      for (const { message, losses, resolve } of items) {
        const altered = message.body.shape.hasNul ? "it holds NUL octets, which IMAP cannot carry" : undefined;
        resolve({ losses: [...losses, ...without], ...(altered === undefined ? {} : { altered }) });
      }
      return;
    }
    let rows: ReadonlyMap<number, FetchRow>;
    try {
      rows = await this.#looks.look(connection, uids, sent);
    } catch (error) {
      const unknown = asUnknown(error);
      for (const { reject } of items) reject(unknown);
      return;
    }
    const suspects: Promise<void>[] = [];
    for (const [at, item] of items.entries()) {
      const { message, size, flags, losses, resolve, reject } = item;
      const uid = uids[at] ?? 0;
      const row = rows.get(uid);
      // Gmail names a UID for a message that it has already, and discards it.
      if (row === undefined && connection.has("X-GM-EXT-1")) resolve({ losses });
      else if (row === undefined) reject(notThere(`${this.#uidValidity}:${uid}`));
      else if (isAsSent(row, message, size, flags)) resolve({ uid, losses });
      else
        suspects.push(
          checkCopy(connection, uid, row, message, size, flags).then(
            ({ losses: found, ...altered }) => resolve({ uid, losses: [...losses, ...found], ...altered }),
            (error: unknown) => reject(asUnknown(error)),
          ),
        );
    }
    await Promise.all(suspects);
  }
}

/** Before it, dates are rare enough in mail for a server to have a rule against them. */
const USUAL_FROM = Date.UTC(1990, 0, 1) / 1000;

/**
 * How a message is offered, one way after the other: as it is; where its date may be what is refused, with the one of its header and
 * with none; then with fewer flags. `refusal`: what was said to the ways before.
 */
function* waysOf(item: Outgoing, refusal: () => Tagged | undefined): Generator<Outgoing> {
  const { flags, received, message } = item;
  yield item;
  const said = refusal();
  if (received !== undefined && said !== undefined && isDateSuspect(received, said)) {
    const other = receivedFromHeader(message.body.head);
    if (other !== undefined && !isDateSuspect(other)) yield { ...item, received: other };
    yield { ...item, received: undefined };
  }
  const system = flags.filter((name) => name.startsWith("\\"));
  if (system.length < flags.length) yield { ...item, flags: system };
  if (system.length > 0) yield { ...item, flags: [] };
  // Both at once.
  if (flags.length > 0 && received !== undefined && isDateSuspect(received))
    yield { ...item, flags: [], received: undefined };
}

function isDateSuspect({ epochSeconds }: Received, refusal?: Tagged): boolean {
  const isUsual = epochSeconds >= USUAL_FROM && epochSeconds <= Date.now() / 1000;
  return !isUsual || /\bdate\b/i.test(refusal?.text ?? "");
}

/** Where there is no room for one message there may be room for a smaller one. */
function asOwn(error: MailError): MailError {
  return error.code === "quota" ? new MailError("quota", error.message, { ...error.details, scope: "message" }) : error;
}

/** Perhaps somebody took it away: it is not sent again before the folder was looked at anew. */
function notThere(ref: string): MailError {
  return new MailError("protocol", `the server said that it stored the message as ${ref}, and it is not there`, {
    scope: "message",
    remedy: "give-up",
    outcome: "unknown",
  });
}

/** One that was not sent, since so many others were put off. */
function ofAccount(error: unknown): unknown {
  if (!(error instanceof MailError)) return error;
  return new MailError(error.code, error.message, { ...error.details, scope: "account", outcome: "none" });
}

function partlyStored({ text }: Tagged): MailError {
  return new MailError("protocol", `the server may have stored a part of what it refused: ${text}`, {
    scope: "folder",
    remedy: "retry",
    outcome: "unknown",
  });
}

function gone(name: string, { text }: Tagged): MailError {
  return new MailError("not-found", `the folder ${showRaw(name)} is gone: ${text}`, {
    scope: "folder",
    remedy: "retry",
    outcome: "none",
  });
}

/** Not the message is refused, but a question about it: that is for another look, not for setting it aside. */
function asUnknown(error: unknown): unknown {
  if (!(error instanceof MailError)) return error;
  const { code, message, details } = error;
  const wider = details.scope === "account" ? {} : ({ scope: "folder", remedy: "retry" } as const);
  return new MailError(code, message, { ...details, ...wider, outcome: "unknown" });
}
