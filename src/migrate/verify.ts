// Verify: every message of one end is in the other, by content key, with the traits that both ends can keep.

import { createHash } from "node:crypto";
import { folderMatcher } from "../core/glob.ts";
import { hash32 } from "../core/hash.ts";
import { configError, MailError } from "../mail/errors.ts";
import { common, difference, type Fidelity, narrow } from "../mail/fidelity.ts";
import { messageIdOf } from "../mail/headers.ts";
import { type ContentKey, KeyHasher } from "../mail/key.ts";
import { type Entry, type Folder, type FolderPath, type Origin, showPath, type Traits } from "../mail/model.ts";
import type { FolderPlan } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { isFiltered, type RunOptions } from "./context.ts";
import { KeyTable, type Row } from "./key-table.ts";
import { type FolderMap, selectFolders, targetPath } from "./plan.ts";

export interface VerifyOptions extends FolderMap {
  /** What the target has beside the source's messages counts as a difference too. */
  readonly bothWays?: boolean;
  /** Compare Message-ID, size (where both ends know it alike), date and flags, and read no bodies: quick, and weaker. */
  readonly quick?: boolean;
  readonly since?: number;
  readonly before?: number;
  readonly maxSize?: number;
  readonly skipDeleted?: boolean;
}

export interface VerifyFinding {
  readonly kind: "missing" | "changed" | "altered" | "extra" | "folder-missing" | "folder-extra" | "unreadable";
  readonly folder: FolderPath;
  readonly origin?: Origin;
  /** One line for a person. */
  readonly what: string;
}

export interface VerifyFolderResult {
  readonly folder: FolderPath;
  readonly name: string;
  readonly matched: number;
  readonly missing: number;
  /** The traits differ, or (altered) the bytes do. */
  readonly changed: number;
  readonly extra: number;
}

export interface VerifySummary {
  readonly folders: readonly VerifyFolderResult[];
  readonly matched: number;
  readonly missing: number;
  readonly changed: number;
  readonly extra: number;
  /** Folders, empty ones too, that the target does not have. */
  readonly foldersMissing: number;
  /** Folders, empty ones too, that the source does not have; they count with `bothWays`. */
  readonly foldersExtra: number;
  readonly equal: boolean;
  readonly seconds: number;
}

/**
 * `describe` tells how the target spells a folder (Sink.describe), where it can be opened as a sink. Folders are compared one
 * after the other, each streamed; memory grows by some fifty bytes a message of the largest folder. Throws MailError when an
 * end cannot be read.
 */
export async function verify(
  source: Source,
  target: Source,
  describe: ((folder: Folder, signal: AbortSignal) => Promise<FolderPlan>) | undefined,
  options: VerifyOptions,
  signal: AbortSignal,
  onFinding: (finding: VerifyFinding) => void,
  onFolder: (result: VerifyFolderResult) => void,
): Promise<VerifySummary> {
  const started = Date.now();
  if (source.identity === target.identity)
    throw configError(
      "both ends are the same place",
      "Name two endpoints, or an archive alone to verify it by itself.",
    );
  const present = new Map<string, Folder>();
  for await (const folder of target.folders(signal)) if (folder.selectable) present.set(pathKey(folder.path), folder);

  // Several source folders may lead to one target folder: they are compared with it together.
  const groups = new Map<string, { name: string; path: FolderPath; folders: Folder[] }>();
  for (const folder of await selectFolders(source, options.select, signal)) {
    if (!folder.selectable) continue;
    const wanted = targetPath(folder.path, options);
    const { name: _, ...rest } = folder;
    const plan = await describe?.({ ...rest, path: wanted }, signal);
    const path = plan?.path ?? wanted;
    const group = groups.get(pathKey(path));
    if (group === undefined) groups.set(pathKey(path), { name: plan?.name ?? showPath(path), path, folders: [folder] });
    else group.folders.push(folder);
  }

  const results: VerifyFolderResult[] = [];
  let foldersMissing = 0;
  const report = (result: VerifyFolderResult): void => {
    results.push(result);
    onFolder(result);
  };
  for (const [key, { name, path, folders }] of groups) {
    const there = present.get(key);
    present.delete(key);
    if (there === undefined) {
      foldersMissing++;
      onFinding({ kind: "folder-missing", folder: path, what: `the target has no folder ${showPath(path)}` });
    }
    for (const result of await compareFolder({ source, target, options, signal, onFinding }, name, folders, there))
      report(result);
  }
  const asked = options.select?.include.length ?? 0;
  let foldersExtra = 0;
  for (const folder of asked > 0 ? [] : present.values()) {
    if (!isConcerned(folder.path, options)) continue;
    foldersExtra++;
    const extra = await countOf(target, folder, signal);
    if (extra === 0 && options.bothWays === true)
      onFinding({ kind: "folder-extra", folder: folder.path, what: "an empty folder that the source does not have" });
    if (extra > 0) {
      onFinding({
        kind: "extra",
        folder: folder.path,
        what: `${extra} messages in a folder that the source does not have`,
      });
      report({ folder: folder.path, name: showPath(folder.path), matched: 0, missing: 0, changed: 0, extra });
    }
  }
  const sum = (pick: (result: VerifyFolderResult) => number): number =>
    results.reduce((total, r) => total + pick(r), 0);
  const missing = sum((r) => r.missing);
  const changed = sum((r) => r.changed);
  const extra = sum((r) => r.extra);
  return {
    folders: results,
    matched: sum((r) => r.matched),
    missing,
    changed,
    extra,
    foldersMissing,
    foldersExtra,
    equal:
      foldersMissing === 0 &&
      missing === 0 &&
      changed === 0 &&
      (options.bothWays !== true || (extra === 0 && foldersExtra === 0)),
    seconds: (Date.now() - started) / 1000,
  };
}

interface Comparison {
  readonly source: Source;
  readonly target: Source;
  readonly options: VerifyOptions;
  readonly signal: AbortSignal;
  readonly onFinding: (finding: VerifyFinding) => void;
}

async function compareFolder(
  comparison: Comparison,
  name: string,
  folders: readonly Folder[],
  there: Folder | undefined,
): Promise<readonly VerifyFolderResult[]> {
  const { source, target, options, signal, onFinding } = comparison;
  const ground = common(source.tells, target.tells);
  const table = new KeyTable();
  // A target message that cannot be read matches nothing; its source shows up as missing.
  if (there !== undefined)
    for await (const { key, traits, id, problem, origin } of messages(target, there, whole(options), signal)) {
      if (key === undefined)
        onFinding({ kind: "unreadable", folder: there.path, origin, what: `in the target: ${problem}` });
      else table.add(key, narrow(traits, ground).kept, id);
    }

  const results: VerifyFolderResult[] = [];
  for (const folder of folders) {
    let matched = 0;
    let changed = 0;
    const absent: { origin: Origin; id: number; date: number | undefined; what: string }[] = [];
    for await (const { key, traits, id, problem, origin } of messages(source, folder, options, signal)) {
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
          what: "in the target with other bytes (same Message-ID and date)",
        });
      } else onFinding({ kind: "missing", folder: folder.path, origin, what });
    }
    results.push({ folder: folder.path, name, matched, changed, missing: absent.length - altered.size, extra: 0 });
  }
  let extra = 0;
  for (const { traits } of table.left()) if (!isOutside(traits, options)) extra++;
  const last = results.pop();
  if (last !== undefined) results.push({ ...last, extra });
  if (extra > 0 && there !== undefined)
    onFinding({ kind: "extra", folder: there.path, what: `${extra} messages that the source does not have` });
  return results;
}

/** Whether a folder of the target that no folder leads to is any of this comparison's business. */
function isConcerned(path: FolderPath, { into, select }: VerifyOptions): boolean {
  if (into !== undefined && !into.every((name, i) => path[i] === name)) return false;
  return select === undefined || !folderMatcher(select.exclude)(path);
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
  if (ground.received && mine !== undefined && mine.epochSeconds !== theirs?.epochSeconds) {
    const show = (seconds: number | undefined): string =>
      seconds === undefined ? "none" : new Date(seconds * 1000).toISOString();
    differs.push(`received ${show(mine.epochSeconds)} at the source, ${show(theirs?.epochSeconds)} in the target`);
  }
  return differs;
}

interface Seen {
  readonly origin: Origin;
  readonly traits: Traits;
  /** Undefined when it could not be read; then `problem` says why. */
  readonly key: ContentKey | undefined;
  /** A hash of the Message-ID, 0 for none; with `quick` the octets with CRLF line ends, 0 where they are not known. */
  readonly id: number;
  readonly problem?: string;
}

/** Header octets looked at for the Message-ID. */
const HEAD = 64 * 1024;

async function* messages(
  source: Source,
  folder: Folder,
  options: VerifyOptions,
  signal: AbortSignal,
): AsyncGenerator<Seen> {
  const filter: RunOptions = { ...options, stateDirectory: "" };
  const quick = options.quick === true;
  const isWanted = (entry: Entry): boolean => !isFiltered(entry, filter, entry.traits.received, entry.size);
  if (quick && source.identify !== undefined) {
    for await (const { entry, messageId } of source.identify(folder, signal))
      if (isWanted(entry)) yield identified(source, entry, messageId);
    signal.throwIfAborted();
    return;
  }
  for await (const slice of source.slices(folder, signal)) {
    for await (const { entry, content } of source.read(slice, { want: isWanted, signal })) {
      const hasher = new KeyHasher();
      let head: Uint8Array = new Uint8Array(0);
      try {
        for await (const chunk of content) {
          if (head.length < HEAD)
            head = head.length === 0 ? chunk.slice(0, HEAD) : Buffer.concat([head, chunk]).subarray(0, HEAD);
          if (quick && (head.length >= HEAD || /\r?\n\r?\n/.test(Buffer.from(head).toString("latin1")))) break;
          hasher.update(chunk);
        }
      } catch (error) {
        if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
        // Deleted while it was being compared: no longer anything that must be there.
        if (error.code === "not-found") continue;
        yield { origin: entry.origin, traits: entry.traits, key: undefined, id: 0, problem: error.message };
        continue;
      }
      const messageId = messageIdOf(head);
      yield quick
        ? identified(source, entry, messageId)
        : { origin: entry.origin, traits: entry.traits, key: hasher.digest().key, id: idHash(messageId) };
    }
    signal.throwIfAborted();
  }
}

/** What a message is known by without its body: its Message-ID, where it has none its date; and beside that its size. */
function identified(source: Source, entry: Entry, messageId: string | undefined): Seen {
  const { origin, traits } = entry;
  const name = messageId ?? `date ${traits.received?.epochSeconds ?? "none"}`;
  const key = createHash("sha256").update(name).digest("hex") as ContentKey;
  return { origin, traits, key, id: (source.wireSize?.(entry) ?? 0) >>> 0 };
}

function idHash(messageId: string | undefined): number {
  return messageId === undefined ? 0 : hash32(messageId, 1);
}

async function countOf(source: Source, folder: Folder, signal: AbortSignal): Promise<number> {
  let count = 0;
  const want = (): boolean => {
    count++;
    return false;
  };
  for await (const slice of source.slices(folder, signal)) for await (const _ of source.read(slice, { want, signal }));
  signal.throwIfAborted();
  return count;
}

function pathKey(path: FolderPath): string {
  return JSON.stringify(path.length === 1 && path[0]?.toUpperCase() === "INBOX" ? ["INBOX"] : path);
}
