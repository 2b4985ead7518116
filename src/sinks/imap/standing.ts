// What the ledger knows of a folder, as questions to its server, and the answers as the engine wants them.

import type { Selected } from "../../protocol/imap/connection.ts";
import type { FetchRow } from "../../protocol/imap/fetch.ts";
import { judgeStanding, type KnownCopy, readStanding, takenSince } from "../../protocol/imap/standing.ts";
import { MOST_GONE, type Setback, type Stood, type Witness } from "../sink.ts";

/** The recorded copies that the server can be asked about. */
export function knownCopies(stood: Stood | undefined): readonly (KnownCopy & { readonly witness: Witness })[] {
  return (stood?.newest ?? []).flatMap((witness) => {
    const uid = Number(/^\d+:(\d{1,10})$/.exec(witness.receipt.ref)?.[1]);
    return Number.isInteger(uid) ? [{ ...witness, uid, witness }] : [];
  });
}

/** So much was taken out that a fifth of the copies may be gone. */
export function isThinned({ at, recorded }: Stood, { uidNext, exists }: Pick<Selected, "uidNext" | "exists">): boolean {
  const was = readStanding(at);
  if (was === undefined || uidNext === undefined) return false;
  return exists < (1 - MOST_GONE) * recorded || takenSince(was, { uidNext, exists }) >= MOST_GONE * recorded;
}

export function setbackOf(
  stood: Stood,
  selected: Selected,
  known: ReturnType<typeof knownCopies>,
  rows: readonly FetchRow[] | undefined,
  looks: boolean,
): Setback | undefined {
  const { why, strange } = judgeStanding(
    readStanding(stood.at),
    { uidNext: selected.uidNext, exists: selected.exists },
    known,
    rows,
    looks,
  );
  if (why !== undefined) return { why };
  const thinned = isThinned(stood, selected);
  if (strange.length === 0 && !thinned) return undefined;
  return { strange: known.filter(({ uid }) => strange.includes(uid)).map(({ witness }) => witness), thinned };
}
