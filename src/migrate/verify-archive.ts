// An archive by itself: every message that its ledgers recorded is there, with the bytes that were recorded.

import { join } from "node:path";
import { plural } from "../core/words.ts";
import type { RecordedDates } from "../formats/maildir/dates.ts";
import { MailError } from "../mail/errors.ts";
import { keyOf, wireSize } from "../mail/key.ts";
import { type Entry, showPath } from "../mail/model.ts";
import { MOST_GONE } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { firstWord, list, nameKey, type Recorded, readLedgers } from "./verify-journals.ts";

export interface VerifiedArchive {
  readonly messages: number;
  /** Messages that no ledger records (another program put them there): they are read, and cannot be judged. */
  readonly unrecorded: number;
  /** Messages that their owner deleted, as a run saw and said. */
  readonly deleted: number;
}

/** What the archive's format knows beyond the contract of a source. */
export interface ArchiveKnowledge {
  /** True for the name of a message that we stored: it must have a record. */
  isOurs(id: string): boolean;
  /** Octets with CRLF line ends, where the name tells them: the key does not see a last line end that became a CR. */
  wireSizeOf?(id: string): number | undefined;
  /** How many messages under our names may be in no ledger, by the folder's generation. */
  straysIn?(generation: string): number;
  /** Told what is gone in a way in which its owner may have deleted it, and what no run has seen yet; a problem where nobody asks. */
  onGone?(text: string): void;
  /** Told what a run that was broken off left, in words. */
  onUnfinished?(text: string): void;
  /** The dates under which a message was stored; of ours alone, as those of others are their files' affair. */
  readonly dates?: RecordedDates;
}

/**
 * Reads every message of a Maildir archive and every journal of its ledgers (`home` is the archive's `mailferry/`). Each damaged,
 * missing or unreadable message and each bad journal line is given to `onProblem`, in one line.
 */
export async function verifyArchive(
  source: Source,
  home: string,
  signal: AbortSignal,
  onProblem: (text: string) => void,
  knows: ArchiveKnowledge = { isOurs: () => false },
): Promise<VerifiedArchive> {
  const recorded = await readLedgers(join(home, "ledger"), source.identity, onProblem);
  const traits = new Set(
    (await list(join(home, "traits")))
      // What was set aside has another ending.
      .filter((file) => file.endsWith(".jsonl"))
      .map((file) => file.replace(/\.jsonl$/, "")),
  );
  const left = new Set(traits);
  let messages = 0;
  let unrecorded = 0;
  let deleted = 0;
  for await (const folder of source.folders(signal)) {
    if (!folder.selectable) continue;
    const name = folder.name ?? showPath(folder.path);
    const where = showPath(folder.path);
    const expected = recorded.get(name);
    recorded.delete(name);
    let generation: string | undefined;
    let strays = 0;
    for await (const slice of source.slices(folder, signal))
      for await (const { entry, content } of source.read(slice, { want: () => true, signal })) {
        messages++;
        const { id } = entry.origin;
        generation = entry.origin.generation;
        try {
          const { key, shape } = await keyOf(content);
          const [row] = expected?.table.find(nameKey(id)) ?? [];
          if (row === undefined) {
            if (knows.isOurs(id)) strays++;
            else unrecorded++;
            // The name alone says how many octets it was stored with.
            if ((knows.wireSizeOf?.(id) ?? wireSize(shape)) !== wireSize(shape))
              onProblem(`${where}: ${id} has other bytes than were stored`);
            continue;
          }
          expected?.table.take(row.index);
          const isOther = row.id !== firstWord(key) || (knows.wireSizeOf?.(id) ?? wireSize(shape)) !== wireSize(shape);
          if (isOther) onProblem(`${where}: ${id} has other bytes than were stored`);
          if (knows.isOurs(id)) checkDate(entry, knows.dates, (text) => onProblem(`${where}: ${id} ${text}`));
        } catch (error) {
          if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
          onProblem(`${where}: ${id} cannot be read: ${error.message}`);
        }
      }
    if (generation !== undefined) left.delete(generation);
    if (strays <= (knows.straysIn?.(generation ?? "") ?? 0)) {
      unrecorded += strays;
      strays = 0;
    }
    deleted += checkGone(where, expected, onProblem, knows.onGone?.bind(knows));
    const found = { generation, strays, hasTraits: traits.has(generation ?? "") };
    checkFolder(where, expected, found, onProblem, knows.onUnfinished?.bind(knows));
  }
  // What file names cannot hold (labels, further keywords, odd dates) lies in a file a folder, under the folder's own id.
  for (const id of left)
    onProblem(`${join(home, "traits", id)}.jsonl belongs to no folder: that folder's labels and keywords are not read`);
  for (const [name, { table, removed }] of recorded) {
    const lost = table.size - removed.size;
    deleted += removed.size;
    if (lost > 0) onProblem(`${name}: the folder is gone, and with it ${plural(lost, "message")}`);
  }
  return { messages, unrecorded, deleted };
}

/** Where several sources lead to one copy, it has the date of one of them. */
function checkDate(
  { origin, traits }: Entry,
  dates: RecordedDates | undefined,
  onProblem: (text: string) => void,
): void {
  const recorded = dates?.of(origin.id) ?? [];
  const has = traits.received?.epochSeconds;
  if (recorded.length === 0 || recorded.some(({ received }) => received === undefined || received.epochSeconds === has))
    return;
  onProblem(`has the date ${showDate(has)}, and was stored with ${showDate(recorded.at(-1)?.received?.epochSeconds)}`);
}

function showDate(epochSeconds: number | undefined): string {
  if (epochSeconds === undefined) return "none";
  const date = new Date(epochSeconds * 1000);
  return Number.isNaN(date.getTime()) ? String(epochSeconds) : date.toISOString();
}

/** Returns how many are gone and known to be deleted. */
function checkGone(
  where: string,
  expected: Recorded | undefined,
  onProblem: (text: string) => void,
  onGone: ((text: string) => void) | undefined,
): number {
  if (expected === undefined) return 0;
  const { table, removed, newest } = expected;
  let gone = 0;
  let deleted = 0;
  for (const { index } of table.left())
    if (removed.has(index)) deleted++;
    else gone++;
  if (gone === 0) return deleted;
  const text = `${where}: ${plural(gone, "message")} that ${gone === 1 ? "was stored is" : "were stored are"} no longer there`;
  // As a run would take it: an archive that went back in time lacks its newest, or many.
  const isBack =
    newest.size === 0 ||
    gone >= MOST_GONE * (table.size - removed.size) ||
    [...newest].some((key) => table.find(key).next().done === false);
  if (isBack || onGone === undefined) onProblem(text);
  else onGone(text);
  return deleted;
}

function checkFolder(
  where: string,
  expected: Recorded | undefined,
  found: { readonly generation: string | undefined; readonly strays: number; readonly hasTraits: boolean },
  onProblem: (text: string) => void,
  onUnfinished: ((text: string) => void) | undefined,
): void {
  const { generation, strays, hasTraits } = found;
  // After a run that was killed the next one records what it had stored.
  if (strays > 0 && expected?.closed === false)
    onUnfinished?.(`${where}: ${strays} messages were stored by a run that was broken off; the next one records them`);
  else if (strays > 0)
    onProblem(
      `${where}: ${plural(strays, "message")} that ${strays === 1 ? "was stored is" : "were stored are"} in no ledger: one is missing, or an older one was put back`,
    );
  if (expected === undefined || generation === undefined) return;
  if (expected.generations.size > 0 && !expected.generations.has(generation))
    onProblem(`${where}: the folder's own id is not the one that was recorded`);
  if (expected.labels && !hasTraits) onProblem(`${where}: the file with its labels is missing`);
}
