// Messages that were listed and for which FETCH gives nothing: whether they are gone is for the server to say.

import { MailError } from "../../mail/errors.ts";
import type { Fetched } from "./bodies.ts";
import type { Connection } from "./connection.ts";
import { accountRefusal } from "./errors.ts";
import { valueNumber } from "./parse.ts";
import { uidSet } from "./syntax.ts";

/** Holds back those of one pass that did not come at all, until it is known what became of them. */
export class Absent {
  readonly #held: Fetched[] = [];

  /** Gives the others. */
  keepBack(all: readonly Fetched[]): readonly Fetched[] {
    const isAbsent = (one: Fetched): boolean => "error" in one && one.error.code === "not-found";
    if (!all.some(isAbsent)) return all;
    this.#held.push(...all.filter(isAbsent));
    return all.filter((one) => !isAbsent(one));
  }

  /** As not-found where SEARCH in the open folder no longer finds them, else as malformed. */
  async judged(connection: Connection): Promise<readonly Fetched[]> {
    if (this.#held.length === 0) return [];
    const there = await stillThere(
      connection,
      this.#held.map(({ uid }) => uid),
    );
    return this.#held.map((one) =>
      there.has(one.uid) ? { uid: one.uid, row: undefined, error: withheld(one.uid) } : one,
    );
  }
}

/** Where SEARCH is refused nobody says that they are gone. */
async function stillThere(connection: Connection, uids: readonly number[]): Promise<ReadonlySet<number>> {
  const there = new Set<number>();
  const sorted = [...uids].sort((a, b) => a - b);
  for (let at = 0; at < sorted.length; ) {
    const { set, next } = uidSet(sorted, at, sorted.length - at);
    // Servers may keep to themselves what another session deleted until they are asked for news (RFC 9051 7.5.1).
    const news = connection.run("NOOP");
    news.catch(() => undefined);
    const answer = await connection.run(`UID SEARCH UID ${set}`, {
      data({ name, values }) {
        if (name !== "SEARCH") return false;
        for (const value of values) there.add(valueNumber(value) ?? 0);
        return true;
      },
    });
    const refusal = answer.status === "OK" ? undefined : accountRefusal(answer);
    if (refusal !== undefined) throw refusal;
    if (answer.status !== "OK") for (const uid of sorted.slice(at, next)) there.add(uid);
    at = next;
  }
  return there;
}

function withheld(uid: number): MailError {
  return new MailError("malformed", `the server counts message ${uid} and gives nothing for it`, {
    scope: "message",
    remedy: "give-up",
  });
}
