// Deleting from a maildrop, in as many sessions as its server's limits make of it: each deletes what it was let look at.

import type { Hold } from "../../core/lock.ts";
import { MailError } from "../../mail/errors.ts";
import type { Origin } from "../../mail/model.ts";
import type { Removable, Removal } from "../../mail/removal.ts";
import type { Listing } from "./listing.ts";
import { type Named, origin } from "./names.ts";
import { Asked, Before, deleteAsked, type Look } from "./removal.ts";
import type { Pop3Session } from "./session.ts";

/** Sessions that end without a deletion, after which the next one is for the engine to begin, when it thinks fit. */
const MOST_CUTS = 3;

export interface Sessions {
  start(until: AbortSignal): Promise<{ readonly session: Pop3Session; readonly seen: Listing }>;
  end(session: Pop3Session): void;
  identify(session: Pop3Session, listing: Listing): Promise<Named>;
}

/** Gives what Source.remove is to be. */
export function remover({
  start,
  end,
  identify,
}: Sessions): (
  origins: AsyncIterable<Removable>,
  until: AbortSignal,
  hold?: Hold,
  removal?: Removal,
) => AsyncGenerator<Origin> {
  /** Since some were deleted, and others are to follow. */
  let before: Before | undefined;
  const bunch = new Bunch();

  return remove;

  async function* remove(
    origins: AsyncIterable<Removable>,
    until: AbortSignal,
    hold: Hold = () => undefined,
    removal?: Removal,
  ): AsyncGenerator<Origin> {
    // All of them first: the sessions that delete shall be short.
    const asked = new Asked();
    for await (const one of origins) asked.add(one);
    const isAlone = asked.size === 1;
    for (let cuts = 0; asked.size > 0 && removal?.stop?.aborted !== true; ) {
      const due = asked.size;
      const look: Look = { most: bunch.most, doubtful: 0, done: 0 };
      const { session, seen: listing } = await start(until);
      const known = before?.fits(listing) === true ? before : undefined;
      before = undefined;
      try {
        const gone = await closedOnAbort(session, until, async () => {
          // Without content keys in question nothing need be read again.
          const drop = known ?? (asked.byContent ? await identify(session, listing) : undefined);
          const deleted = await deleteAsked(session, listing, drop, asked, hold, removal, look);
          if (deleted.count > 0 && (isAlone || look.done < look.doubtful))
            before = Before.deleting(deleted.numbers(), listing, drop);
          return deleted;
        });
        if (gone.count === 0) before = known;
        for (const number of gone.numbers()) {
          const id = gone.uniqueId(number);
          if (id === undefined) continue;
          asked.settle(id);
          yield origin(id);
        }
        cuts = 0;
        bunch.passed();
        // The next session may be given others.
        if (look.done >= look.doubtful || asked.size === due) return;
      } catch (error) {
        const isUnknown = error instanceof MailError && error.details.outcome === "unknown";
        // Nothing is gone, and nothing has moved.
        if (!isUnknown) before = known;
        const isCut = error instanceof MailError && error.code === "connection" && !isUnknown;
        if (until.aborted || !isCut || look.done === 0) throw error;
        bunch.cut(look.done);
        if (++cuts >= MOST_CUTS) throw error;
      } finally {
        end(session);
      }
    }
  }
}

/** How many are looked at before they are deleted: as many as the server gives before it ends the connection. */
class Bunch {
  most = Number.POSITIVE_INFINITY;
  #last = 0;
  /** It ended twice at the same place: that is the server's doing, and not the line's. */
  #isSure = false;

  cut(done: number): void {
    this.#isSure = done === this.#last;
    this.#last = done;
    this.most = done < this.most ? done : Math.max(1, Math.floor(done / 2));
  }

  passed(): void {
    if (!this.#isSure) this.most *= 2;
  }
}

/** Runs a piece of a session's work; an abort cuts its connection. Before anything may have happened, the reason is thrown. */
export async function closedOnAbort<T>(session: Pop3Session, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
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
