// What a comparison found without an equal: paired with what is left over in the target, where a server altered it, and described for
// a person.

import type { Origin } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { DESCRIBED, type KnownBy, knownBy } from "./failures.ts";
import type { KeyTable } from "./key-table.ts";
import type { Told } from "./pair.ts";

/** A message of the source that has no equal in the target. */
export interface Absent {
  readonly origin: Origin;
  /** As in Seen; 0 where it cannot be told by it. */
  readonly id: number;
  readonly isNamed: boolean;
  readonly date: number | undefined;
  readonly what: string;
  known: KnownBy;
}

/** What is missing and was not read is described by the source, the first ones of it. */
export async function describe(
  source: Source,
  absent: readonly Absent[],
  altered: ReadonlySet<Origin>,
  signal: AbortSignal,
): Promise<void> {
  const unknown = absent.filter(
    ({ origin, known, what }) =>
      what === "not in the target" && !altered.has(origin) && Object.keys(known).length === 0,
  );
  const some = unknown.slice(0, DESCRIBED);
  if (some.length === 0 || absent.length - unknown.length >= DESCRIBED || source.describe === undefined) return;
  try {
    for await (const { origin, head } of source.describe(
      some.map((one) => one.origin),
      signal,
    )) {
      const one = some.find((each) => each.origin.id === origin.id);
      if (one !== undefined) one.known = await knownBy(head);
    }
  } catch {
    // Nothing depends on it.
    signal.throwIfAborted();
  }
}

/** Pairs what is missing with what is left over by Message-ID and date: the same message, rewritten by a server. */
export function pairAltered(table: KeyTable, absent: readonly Absent[]): Set<Origin> {
  const altered = new Set<Origin>();
  if (!absent.some(({ id }) => id !== 0)) return altered;
  const left = new Map<string, number[]>();
  const dates = new Map<number | undefined, number[]>();
  const add = <K>(map: Map<K, number[]>, key: K, index: number): void => {
    const all = map.get(key);
    if (all === undefined) map.set(key, [index]);
    else all.push(index);
  };
  for (const { index, id, traits } of table.left()) {
    const date = traits.received?.epochSeconds;
    if (id !== 0) add(left, `${id}/${date}`, index);
    add(dates, date, index);
  }
  const taken = new Set<number>();
  const pair = (origin: Origin, row: number | undefined): void => {
    if (row === undefined || taken.has(row)) return;
    taken.add(row);
    table.take(row);
    altered.add(origin);
  };
  for (const { origin, id, date } of absent) if (id !== 0) pair(origin, left.get(`${id}/${date}`)?.pop());
  // To one without a Message-ID its server may have given one: of its second there is one message missing, and one left over.
  const nameless = absent.filter(
    ({ origin, id, isNamed, date }) => id !== 0 && !isNamed && date !== undefined && !altered.has(origin),
  );
  for (const { origin, date } of nameless) {
    const rows = dates.get(date)?.filter((row) => !taken.has(row)) ?? [];
    const rivals = absent.filter((one) => one.date === date && !altered.has(one.origin));
    if (rows.length === 1 && rivals.length === 1) pair(origin, rows[0]);
  }
  return altered;
}

/** Pairs what was told to be altered when it was copied by its date alone: the server may have given it another Message-ID. */
export async function pairRecorded(
  table: KeyTable,
  absent: readonly Absent[],
  altered: Set<Origin>,
  told: (origin: Origin) => Promise<Told>,
): Promise<void> {
  const rows = new Map<number, number[]>();
  for (const { index, traits } of table.left()) {
    const date = traits.received?.epochSeconds;
    if (date === undefined) continue;
    const all = rows.get(date);
    if (all === undefined) rows.set(date, [index]);
    else all.push(index);
  }
  for (const { origin, date } of absent) {
    if (date === undefined || altered.has(origin)) continue;
    const row = rows.get(date)?.at(-1);
    if (row === undefined || !(await told(origin)).isAltered) continue;
    rows.get(date)?.pop();
    table.take(row);
    altered.add(origin);
  }
}
