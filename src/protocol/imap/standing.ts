// Whether a folder is still the one that was written, by what it says anyway (UIDNEXT, EXISTS) and by a few rows.

import type { Connection } from "./connection.ts";
import { type FetchRow, fetchAll } from "./fetch.ts";

/** Where a folder stood. */
export interface Standing {
  readonly uidNext: number;
  readonly exists: number;
  /** Messages that were taken out of it since its copies were last counted; others' are among them. */
  readonly taken: number;
}

export function showStanding({ uidNext, exists, taken }: Standing): string {
  return `${uidNext}/${exists}/${taken}`;
}

export function readStanding(text: string | undefined): Standing | undefined {
  const match = /^(\d{1,10})\/(\d{1,10})\/(\d{1,10})$/.exec(text ?? "");
  return match === null ? undefined : { uidNext: Number(match[1]), exists: Number(match[2]), taken: Number(match[3]) };
}

/** How many messages were taken out meanwhile, at the most: UIDs are given to failed appends as well. */
export function takenSince(was: Standing, { uidNext, exists }: { uidNext: number; exists: number }): number {
  return was.taken + Math.max(0, was.exists + Math.max(0, uidNext - was.uidNext) - exists);
}

/** A copy as it was recorded. */
export interface KnownCopy {
  readonly uid: number;
  readonly size: number;
  /** Epoch seconds. */
  readonly received?: number;
}

/** The rows of these messages, as far as they are there; undefined where the server would not say. To be sent behind a SELECT. */
export async function rowsOf(
  connection: Connection,
  uids: readonly number[],
): Promise<readonly FetchRow[] | undefined> {
  if (uids.length === 0) return [];
  const { rows, answer } = await fetchAll(connection, `UID FETCH ${uids.join(",")} (UID RFC822.SIZE INTERNALDATE)`);
  return answer.status === "OK" ? rows.filter(({ uid, size }) => uid !== undefined && size !== undefined) : undefined;
}

/**
 * What speaks against the folder's being as it was left. UIDs only grow (RFC 9051 2.3.1.1), so one that is to be given again means that
 * the folder went back; and where other mail has a UID of ours, it went back and has grown since. `looks`: where it moved, the
 * bytes of one copy may be asked for although nothing else speaks against it.
 */
export function judgeStanding(
  was: Standing | undefined,
  now: { readonly uidNext: number | undefined; readonly exists: number },
  known: readonly KnownCopy[],
  rows: readonly FetchRow[] | undefined,
  looks = false,
): { readonly why?: string; readonly strange: readonly number[] } {
  const next = Math.max(was?.uidNext ?? 0, ...known.map(({ uid }) => uid + 1));
  if (now.uidNext !== undefined && now.uidNext < next)
    return { why: `its next UID is ${now.uidNext}, and was ${next} before`, strange: [] };
  if (rows === undefined || known.length === 0) return { strange: [] };
  const byUid = new Map(rows.map((row) => [row.uid, row]));
  const there = known.filter(({ uid }) => byUid.has(uid));
  if (there.length === 0) return { why: "none of its newest copies is there any more", strange: [] };
  const highest = Math.max(...there.map(({ uid }) => uid));
  const isMoved = now.uidNext !== was?.uidNext || now.exists !== was?.exists;
  const strange = there.filter(({ uid, size, received }) => {
    const row = byUid.get(uid);
    const isDated = received !== undefined && row?.received?.epochSeconds === received;
    // A store that alters messages changes their size, and some servers the date: neither alone says anything.
    if (row?.size !== size) return !isDated;
    // Of the same size other mail is as well; what was lost was the newest, so the highest UID is enough to tell.
    return uid === highest && (!isDated || (isMoved && looks));
  });
  return { strange: strange.map(({ uid }) => uid) };
}
