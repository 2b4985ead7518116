// One folder of the target compared with what leads to it: each message of the source finds its own, once.

import { common, difference, type Fidelity, FULL_FIDELITY, narrow } from "../mail/fidelity.ts";
import type { Entry, Folder, FolderPath, Origin, Traits } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { isFiltered } from "./context.ts";
import { KeyTable, type Row } from "./key-table.ts";
import { messages } from "./verify-read.ts";
import type { VerifyFinding, VerifyFolderResult, VerifyOptions } from "./verify-result.ts";

/** Source folders that lead to one target folder. */
export interface Group {
  readonly name: string;
  readonly path: FolderPath;
  readonly folders: Folder[];
  /** What the target can keep there, where it says. */
  readonly fidelity: Fidelity | undefined;
}

export interface Comparison {
  readonly source: Source;
  readonly target: Source;
  readonly options: VerifyOptions;
  readonly signal: AbortSignal;
  readonly onFinding: (finding: VerifyFinding) => void;
}

/** One target folder with all that lead to it. */
export async function compareFolder(
  comparison: Comparison,
  { name, folders, fidelity = FULL_FIDELITY }: Group,
  there: Folder | undefined,
): Promise<readonly VerifyFolderResult[]> {
  const { source, target, options, signal, onFinding } = comparison;
  const ground = common(common(source.tells, target.tells), fidelity);
  const table = new KeyTable();
  let unread = 0;
  const leftOut = (end: "source" | "target", where: Folder, messages: number): void => {
    const what = `${messages} messages that the ${end} counts and does not list`;
    onFinding({ kind: "unlisted", folder: where.path, what });
  };
  // A target message that cannot be read matches nothing; its source shows up as missing.
  if (there !== undefined)
    for await (const { key, traits, id, problem, origin } of messages(
      target,
      there,
      ground,
      whole(options),
      signal,
      (count) => leftOut("target", there, count),
    )) {
      if (key === undefined) {
        unread++;
        onFinding({ kind: "unreadable", folder: there.path, origin, what: `in the target: ${problem}` });
      } else {
        const { kept } = narrow(traits, ground);
        table.add(key, traits.misdated === true ? { ...kept, misdated: true } : kept, id);
      }
    }

  const results: VerifyFolderResult[] = [];
  for (const folder of folders) {
    let matched = 0;
    let changed = 0;
    let unlisted = 0;
    const left = (count: number): void => {
      unlisted += count;
      leftOut("source", folder, count);
    };
    const absent: { origin: Origin; id: number; date: number | undefined; what: string }[] = [];
    for await (const { key, traits, id, problem, origin } of messages(source, folder, ground, options, signal, left)) {
      const date = traits.received?.epochSeconds;
      if (key === undefined) {
        absent.push({ origin, id: 0, date, what: `cannot be read at the source: ${problem}` });
        continue;
      }
      const wanted = narrow(traits, ground).kept;
      const differences = (row: Row): string[] => [
        ...traitDifferences(row.traits, wanted, ground),
        ...(options.quick === true ? sizeDifference(row.id, id) : []),
      ];
      const row = best(table.find(key), differences);
      if (row === undefined) {
        absent.push({ origin, id: options.quick === true ? 0 : id, date, what: "not in the target" });
        continue;
      }
      table.take(row.index);
      const differs = differences(row);
      if (differs.length === 0) matched++;
      else {
        changed++;
        onFinding({ kind: "changed", folder: folder.path, origin, what: differs.join("; ") });
      }
    }
    const altered = pairAltered(table, absent);
    for (const { origin, what } of absent) {
      if (altered.has(origin)) {
        changed++;
        onFinding({
          kind: "altered",
          folder: folder.path,
          origin,
          what: "in the target with other bytes (same Message-ID, or the same header fields, and date)",
        });
      } else onFinding({ kind: "missing", folder: folder.path, origin, what });
    }
    const missing = absent.length - altered.size;
    const counted = unlisted === 0 ? {} : { unlisted };
    results.push({ folder: folder.path, name, matched, changed, altered: altered.size, missing, extra: 0, ...counted });
  }
  // What cannot be read is nobody's.
  let extra = unread;
  for (const { traits } of table.left()) if (!isOutside(traits, options)) extra++;
  const last = results.pop();
  if (last !== undefined) results.push({ ...last, extra });
  if (extra > 0 && there !== undefined)
    onFinding({ kind: "extra", folder: there.path, what: `${extra} messages that the source does not have` });
  return results;
}

/** The target is read whole: a copy whose date was lost must be found all the same. */
function whole({ quick }: VerifyOptions): VerifyOptions {
  return quick === undefined ? {} : { quick };
}

/** Pairs what is missing with what is left over by Message-ID and date: the same message, rewritten by a server. */
function pairAltered(
  table: KeyTable,
  absent: readonly { origin: Origin; id: number; date: number | undefined }[],
): ReadonlySet<Origin> {
  const altered = new Set<Origin>();
  if (!absent.some(({ id }) => id !== 0)) return altered;
  const left = new Map<string, number[]>();
  for (const { index, id, traits } of table.left()) {
    if (id === 0) continue;
    const key = `${id}/${traits.received?.epochSeconds}`;
    left.set(key, [...(left.get(key) ?? []), index]);
  }
  for (const { origin, id, date } of absent) {
    const row = id === 0 ? undefined : left.get(`${id}/${date}`)?.pop();
    if (row === undefined) continue;
    table.take(row);
    altered.add(origin);
  }
  return altered;
}

/** What the options left out at the source is not extra in the target. */
function isOutside(traits: Traits, options: VerifyOptions): boolean {
  const entry: Entry = { origin: { folder: [], generation: "", id: "" }, traits };
  return isFiltered(entry, { ...options, stateDirectory: "" }, traits.received, undefined);
}

/** Of twins, the one that does not differ. */
function best(rows: Iterable<Row>, differences: (row: Row) => readonly string[]): Row | undefined {
  let first: Row | undefined;
  for (const row of rows) {
    if (differences(row).length === 0) return row;
    first ??= row;
  }
  return first;
}

function sizeDifference(target: number, source: number): string[] {
  if (target === 0 || source === 0 || target === source) return [];
  return [`${source} bytes at the source, ${target} in the target`];
}

function traitDifferences(target: Traits, source: Traits, ground: Fidelity): string[] {
  const differs: string[] = [];
  const change = difference(target, source);
  if (change !== undefined) {
    const list = (side: typeof change.add): string => [...side.flags, ...side.keywords, ...side.labels].join(" ");
    if (list(change.add) !== "") differs.push(`the target lacks ${list(change.add)}`);
    if (list(change.remove) !== "") differs.push(`the target has ${list(change.remove)} beside`);
  }
  const { received: mine } = source;
  const { received: theirs } = target;
  // A date that is none there says nothing.
  const isTold = ground.received && mine !== undefined && target.misdated !== true;
  if (isTold && mine.epochSeconds !== theirs?.epochSeconds) {
    const show = (seconds: number | undefined): string =>
      seconds === undefined ? "none" : new Date(seconds * 1000).toISOString();
    differs.push(`received ${show(mine.epochSeconds)} at the source, ${show(theirs?.epochSeconds)} in the target`);
  }
  return differs;
}
