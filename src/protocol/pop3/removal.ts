// Deleting from a maildrop: only what is still the message that was copied, whatever its UIDL says.

import type { Hold } from "../../core/lock.ts";
import { MailError } from "../../mail/errors.ts";
import { samePath } from "../../mail/model.ts";
import type { Removable, Removal } from "../../mail/removal.ts";
import { keysOf } from "../../mail/server-fields.ts";
import { IdTable, Listing } from "./listing.ts";
import { believed, GENERATION, INBOX, isOurs, isUnreadable, isWeak, type Named, origin } from "./names.ts";
import type { Pop3Session } from "./session.ts";

/** What is to be deleted: ids, and the octets that each was announced with when it was copied. */
export class Asked {
  readonly #ids = new IdTable();
  #announced = new Float64Array(64).fill(Number.NaN);
  /** Some are called by their content: then all such have to be read again. */
  byContent = false;

  get size(): number {
    return this.#ids.size;
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
    return this.#ids.find(id) !== 0;
  }

  /** NaN where nobody knows. */
  announced(id: string): number {
    return this.#announced[this.#ids.find(id)] ?? Number.NaN;
  }

  *ids(): Generator<string> {
    for (let index = 1; index <= this.#ids.size; index++) yield this.#ids.get(index);
  }
}

/**
 * What each message was called before one of them was deleted: where ids are places, or count twins, all behind it are called
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
  static deleting(gone: number, listing: Listing, drop: Named | undefined): Before | undefined {
    const ids: string[] = [];
    const sizes: (number | undefined)[] = [];
    let moves = false;
    for (const number of listing.numbers()) {
      const id = drop?.id(number) ?? believed(listing, number);
      if (id === undefined) return undefined;
      moves ||= isOurs(id) || isWeak(id, number);
      if (number === gone) continue;
      ids.push(id);
      sizes.push(listing.size(number));
    }
    return moves ? new Before(ids, sizes) : undefined;
  }

  /** Whether this is the same maildrop without that one; what is new lies behind. */
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

/** Marks, quits, and gives the ids of what is gone by numbers. Throws what the session throws. */
export async function deleteAsked(
  session: Pop3Session,
  listing: Listing,
  drop: Named | undefined,
  asked: Asked,
  hold: Hold,
  removal: Removal | undefined,
): Promise<Listing> {
  const idOf = (number: number): string | undefined => drop?.id(number) ?? believed(listing, number);
  const isBefore = drop instanceof Before;
  let met = 0;
  const byContent = new Set<string>();
  const doubtful: number[] = [];
  for (const number of listing.numbers()) {
    const id = idOf(number);
    if (id === undefined || isUnreadable(id) || !asked.has(id)) continue;
    met++;
    if (isOurs(id) || isBefore) byContent.add(id);
    // Called by its content, it was read just now.
    if (!isBefore && (isOurs(id) || !isDoubtful(listing, number, id, asked))) listing.choose(number);
    else doubtful.push(number);
  }
  if (removal !== undefined) {
    for await (const number of same(session, listing, doubtful, idOf, removal)) listing.choose(number);
    if (met < asked.size)
      for (const id of asked.ids())
        if (!(isOurs(id) || isBefore ? byContent.has(id) : listing.holds(id))) await removal.absent(origin(id));
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
  idOf: (number: number) => string | undefined,
  removal: Removal,
): AsyncGenerator<number> {
  for await (const { number, content } of session.retrieve(doubtful, (each) => listing.size(each))) {
    const named = origin(idOf(number) ?? "");
    const recorded = await removal.recorded(named);
    try {
      const { key, bare } = await keysOf(content);
      if (recorded !== undefined && (recorded.key === key || recorded.key === bare)) yield number;
      else await removal.changed(named);
    } catch (error) {
      // Refused, it stays as it is.
      if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
    }
  }
}
