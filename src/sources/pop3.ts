// A POP3 maildrop as a source: one folder, read in one session, deleted from in a session of its own.

import { HEADER_LIMIT } from "../mail/body.ts";
import { MailError, suspecting } from "../mail/errors.ts";
import { NO_FIDELITY } from "../mail/fidelity.ts";
import { messageIdOf } from "../mail/headers.ts";
import type { Entry, Folder, Origin } from "../mail/model.ts";
import { closedOnAbort, remover } from "../protocol/pop3/bunches.ts";
import { given } from "../protocol/pop3/giving.ts";
import type { Timing } from "../protocol/pop3/limits.ts";
import { IdTable, Listing } from "../protocol/pop3/listing.ts";
import { Lessons } from "../protocol/pop3/login.ts";
import {
  believed,
  type Deadly,
  entryIn,
  INBOX,
  identify,
  isWeak,
  type Named,
  origin,
  unchanged,
  unreadable,
} from "../protocol/pop3/names.ts";
import { openPop3Session, type Pop3Session } from "../protocol/pop3/session.ts";
import { type ServerOptions, serverIdentity } from "../protocol/server.ts";
import type { Incoming, ReadOptions, Slice, Source } from "./source.ts";

/**
 * Logs in at once, and uses that session for the first look or read. Fails with MailError auth, locked (another session holds
 * the maildrop), connection or config, or with the signal's reason. `timing` is for tests.
 */
export async function openPop3Source(server: ServerOptions, signal: AbortSignal, timing: Timing = {}): Promise<Source> {
  /** Logged in, and idle. */
  const lessons = new Lessons();
  let kept: Pop3Session | undefined = await openPop3Session(server, signal, timing, lessons);
  const tellsHeads = kept.heads !== undefined;
  const delaysLogins = Number(kept.capabilities.arguments("LOGIN-DELAY")[0] ?? 0) > 0;
  const place = `${server.host}:${server.port}`;
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

  const deadly: Deadly = new Map();
  /** Ids that were wanted by readings that came to no end. */
  const begun = new IdTable();
  /** A later session showed what an earlier one had not, once what that had shown was fetched. */
  let showsParts = false;

  async function* read(_slice: Slice, options: ReadOptions): AsyncGenerator<Incoming> {
    const { want, alone = false, removesNext = false, signal: until } = options;
    if (until.aborted) return;
    let session: Pop3Session | undefined;
    let listing = new Listing();
    let drop: Named | undefined;
    // A message that was handed out is read to its end, also after an abort.
    let inHand = false;
    const onAbort = () => {
      if (!inHand) session?.close();
    };
    const offered = new IdTable();
    until.addEventListener("abort", onAbort);
    try {
      const started = await start(until, (each) => each.list());
      session = started.session;
      listing = started.seen;
      for (;;) {
        drop = undefined;
        drop = await identify(session, listing, deadly);
        const [named, shown] = [drop, listing];
        const entryOf = (number: number): Entry => entryIn(listing, named, number);
        // Where one of those that count has moved, all may have.
        const haveMoved = hasMoved(listing, (number) => options.differs?.(entryOf(number)) === true);
        let isAllNew = true;
        for (const number of listing.numbers()) {
          const entry = entryOf(number);
          const { id } = entry.origin;
          if (offered.size > 0 && offered.find(id) !== 0) continue;
          const wanted = want(entry, haveMoved && isWeak(id, number));
          if (typeof wanted === "boolean" ? wanted : await wanted) listing.choose(number);
          else isAllNew &&= begun.size > 0 && begun.find(id) !== 0;
          if (until.aborted) return;
        }
        if (offered.size === 0) options.listed?.();
        let count = 0;
        for await (const message of given(session, { listing, place, alone })) {
          inHand = true;
          const entry = entryOf(message.number);
          yield { entry, ...unchanged(message, entry.origin.id) };
          inHand = false;
          if (message.refused === undefined) count++;
          if (until.aborted) return;
        }
        // Nothing was marked: QUIT only frees the maildrop for the next session.
        await session[Symbol.asyncDispose]();
        end(session);
        session = undefined;
        if (options.untilNothingNew !== true || count === 0 || !(isAllNew || showsParts) || delaysLogins) return;
        // Those without a name may have one in the next session.
        for (const number of shown.numbers()) if (believed(shown, number) === undefined) return;
        const next = await another(until, (id) => shown.holds(id) || offered.find(id) !== 0, removesNext);
        if (next === undefined) return;
        showsParts = true;
        for (const number of listing.numbers()) offered.add(named.id(number));
        ({ session, seen: listing } = next);
      }
    } catch (error) {
      if (until.aborted) return;
      throw withSuspects(error, session, drop);
    } finally {
      until.removeEventListener("abort", onAbort);
      if (session !== undefined) {
        if (drop !== undefined) for (const number of listing.chosen()) begun.add(drop.id(number));
        end(session);
      }
    }
  }

  /**
   * Another look at a maildrop of which all was fetched: some servers show a part at a time, and the next one when that was fetched.
   * Undefined where it shows nothing new, or does not let us in so soon: what was shown has come.
   */
  async function another(
    until: AbortSignal,
    isKnown: (id: string) => boolean,
    isKept: boolean,
  ): Promise<{ session: Pop3Session; seen: Listing } | undefined> {
    try {
      const next = await start(until, (each) => each.list());
      for (const number of next.seen.numbers()) {
        const id = believed(next.seen, number);
        // Without names all would have to be fetched to know.
        if (id === undefined) break;
        if (!isKnown(id)) return next;
      }
      if (isKept) {
        busy.delete(next.session);
        kept = next.session;
      } else {
        await next.session[Symbol.asyncDispose]();
        end(next.session);
      }
      return undefined;
    } catch (error) {
      if (until.aborted || error instanceof MailError) return undefined;
      throw error;
    }
  }

  /** What was asked for when a connection ended may be why it did. */
  function withSuspects(error: unknown, session: Pop3Session | undefined, drop: Named | undefined): unknown {
    if (!(error instanceof MailError) || session === undefined || drop === undefined) return error;
    const { remedy, scope, suspects } = error.details;
    if (remedy === "give-up" || scope === "message" || suspects !== undefined) return error;
    const underWay = session.underWay.map((number) => origin(drop.id(number)));
    return underWay.length === 0 ? error : suspecting(error, underWay);
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
      const drop = await identify(session, listing, deadly);
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

  /** One command at a time: what could not be had may end the connection again. */
  async function* describe(
    origins: readonly Origin[],
    until: AbortSignal,
  ): AsyncGenerator<{ readonly origin: Origin; readonly head: Uint8Array }> {
    const asked = new Set(origins.map(({ id }) => id));
    const { session, seen: listing } = await start(until, (each) => each.list());
    const onAbort = () => session.close();
    until.addEventListener("abort", onAbort);
    try {
      const idOf = (number: number): string => believed(listing, number) ?? unreadable(number);
      for (const number of listing.numbers()) if (asked.has(idOf(number))) listing.choose(number);
      for await (const { number, content, refused } of session.heads?.(listing.chosen(), { alone: true }) ?? [])
        if (refused === undefined) yield { origin: origin(idOf(number)), head: await headOf(content) };
      await session[Symbol.asyncDispose]();
    } finally {
      until.removeEventListener("abort", onAbort);
      end(session);
    }
  }

  const remove = remover({
    start: (until) => start(until, (each) => each.list()),
    end,
    identify: (session, listing) => identify(session, listing, deadly),
  });

  return {
    kind: "pop3",
    identity: serverIdentity("pop3", server),
    limits: { sessions: 1 },
    tells: NO_FIDELITY,
    announces: true,
    idsMove: true,
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
    ...(tellsHeads ? { identify: heads, describe } : {}),
    async [Symbol.asyncDispose]() {
      for (const session of busy) session.close();
      await kept?.[Symbol.asyncDispose]();
      kept = undefined;
    },
  } satisfies Source;
}

function hasMoved(listing: Listing, differs: (number: number) => boolean): boolean {
  for (const number of listing.numbers()) {
    const id = believed(listing, number);
    if (id !== undefined && isWeak(id, number) && differs(number)) return true;
  }
  return false;
}

/** Undefined also where the server refuses the header. */
async function messageIdIn(content: AsyncIterable<Uint8Array>): Promise<string | undefined> {
  try {
    return messageIdOf(await headOf(content));
  } catch (error) {
    if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    return undefined;
  }
}

async function headOf(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let head: Uint8Array = new Uint8Array(0);
  for await (const chunk of content) {
    head = Buffer.concat([head, chunk]);
    if (head.length >= HEADER_LIMIT) break;
  }
  return head;
}
