// Deleting from a maildrop: only what is still the message that was copied, whatever its UIDL says.

import type { Hold } from "../../core/lock.ts";
import { samePath } from "../../mail/model.ts";
import type { Removable, Removal } from "../../mail/removal.ts";
import { keysOf } from "../../mail/server-fields.ts";
import { enough } from "./giving.ts";
import { IdTable, Listing } from "./listing.ts";
import { believed, GENERATION, INBOX, isOurs, isUnreadable, isWeak, type Named, origin } from "./names.ts";
import type { Pop3Session } from "./session.ts";

/** How far one session came with what has to be read before it may go. */
export interface Look {
  /** So many are asked for at the most: the server gives no more before it ends the connection. */
  readonly most: number;
  doubtful: number;
  done: number;
}

/** In place of the octets of what is settled. */
const SETTLED = -1;

/** What is to be deleted: ids, and the octets that each was announced with when it was copied. */
export class Asked {
  readonly #ids = new IdTable();
  #announced = new Float64Array(64).fill(Number.NaN);
  /** Some are called by their content: then all such have to be read again. */
  byContent = false;
  #settled = 0;
  /** What the server refused is asked for after all else: by then it may have given as much as it gives. */
  readonly #refused = new Set<string>();

  get size(): number {
    return this.#ids.size - this.#settled;
  }

  add({ folder, generation, id, announced }: Removable): void {
    if (generation !== GENERATION || !samePath(folder, INBOX) || /[^\x00-\xff]/.test(id)) return;
    const index = this.#ids.add(id);
    if (index >= this.#announced.length) {
      const more = new Float64Array(2 * index).fill(Number.NaN);
      more.set(this.#announced);
      this.#announced = more;
    }
    this.#announced[index] = announced ?? Number.NaN;
    this.byContent ||= isOurs(id);
  }

  has(id: string): boolean {
    const index = this.#ids.find(id);
    return index !== 0 && this.#announced[index] !== SETTLED;
  }

  /** It is gone, or was told to stay: a later session has nothing to do with it. */
  settle(id: string): void {
    if (!this.has(id)) return;
    this.#announced[this.#ids.find(id)] = SETTLED;
    this.#settled++;
  }

  refuse(id: string): void {
    this.#refused.add(id);
  }

  wasRefused(id: string): boolean {
    return this.#refused.has(id);
  }

  /** NaN where nobody knows. */
  announced(id: string): number {
    return this.#announced[this.#ids.find(id)] ?? Number.NaN;
  }

  *ids(): Generator<string> {
    for (let index = 1; index <= this.#ids.size; index++)
      if (this.#announced[index] !== SETTLED) yield this.#ids.get(index);
  }
}

/**
 * What each message was called before some of them were deleted: where ids are places, or count twins, all behind it are called
 * otherwise in the next session.
 */
export class Before implements Named {
  readonly #ids: readonly string[];
  readonly #sizes: readonly (number | undefined)[];

  private constructor(ids: readonly string[], sizes: readonly (number | undefined)[]) {
    this.#ids = ids;
    this.#sizes = sizes;
  }

  /** Undefined where the ids stay what they are, or not all are known. */
  static deleting(gone: Iterable<number>, listing: Listing, drop: Named | undefined): Before | undefined {
    const ids: string[] = [];
    const sizes: (number | undefined)[] = [];
    const isGone = new Set(gone);
    // What has moved moves on, whatever its old id looks like.
    let moves = drop instanceof Before;
    for (const number of listing.numbers()) {
      const id = drop?.id(number) ?? believed(listing, number);
      if (id === undefined) return undefined;
      moves ||= isOurs(id) || isWeak(id, number);
      if (isGone.has(number)) continue;
      ids.push(id);
      sizes.push(listing.size(number));
    }
    return moves ? new Before(ids, sizes) : undefined;
  }

  /** Whether this is the same maildrop without those; what is new lies behind. */
  fits(listing: Listing): boolean {
    const numbers = [...listing.numbers()];
    return (
      numbers.length >= this.#ids.length && this.#sizes.every((size, at) => listing.size(numbers[at] ?? 0) === size)
    );
  }

  /** Of those that are new none is asked for. */
  id(number: number): string {
    return this.#ids[number - 1] ?? "";
  }
}

/**
 * Marks, quits, and gives the ids of what is gone by numbers. Throws what the session throws. What has to be read before it may go,
 * and was not given by this session, is left for another one.
 */
export async function deleteAsked(
  session: Pop3Session,
  listing: Listing,
  drop: Named | undefined,
  asked: Asked,
  hold: Hold,
  removal: Removal | undefined,
  look: Look,
): Promise<Listing> {
  const idOf = (number: number): string | undefined => drop?.id(number) ?? believed(listing, number);
  const isBefore = drop instanceof Before;
  let met = 0;
  const byContent = new Set<string>();
  const doubtful: number[] = [];
  const refused: number[] = [];
  for (const number of listing.numbers()) {
    const id = idOf(number);
    if (id === undefined || isUnreadable(id) || !asked.has(id)) continue;
    met++;
    if (isOurs(id) || isBefore) byContent.add(id);
    // Called by its content, it was read just now.
    if (!isBefore && (isOurs(id) || !isDoubtful(listing, number, id, asked))) listing.choose(number);
    else (asked.wasRefused(id) ? refused : doubtful).push(number);
  }
  doubtful.push(...refused);
  if (removal !== undefined) {
    const isMissing = met < asked.size;
    for await (const number of same(session, listing, doubtful, { idOf, asked, removal, look })) listing.choose(number);
    if (isMissing)
      for (const id of asked.ids())
        if (!(isOurs(id) || isBefore ? byContent.has(id) : listing.holds(id))) {
          asked.settle(id);
          await removal.absent(origin(id));
        }
  } else for (const number of doubtful) listing.choose(number);
  const marked = new Listing();
  for await (const number of session.delete(listing.chosen())) marked.addId(number, idOf(number));
  // Until here nothing is gone (RFC 1939 6).
  hold(true);
  await session.quit();
  return marked;
}

function isDoubtful(listing: Listing, number: number, id: string, asked: Asked): boolean {
  return isWeak(id, number) || listing.size(number) !== asked.announced(id);
}

/** Those that are what was copied, as their bytes say; the others are told. */
async function* same(
  session: Pop3Session,
  listing: Listing,
  doubtful: readonly number[],
  {
    idOf,
    asked,
    removal,
    look,
  }: {
    readonly idOf: (number: number) => string | undefined;
    readonly asked: Asked;
    readonly removal: Removal;
    readonly look: Look;
  },
): AsyncGenerator<number> {
  look.doubtful = doubtful.length;
  /** Refused since the last one that was given. */
  let row = 0;
  let isShut = false;
  function* numbers(): Generator<number> {
    for (const number of doubtful.slice(0, look.most)) {
      if (isShut) return;
      yield number;
    }
  }
  for await (const { number, content, refused } of session.retrieve(numbers(), (each) => listing.size(each))) {
    const named = origin(idOf(number) ?? "");
    if (refused !== undefined) {
      // It stays as it is.
      asked.refuse(named.id);
      isShut = ++row >= enough(refused) && look.done > 0;
      continue;
    }
    row = 0;
    const recorded = await removal.recorded(named);
    const { key, bare } = await keysOf(content);
    look.done++;
    if (recorded !== undefined && (recorded.key === key || recorded.key === bare)) yield number;
    else {
      asked.settle(named.id);
      await removal.changed(named);
    }
  }
}
