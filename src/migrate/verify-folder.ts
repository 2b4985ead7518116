// One folder of the target compared with what leads to it: each message of the source finds its own, once.

import { plural } from "../core/words.ts";
import { common, difference, type Fidelity, FULL_FIDELITY, type Loss, narrow } from "../mail/fidelity.ts";
import { receivedFromHeader } from "../mail/headers.ts";
import type { ContentKey } from "../mail/key.ts";
import type { Folder, FolderPath, Origin, Traits } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { filtersMessages, isFiltered } from "./context.ts";
import { DESCRIBED, knownBy } from "./failures.ts";
import { KeyTable, type Row } from "./key-table.ts";
import type { Told } from "./pair.ts";
import { type Absent, describe, pairAltered, pairRecorded } from "./verify-pairs.ts";
import { messages, type Seen } from "./verify-read.ts";
import type { VerifyFinding, VerifyFolderResult, VerifyOptions } from "./verify-result.ts";

/** How a difference of dates begins. */
const DATE = "received ";

/** What earlier runs over this pair wrote down. */
export interface Past {
  /** Tells the sink what these paths were called. */
  recall(paths: readonly FolderPath[]): Promise<void>;
  /** `name` as for Ledger.folder. */
  told(name: string, origin: Origin): Promise<Told>;
}

/** Source folders that lead to one target folder. */
export interface Group {
  readonly name: string;
  readonly path: FolderPath;
  /** Each with the name under which the ledger has it. */
  readonly folders: { readonly folder: Folder; readonly recorded: string }[];
  /** What the target can keep there, where it says. */
  readonly fidelity: Fidelity | undefined;
}

export interface Comparison {
  readonly source: Source;
  readonly target: Source;
  readonly options: VerifyOptions;
  readonly signal: AbortSignal;
  readonly onFinding: (finding: VerifyFinding) => void;
  readonly past: Pick<Past, "told"> | undefined;
}

/** One target folder with all that lead to it. */
export async function compareFolder(
  comparison: Comparison,
  { name, folders, fidelity = FULL_FIDELITY }: Group,
  there: Folder | undefined,
): Promise<readonly VerifyFolderResult[]> {
  const { source, target, options, signal, onFinding, past } = comparison;
  const ground = common(common(source.tells, target.tells), fidelity);
  const table = new KeyTable();
  let strays = 0;
  const leftOut = (end: "source" | "target", where: Folder, messages: number): void => {
    const what = `${plural(messages, "message")} that the ${end} counts and does not list`;
    onFinding({ kind: "unlisted", folder: where.path, what });
  };
  // A target message that cannot be read matches nothing; its source shows up as missing.
  if (there !== undefined)
    for await (const seen of messages(target, there, ground, whole(options), signal, (count) =>
      leftOut("target", there, count),
    )) {
      const { key, traits, id, problem, origin } = seen;
      if (key === undefined) {
        strays++;
        onFinding({ kind: "unreadable", folder: there.path, origin, what: `in the target: ${problem}` });
      } else {
        const { kept } = narrow(traits, ground);
        table.add(
          key,
          traits.misdated === true ? { ...kept, misdated: true } : kept,
          id,
          isOutside(seen, source, options),
        );
      }
    }

  const differencesOf = (row: Row, wanted: Traits, id: number): string[] => [
    ...traitDifferences(row.traits, wanted, ground),
    ...(options.quick === true ? sizeDifference(row.id, id) : []),
  ];
  const results: VerifyFolderResult[] = [];
  for (const { folder, recorded } of folders) {
    let matched = 0;
    let knownLosses = 0;
    let changed = 0;
    let misdated = 0;
    let unread = 0;
    let unlisted = 0;
    const left = (count: number): void => {
      unlisted += count;
      leftOut("source", folder, count);
    };
    const settle = (origin: Origin, row: Row, differs: readonly string[]): void => {
      table.take(row.index);
      if (differs.length === 0) matched++;
      else {
        changed++;
        if (differs.every((one) => one.startsWith(DATE))) misdated++;
        onFinding({ kind: "changed", folder: folder.path, origin, what: differs.join("; ") });
      }
    };
    const lossy: (Pick<Seen, "origin" | "id"> & Lossy)[] = [];
    const absent: Absent[] = [];
    for await (const seen of messages(source, folder, ground, options, signal, left)) {
      const { key, traits, id, problem, origin, isNamed = true, head } = seen;
      const date = traits.received?.epochSeconds;
      const lacking = async (): Promise<Absent> => {
        const known = head === undefined || absent.length >= DESCRIBED ? {} : await knownBy(head);
        return { origin, id: options.quick === true ? 0 : id, isNamed, date, what: "not in the target", known };
      };
      if (key === undefined) {
        unread++;
        absent.push({
          origin,
          id: 0,
          isNamed: true,
          date,
          what: `cannot be read at the source: ${problem}`,
          known: {},
        });
        continue;
      }
      const wanted = narrow(traits, ground).kept;
      const differences = (row: Row): string[] => differencesOf(row, wanted, id);
      const row = best(table.find(key), differences);
      if (row === undefined) {
        absent.push(await lacking());
        continue;
      }
      const differs = differences(row);
      const losses = differs.length === 0 ? undefined : (await past?.told(recorded, origin))?.losses;
      // When all others have theirs: the row that is met first may be a twin's.
      if (losses !== undefined && losses.length > 0) lossy.push({ origin, key, id, date, wanted, losses });
      else settle(origin, row, differs);
    }
    for (const { origin, key, id, date, wanted, losses } of lossy) {
      const differences = (row: Row): string[] => differencesOf(row, withoutLosses(wanted, losses, row.traits), id);
      const row = best(table.find(key), differences);
      if (row === undefined) {
        absent.push({
          origin,
          id: options.quick === true ? 0 : id,
          isNamed: true,
          date,
          what: "not in the target",
          known: {},
        });
        continue;
      }
      const others = differences(row);
      if (others.length === 0 && differencesOf(row, wanted, id).length > 0) {
        knownLosses++;
        const what = `known since it was copied: ${differencesOf(row, wanted, id).join("; ")}`;
        onFinding({ kind: "known-loss", folder: folder.path, origin, what });
      }
      settle(origin, row, others);
    }
    const altered = pairAltered(table, absent);
    if (past !== undefined)
      await pairRecorded(table, absent, altered, async (origin) => await past.told(recorded, origin));
    await describe(source, absent, altered, signal);
    for (const { origin, what, known } of absent) {
      if (altered.has(origin)) {
        changed++;
        onFinding({
          kind: "altered",
          folder: folder.path,
          origin,
          what: "in the target with other bytes (same Message-ID, or the same header fields, and date)",
          ...known,
        });
      } else onFinding({ kind: "missing", folder: folder.path, origin, what, ...known });
    }
    const missing = absent.length - altered.size;
    const counted = {
      ...(misdated === 0 ? {} : { misdated }),
      ...(unread === 0 ? {} : { unread }),
      ...(unlisted === 0 ? {} : { unlisted }),
      ...(knownLosses === 0 ? {} : { knownLosses }),
    };
    results.push({ folder: folder.path, name, matched, changed, altered: altered.size, missing, extra: 0, ...counted });
  }
  // What cannot be read is nobody's.
  let extra = strays;
  for (const row of table.left()) if (!row.isOutside) extra++;
  const last = results.pop();
  if (last !== undefined) results.push({ ...last, extra });
  if (extra > 0 && there !== undefined)
    onFinding({ kind: "extra", folder: there.path, what: `${plural(extra, "message")} that the source does not have` });
  return results;
}

/** A message that differs from its copy, by what its record tells perhaps. */
interface Lossy {
  readonly key: ContentKey;
  readonly date: number | undefined;
  readonly wanted: Traits;
  readonly losses: readonly Loss[];
}

/** What is wanted of a copy of which it is known what its target did not take. */
function withoutLosses(wanted: Traits, losses: readonly Loss[], has: Traits): Traits {
  const lost = new Set(losses.map((loss) => ("name" in loss ? `${loss.kind} ${loss.name}` : loss.kind)));
  const left = <T extends string>(kind: Loss["kind"], all: ReadonlySet<T>, there: ReadonlySet<string>): Set<T> =>
    new Set([...all].filter((name) => there.has(name) || !lost.has(`${kind} ${name}`)));
  const { received, ...rest } = wanted;
  return {
    ...rest,
    flags: left("flag", wanted.flags, has.flags),
    keywords: left("keyword", wanted.keywords, has.keywords),
    labels: left("label", wanted.labels, has.labels),
    ...(received === undefined || lost.has("received") ? {} : { received }),
  };
}

/** The target is read whole: a copy whose date was lost must be found all the same. */
function whole({ quick }: VerifyOptions): VerifyOptions {
  return quick === undefined ? {} : { quick };
}

/**
 * What the options left out at the source is not extra in the target. Judged as a run does: by the header's date where the source
 * tells none.
 */
function isOutside({ origin, traits, head, size }: Seen, source: Source, options: VerifyOptions): boolean {
  if (!filtersMessages({ ...options, stateDirectory: "" })) return false;
  const byHeader = source.tells.received || head === undefined ? undefined : receivedFromHeader(head);
  return isFiltered({ origin, traits }, { ...options, stateDirectory: "" }, byHeader ?? traits.received, size);
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
    differs.push(`${DATE}${show(mine.epochSeconds)} at the source, ${show(theirs?.epochSeconds)} in the target`);
  }
  return differs;
}
