// What the messages of a maildrop are called: by their UIDLs where those name one message alone, else by their content.

import { MailError } from "../../mail/errors.ts";
import { KeyHasher, keyOf } from "../../mail/key.ts";
import { type Entry, NO_TRAITS, type Origin } from "../../mail/model.ts";
import { IdTable, Listing } from "./listing.ts";
import type { Retrieved } from "./retrieve.ts";
import type { Pop3Session } from "./session.ts";

export const INBOX = ["INBOX"] as const;
/** POP3 has no UIDVALIDITY: UIDLs are to be unique for ever (RFC 1939 7). */
export const GENERATION = "maildrop";
/** Ids of our own making. A UIDL that looks like one is not believed: its message gets a content key. */
const BY_CONTENT = "sha256:";
const UNREADABLE = "unreadable:";

/** Letters and digits of a UIDL that says enough. */
const SHORT = 10;

/** What each message of one session is called. */
export interface Named {
  id(number: number): string;
}

/** How often a session ended while it was asked for a message whose name is not known, by number and size. */
export type Deadly = Map<string, number>;

/** Ends after which such a message is called unreadable, so that the others get their names. */
const MOST_ENDS = 3;

/**
 * A message without a UIDL, or with one that another has too, is called by its content, and has to be read for that; two of
 * the same content are told apart by their order. Its bytes are not kept: those that are wanted are read again, so that every
 * id is known before the first body, and no number of such messages needs room on the disk.
 */
export async function identify(session: Pop3Session, listing: Listing, deadly: Deadly): Promise<Named> {
  const ours = new Listing();
  const keys = new IdTable();
  const twins: number[] = [];
  function* nameless(): Generator<number> {
    for (const number of listing.numbers())
      if (believed(listing, number) === undefined && (deadly.get(place(number)) ?? 0) < MOST_ENDS) yield number;
  }
  const place = (number: number): string => `${number}:${listing.size(number)}`;
  try {
    const size = (number: number): number | undefined => listing.size(number);
    for await (const { number, content } of session.retrieve(nameless(), size, { alone: deadly.size > 0 })) {
      ours.addId(number, await contentId(number, content));
    }
  } catch (error) {
    const [number] = session.underWay;
    if (number !== undefined) deadly.set(place(number), (deadly.get(place(number)) ?? 0) + 1);
    throw error;
  }
  return { id: (number) => ours.uniqueId(number) ?? believed(listing, number) ?? unreadable(number) };

  async function contentId(number: number, content: AsyncIterable<Uint8Array>): Promise<string> {
    try {
      const { key } = await keyOf(content);
      const index = keys.add(key);
      const nth = (twins[index] ?? 0) + 1;
      twins[index] = nth;
      return nth === 1 ? `${BY_CONTENT}${key}` : `${BY_CONTENT}${key}#${nth}`;
    } catch (error) {
      // It is offered all the same, and fails when it is read.
      if (error instanceof MailError && error.details.scope === "message") return unreadable(number);
      throw error;
    }
  }
}

export function entryIn(listing: Listing, drop: Named, number: number): Entry {
  const size = listing.size(number);
  return { origin: origin(drop.id(number)), traits: NO_TRAITS, ...(size === undefined ? {} : { size }) };
}

/** The message's UIDL, where it names this message and no other. */
export function believed(listing: Listing, number: number): string | undefined {
  const id = listing.uniqueId(number);
  return id === undefined || isOurs(id) ? undefined : id;
}

/**
 * A UIDL that may come to name another message: short, or no more than a number with some words around it, or one that tells the
 * place of its message. RFC 1939 forbids it, and servers that count do it.
 */
export function isWeak(id: string, number: number): boolean {
  const runs = id.match(/\d+/g);
  const last = Number(runs?.at(-1) ?? Number.NaN);
  return runs?.length === 1 || last === number || last === number - 1 || id.replace(/[^0-9a-z]/gi, "").length < SHORT;
}

export function isOurs(id: string): boolean {
  return id.startsWith(BY_CONTENT) || id.startsWith(UNREADABLE);
}

export function unreadable(number: number): string {
  return `${UNREADABLE}${number}`;
}

export function isUnreadable(id: string): boolean {
  return id.startsWith(UNREADABLE);
}

export function origin(id: string): Origin {
  return { folder: INBOX, generation: GENERATION, id };
}

/** A message called by its content must have that content when it is read for good. */
export function unchanged({ content, bytes }: Retrieved, id: string): Pick<Retrieved, "content" | "bytes"> {
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
