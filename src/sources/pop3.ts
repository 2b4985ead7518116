// A POP3 maildrop as a source: one folder, read in one session, deleted from in a session of its own.

import type { Hold } from "../core/lock.ts";
import { HEADER_LIMIT } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { NO_FIDELITY } from "../mail/fidelity.ts";
import { messageIdOf } from "../mail/headers.ts";
import { KeyHasher, keyOf } from "../mail/key.ts";
import { type Entry, type Folder, NO_TRAITS, type Origin, samePath } from "../mail/model.ts";
import type { Timing } from "../protocol/pop3/limits.ts";
import { IdTable, Listing } from "../protocol/pop3/listing.ts";
import { Lessons } from "../protocol/pop3/login.ts";
import type { Retrieved } from "../protocol/pop3/retrieve.ts";
import { openPop3Session, type Pop3Session } from "../protocol/pop3/session.ts";
import { type ServerOptions, serverIdentity } from "../protocol/server.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

const INBOX = ["INBOX"] as const;
/** POP3 has no UIDVALIDITY: UIDLs are to be unique for ever (RFC 1939 7). */
const GENERATION = "maildrop";
/** Ids of our own making. A UIDL that looks like one is not believed: its message gets a content key. */
const BY_CONTENT = "sha256:";
const UNREADABLE = "unreadable:";

/**
 * Logs in at once, and uses that session for the first look or read. Fails with MailError auth, locked (another session holds
 * the maildrop), connection or config, or with the signal's reason. `timing` is for tests.
 */
export async function openPop3Source(server: ServerOptions, signal: AbortSignal, timing: Timing = {}): Promise<Source> {
  /** Logged in, and idle. */
  const lessons = new Lessons();
  let kept: Pop3Session | undefined = await openPop3Session(server, signal, timing, lessons);
  const tellsHeads = kept.heads !== undefined;
  const busy = new Set<Pop3Session>();

  /**
   * The idle session if it still lives, else a new one, with what a first look shows there: only an answer tells whether it
   * lives, and what a maildrop holds is listed anew in each session.
   */
  async function start<T>(
    until: AbortSignal,
    look: (session: Pop3Session) => Promise<T>,
  ): Promise<{ session: Pop3Session; seen: T }> {
    const idle = kept;
    kept = undefined;
    if (idle?.alive === true) {
      try {
        return await lookedAt(idle);
      } catch (error) {
        // Servers end idle sessions after some minutes.
        if (until.aborted || !(error instanceof MailError) || error.code !== "connection") throw error;
      }
    }
    return lookedAt(await openPop3Session(server, until, timing, lessons));

    async function lookedAt(session: Pop3Session): Promise<{ session: Pop3Session; seen: T }> {
      busy.add(session);
      try {
        return { session, seen: await closedOnAbort(session, until, () => look(session)) };
      } catch (error) {
        end(session);
        throw error;
      }
    }
  }

  /** Before QUIT this takes every mark back (RFC 1939 6). */
  function end(session: Pop3Session): void {
    session.close();
    busy.delete(session);
  }

  async function* read(_slice: Slice, options: ReadOptions): AsyncGenerator<Incoming> {
    const { want, signal: until } = options;
    if (until.aborted) return;
    let session: Pop3Session | undefined;
    // A message that was handed out is read to its end, also after an abort.
    let inHand = false;
    const onAbort = () => {
      if (!inHand) session?.close();
    };
    until.addEventListener("abort", onAbort);
    try {
      const started = await start(until, (each) => each.list());
      session = started.session;
      const listing = started.seen;
      const drop = await identify(session, listing);
      const entryOf = (number: number): Entry => entryIn(listing, drop, number);
      for (const number of listing.numbers()) {
        const wanted = want(entryOf(number));
        if (typeof wanted === "boolean" ? wanted : await wanted) listing.choose(number);
        if (until.aborted) return;
      }
      options.listed?.();
      for await (const message of session.retrieve(listing.chosen(), (number) => listing.size(number))) {
        const entry = entryOf(message.number);
        inHand = true;
        yield { entry, ...unchanged(message, entry.origin.id) };
        inHand = false;
        if (until.aborted) return;
      }
      // Nothing was marked: QUIT only frees the maildrop for the next session.
      await session[Symbol.asyncDispose]();
    } catch (error) {
      if (until.aborted) return;
      throw error;
    } finally {
      until.removeEventListener("abort", onAbort);
      if (session !== undefined) end(session);
    }
  }

  async function* heads(
    _folder: Folder,
    until: AbortSignal,
  ): AsyncGenerator<{ readonly entry: Entry; readonly messageId: string | undefined }> {
    if (until.aborted) return;
    const { session, seen: listing } = await start(until, (each) => each.list());
    const onAbort = () => session.close();
    until.addEventListener("abort", onAbort);
    try {
      const drop = await identify(session, listing);
      if (session.heads === undefined) throw new Error("this session offers no TOP, and the first one did");
      for await (const { number, content } of session.heads(listing.numbers())) {
        const messageId = await messageIdIn(content);
        if (until.aborted) return;
        yield { entry: entryIn(listing, drop, number), messageId };
      }
      await session[Symbol.asyncDispose]();
    } catch (error) {
      if (until.aborted) return;
      throw error;
    } finally {
      until.removeEventListener("abort", onAbort);
      end(session);
    }
  }

  async function* remove(
    origins: AsyncIterable<Origin>,
    until: AbortSignal,
    hold: Hold = () => undefined,
  ): AsyncGenerator<Origin> {
    // All of them first: the session that deletes shall be short, and its list is looked up while it is fresh.
    const asked = new IdTable();
    let byContent = false;
    for await (const { folder, generation, id } of origins) {
      if (generation !== GENERATION || !samePath(folder, INBOX) || /[^\x00-\xff]/.test(id)) continue;
      asked.add(id);
      byContent ||= isOurs(id);
    }
    if (asked.size === 0) return;
    await kept?.[Symbol.asyncDispose]();
    kept = undefined;
    const { session, seen: listing } = await start(until, (each) => each.list());
    try {
      const gone = await closedOnAbort(session, until, async () => {
        // Without content keys in question nothing need be read again.
        const drop = byContent ? await identify(session, listing) : undefined;
        const idOf = (number: number) => drop?.id(number) ?? believed(listing, number);
        for (const number of listing.numbers()) {
          const id = idOf(number);
          if (id !== undefined && !id.startsWith(UNREADABLE) && asked.find(id) !== 0) listing.choose(number);
        }
        const marked = new Listing();
        for await (const number of session.delete(listing.chosen())) marked.addId(number, idOf(number));
        // Until here nothing is gone (RFC 1939 6).
        hold(true);
        await session.quit();
        return marked;
      });
      for (const number of gone.numbers()) {
        const id = gone.uniqueId(number);
        if (id !== undefined) yield origin(id);
      }
    } finally {
      end(session);
    }
  }

  return {
    kind: "pop3",
    identity: serverIdentity("pop3", server),
    limits: { sessions: 1 },
    tells: NO_FIDELITY,
    async *folders(until) {
      const { session, seen: maildrop } = await start(until, (each) => each.stat());
      busy.delete(session);
      kept = session;
      yield { path: INBOX, selectable: true, use: "inbox", ...maildrop, name: "INBOX" } satisfies Folder;
    },
    async *slices(folder) {
      yield { folder };
    },
    read,
    remove,
    ...(tellsHeads ? { identify: heads } : {}),
    async [Symbol.asyncDispose]() {
      for (const session of busy) session.close();
      await kept?.[Symbol.asyncDispose]();
      kept = undefined;
    },
  } satisfies Source;
}

/** What each message of one session is called. */
interface Named {
  id(number: number): string;
}

/**
 * A message without a UIDL, or with one that another has too, is called by its content, and has to be read for that; two of
 * the same content are told apart by their order. Its bytes are not kept: those that are wanted are read again, so that every
 * id is known before the first body, and no number of such messages needs room on the disk.
 */
async function identify(session: Pop3Session, listing: Listing): Promise<Named> {
  const ours = new Listing();
  const keys = new IdTable();
  const twins: number[] = [];
  function* nameless(): Generator<number> {
    for (const number of listing.numbers()) if (believed(listing, number) === undefined) yield number;
  }
  for await (const { number, content } of session.retrieve(nameless(), (each) => listing.size(each))) {
    ours.addId(number, await contentId(number, content));
  }
  return { id: (number) => ours.uniqueId(number) ?? believed(listing, number) ?? `${UNREADABLE}${number}` };

  async function contentId(number: number, content: AsyncIterable<Uint8Array>): Promise<string> {
    try {
      const { key } = await keyOf(content);
      const index = keys.add(key);
      const nth = (twins[index] ?? 0) + 1;
      twins[index] = nth;
      return nth === 1 ? `${BY_CONTENT}${key}` : `${BY_CONTENT}${key}#${nth}`;
    } catch (error) {
      // It is offered all the same, and fails when it is read.
      if (error instanceof MailError && error.details.scope === "message") return `${UNREADABLE}${number}`;
      throw error;
    }
  }
}

function entryIn(listing: Listing, drop: Named, number: number): Entry {
  const size = listing.size(number);
  return { origin: origin(drop.id(number)), traits: NO_TRAITS, ...(size === undefined ? {} : { size }) };
}

/** Undefined also where the server refuses the header. */
async function messageIdIn(content: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  let head: Uint8Array = new Uint8Array(0);
  try {
    for await (const chunk of content) {
      head = Buffer.concat([head, chunk]);
      if (head.length >= HEADER_LIMIT) break;
    }
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    return undefined;
  }
  return messageIdOf(head);
}

/** The message's UIDL, where it names this message and no other. */
function believed(listing: Listing, number: number): string | undefined {
  const id = listing.uniqueId(number);
  return id === undefined || isOurs(id) ? undefined : id;
}

function isOurs(id: string): boolean {
  return id.startsWith(BY_CONTENT) || id.startsWith(UNREADABLE);
}

function origin(id: string): Origin {
  return { folder: INBOX, generation: GENERATION, id };
}

/** A message called by its content must have that content when it is read for good. */
function unchanged({ content, bytes }: Retrieved, id: string): Pick<Incoming, "content" | "bytes"> {
  if (id.startsWith(BY_CONTENT)) return { content: checked(content, id) };
  return bytes === undefined ? { content } : { content, bytes };
}

async function* checked(content: AsyncIterable<Uint8Array>, id: string): AsyncGenerator<Uint8Array> {
  const hasher = new KeyHasher();
  for await (const chunk of content) {
    hasher.update(chunk);
    yield chunk;
  }
  if (id.startsWith(hasher.digest().key, BY_CONTENT.length)) return;
  throw new MailError("protocol", "the server gave other bytes when this message was read again", {
    scope: "message",
    remedy: "retry",
  });
}

/** Runs a piece of a session's work; an abort cuts its connection. Before anything may have happened, the reason is thrown. */
async function closedOnAbort<T>(session: Pop3Session, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const cut = () => session.close();
  signal.addEventListener("abort", cut, { once: true });
  try {
    signal.throwIfAborted();
    return await work();
  } catch (error) {
    if (signal.aborted && !(error instanceof MailError && error.details.outcome === "unknown")) throw signal.reason;
    throw error;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}
