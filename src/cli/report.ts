// The report at the end of a run, for a person: the balance, what was lost and what failed, and what to do next.

import { open } from "node:fs/promises";
import { literalGlob } from "../core/glob.ts";
import { HEADER_LIMIT } from "../mail/body.ts";
import type { Loss } from "../mail/fidelity.ts";
import type { LeftOut } from "../mail/left-out.ts";
import { showPath } from "../mail/model.ts";
import { showRaw } from "../mail/mutf7.ts";
import { preview } from "../mail/preview.ts";
import { DISPOSITIONS, type Disposition, type FolderSummary, type RunSummary } from "../migrate/events.ts";
import { leftOutText } from "../migrate/left-out.ts";
import type { Notes, Removal, Trouble } from "./notes.ts";
import { fitted } from "./tables.ts";
import { cut, plain, sentence, shellQuote, table, width } from "./text.ts";
import { plural, showBytes, showCount, showSeconds } from "./values.ts";

/** Columns of text from outside in one line. */
const TEXT_COLUMNS = 100;
/** Folders named in one line. */
export const NAMED_FOLDERS = 4;

const WORDS: Readonly<Record<Disposition, string>> = {
  copied: "copied",
  "already-copied": "already copied",
  adopted: "adopted (found in the target)",
  filtered: "filtered (left out by the options)",
  altered: "altered (the server changed the bytes)",
  failed: "failed",
  vanished: "vanished (gone from the source meanwhile)",
  planned: "planned",
};
/** Shown also when they are none. */
const ALWAYS: readonly Disposition[] = ["copied", "already-copied", "failed"];

/** The balance: what was listed, and what became of it. */
export function renderBalance(summary: RunSummary, isDry: boolean): string[] {
  const { listed, balance, closes, bytes, seconds } = summary;
  const isStopped = summary.outcome === "stopped" && !closes;
  const rows = [[isStopped ? "listed until then" : "listed", showCount(listed), ""]];
  for (const name of DISPOSITIONS) {
    const always = isDry ? name === "planned" : ALWAYS.includes(name);
    if (balance[name] === 0 && !always) continue;
    const rate = name === "copied" && balance.copied > 0 ? `${showBytes(bytes)} in ${showSeconds(seconds)}` : "";
    const words = isDry && name === "adopted" ? "in the target already, by date and size" : WORDS[name];
    rows.push([`  ${words}`, showCount(balance[name]), rate]);
  }
  const settled = DISPOSITIONS.reduce((sum, name) => sum + balance[name], 0);
  if (isStopped && settled < listed) rows.push(["  open", showCount(listed - settled), ""]);
  if (summary.traitsUpdated > 0) rows.push(["flags brought up to date", showCount(summary.traitsUpdated), ""]);
  if (summary.removed > 0) rows.push(["removed from the source, after proof", showCount(summary.removed), ""]);
  if (summary.kept > 0) rows.push(["kept at the source, though it was to go", showCount(summary.kept), ""]);
  const unlisted = summary.folders.reduce((sum, folder) => sum + (folder.unlisted ?? 0), 0);
  const cause =
    unlisted > 0
      ? `the source counts ${plural(unlisted, "message")} that it does not list`
      : "not every folder was read to its end";
  const open = [
    ...(summary.missing ?? []),
    ...(summary.unmatched ?? []),
    ...(summary.leftOut === undefined ? [] : [leftOutText(summary.leftOut)]),
  ];
  const verdict = closes
    ? open.length === 0
      ? "The balance closes."
      : `Not complete: ${sentence(open)}`
    : summary.outcome === "stopped"
      ? stoppedText(summary)
      : settled === listed
        ? `The balance does not close: ${cause}.`
        : `The balance does not close: ${plural(listed - settled, "message")} of ${showCount(listed)} not accounted for.`;
  return ["Balance", ...table(rows, new Set([1])).map((line) => `  ${line}`), `  ${verdict}`];
}

/** Folders of which something is open, named at the end of a stopped run. */
const OPEN_FOLDERS = 20;

function stoppedText({ progress = [], error }: RunSummary): string {
  const done = progress.reduce((sum, one) => sum + one.done, 0);
  const open = progress.filter((one) => one.open !== 0);
  const left = open.reduce((sum, one) => sum + (one.open ?? 0), 0);
  const isKnown = open.every((one) => one.open !== undefined);
  if (open.length === 0) return error === undefined ? "Stopped before its end." : "Ended before its time.";
  const of = isKnown ? ` of ${showCount(done + left)}` : "";
  const still = isKnown ? plural(left, "message") : `${showCount(left)} messages or more`;
  return `Stopped before its end: ${showCount(done)}${of} done, ${still} open in ${plural(open.length, "folder")} of ${showCount(progress.length)}.`;
}

/** What a stopped run has done and left open, a line a folder, in their own order; nothing of one that failed before it did anything. */
export function renderStopped({ progress = [], error }: RunSummary, columns?: number): string[] {
  const open = progress.filter((one) => one.open !== 0);
  if (open.length === 0 || (error !== undefined && progress.every(({ done }) => done === 0))) return [];
  const rows = open.slice(0, OPEN_FOLDERS).map(({ folder, done, open: left }) => ({
    cells: [plain(showPath(folder)), showCount(done), left === undefined ? "?" : showCount(left)],
  }));
  const rest = open.length - OPEN_FOLDERS;
  const lines = setIn([["FOLDER", "DONE", "OPEN"]], rows, columns);
  if (rest > 0) lines.push(`  and ${plural(rest, "more folder")}; --report FILE has them all`);
  return ["Open", ...lines];
}

/** Folders in which there was nothing to do: one line for all of them. */
export function renderIdle(folders: readonly FolderSummary[]): string[] {
  const idle = folders.filter(isIdle);
  if (idle.length === 0) return [];
  const sum = (name: Disposition): number => idle.reduce((total, { balance }) => total + balance[name], 0);
  if (idle.every(({ listed }) => listed === 0))
    return [`Nothing to copy in ${plural(idle.length, "folder")}: ${idle.length === 1 ? "it is" : "they are"} empty.`];
  const parts = [
    ...(sum("already-copied") > 0 ? [`${showCount(sum("already-copied"))} already copied`] : []),
    ...(sum("filtered") > 0 ? [`${showCount(sum("filtered"))} filtered`] : []),
  ];
  return [`Nothing new in ${plural(idle.length, "folder")}: ${parts.join(", ")}.`];
}

/** It came through whole, and nothing was to be done. */
export function isIdle({ balance, closes, error, unlisted = 0 }: FolderSummary): boolean {
  const quiet = balance["already-copied"] + balance.filtered;
  return (
    closes &&
    error === undefined &&
    unlisted === 0 &&
    quiet === DISPOSITIONS.reduce((sum, name) => sum + balance[name], 0)
  );
}

const STAYED: Readonly<Record<keyof Removal["stayed"], string>> = {
  ...WORDS,
  filtered: "left out by the options",
  altered: "altered in the target",
  "too-new": "too new yet",
  "not-proved": "without an equal copy",
  "copy-deleted": "deleted from the archive",
  short: "shorter than their server says",
  "not-confirmed": "not confirmed by the server",
  "not-listed": "no longer listed by the server",
  changed: "another message has its id now; run again",
  "cut-short": "not reached",
  "folder-incomplete": "in a folder that is not complete",
  "over-limit": "more than --max-delete allows",
  declined: "declined",
};

/** What was deleted at the source and what stayed, a line a folder. */
export function renderRemovals(notes: Notes, columns?: number): string[] {
  if (notes.removals.length === 0) return [];
  const rows = notes
    .inOrder(notes.removals, (one) => showPath(one.folder))
    .map(({ folder, removed, stayed }) => {
      const reasons = Object.entries(stayed) as [keyof Removal["stayed"], number][];
      const kept = reasons.reduce((sum, [, count]) => sum + count, 0);
      const why = reasons.map(([reason, count]) => `${showCount(count)} ${STAYED[reason]}`).join(", ");
      return { numbers: [plain(showPath(folder)), showCount(removed), showCount(kept)], why };
    });
  const head = ["FOLDER", "DELETED", "KEPT"];
  const wide = table([[...head, "WHY"], ...rows.map(({ numbers, why }) => [...numbers, why])], new Set([1, 2]));
  const isFitting = columns === undefined || wide.every((line) => width(line) <= columns - SET_IN.length);
  return [
    "Deleted at the source",
    ...(isFitting
      ? wide.map((line) => SET_IN + line)
      : setIn(
          [head],
          rows.map(({ numbers, why }) => ({ cells: numbers, ...(why === "" ? {} : { below: why }) })),
          columns,
        )),
  ];
}

const SET_IN = "  ";

function setIn(...[heads, rows, columns]: Parameters<typeof fitted>): string[] {
  const lines = fitted(heads, rows, columns === undefined ? undefined : columns - SET_IN.length);
  return lines.map((line) => SET_IN + line);
}

/** Folders that were not carried to their end. */
export function renderBroken({ folders }: Pick<RunSummary, "folders">, isStopped = false): string[] {
  // What a stopped run has left open is told by itself.
  const broken = folders.filter(({ closes, error }) => !closes && (error !== undefined || !isStopped));
  if (broken.length === 0) return [];
  const lines = broken.map(({ folder, listed, balance, error }) => {
    const settled = DISPOSITIONS.reduce((sum, name) => sum + balance[name], 0);
    const why = error === undefined ? `${showCount(listed - settled)} of ${plural(listed, "message")} open` : error;
    return `  ${cut(showPath(folder), TEXT_COLUMNS)}: ${plain(why)}`;
  });
  return ["Folders that are not complete", ...lines];
}

/** What looks like mail and was not read; those that share a way out stand together, above it, and those without one at the end. */
export function renderLeftOut(items: readonly LeftOut[], total = items.length): string[] {
  if (items.length === 0) return [];
  const byHint = new Map<string | undefined, string[]>();
  for (const { name, why, hint } of items)
    byHint.set(hint, [...(byHint.get(hint) ?? []), `  ${plain(name)}: ${cut(why, 300)}`]);
  const hintless = byHint.get(undefined) ?? [];
  byHint.delete(undefined);
  const lines = [...byHint].flatMap(([hint = "", named]) => [...named, `    ${plain(hint)}`]);
  lines.push(...hintless);
  if (total > items.length) lines.push(`  and ${showCount(total - items.length)} more; --report FILE has them all`);
  return ["Not read, though it looks like mail", ...lines];
}

/** Folders named in one line of --exclude. */
const EXCLUDED = 20;

/** The words that leave it out for good, of folders from which no mail is read; elsewhere they would leave out that mail too. */
export function renderExclusion(items: readonly LeftOut[], folders: readonly FolderSummary[]): string[] {
  const read = new Set(folders.filter(({ listed }) => listed > 0).map(({ folder }) => showPath(folder)));
  const names = new Set(items.map(({ folder }) => showPath(folder)));
  // What cannot be shown as it is cannot be typed.
  const words = [...names].filter((name) => name !== "" && !read.has(name) && plain(name) === name);
  if (words.length === 0 || words.length > EXCLUDED) return [];
  const which = words.length === names.size ? "this" : "what lies in these folders";
  return [
    `  To leave ${which} out for good: ${words.map((name) => `--exclude ${shellQuote(literalGlob(name))}`).join(" ")}`,
  ];
}

function lossText(loss: Loss): string {
  switch (loss.kind) {
    case "received":
      return loss.absurd === true
        ? "the received date, which can be none as the source gives it (the header's stands in)"
        : "the received date";
    case "folder-name":
      return `the folder name ${cut(showPath(loss.from), TEXT_COLUMNS)} (it is ${cut(showRaw(loss.to), TEXT_COLUMNS)} there)`;
    default:
      return `the ${loss.kind} ${cut(loss.name, TEXT_COLUMNS)}`;
  }
}

/** What the target could not keep, in sum and by folder. */
export function renderLosses(notes: Notes, isDry = false): string[] {
  if (notes.losses.size === 0) return [];
  const lines = [...notes.losses.values()]
    .sort((a, b) => b.messages - a.messages)
    .slice(0, 50)
    .map(({ loss, messages, folders }) => {
      if (loss.kind === "folder-name") return `  ${lossText(loss)}`;
      const most = [...folders].sort((a, b) => b[1] - a[1]);
      const named = most.slice(0, NAMED_FOLDERS).map(([name, count]) => `${cut(name, 40)} ${showCount(count)}`);
      if (most.length > NAMED_FOLDERS) named.push(plural(most.length - NAMED_FOLDERS, "more folder"));
      return `  ${lossText(loss)}: ${plural(messages, "message")} (${named.join(", ")})`;
    });
  const rest = notes.losses.size - lines.length + notes.otherLosses;
  if (rest > 0) lines.push(`  and ${showCount(rest)} more; --report FILE has them all`);
  return [`${isDry ? "Would not be kept" : "Not kept"}, because the target cannot`, ...lines];
}

const HEADINGS: readonly (readonly [Disposition, string])[] = [
  ["failed", "Failed"],
  ["altered", "Altered: stored, but the server changed the bytes; the original is set aside, and stays at the source"],
  ["vanished", "Vanished: deleted at the source while the run went on"],
];

/** The messages that need a look, with enough of their headers to recognise them. */
export async function renderTroubles(notes: Notes, totals: RunSummary["balance"] | undefined): Promise<string[]> {
  const lines: string[] = [];
  for (const [as, heading] of HEADINGS) {
    const some = notes.troublesOf(as);
    if (some.length === 0) continue;
    lines.push(heading);
    for (const trouble of some) lines.push(...(await renderTrouble(trouble)));
    const rest = (totals?.[as] ?? 0) - some.length;
    if (rest > 0) lines.push(`  and ${showCount(rest)} more; --report FILE has them all`);
  }
  return lines;
}

async function renderTrouble(trouble: Trouble): Promise<string[]> {
  const { folder, id, reason, hint, quarantine, bytes } = trouble;
  const size = bytes > 0 ? ` (${showBytes(bytes)})` : "";
  const lines = [`  ${cut(showPath(folder), 60)} ${cut(id, 80)}${size}: ${cut(reason, 300)}`];
  if (hint !== undefined) lines.push(`    ${plain(hint)}`);
  const isNamed = trouble.subject !== undefined || trouble.from !== undefined || trouble.date !== undefined;
  const { from, subject, date } = isNamed || quarantine === undefined ? trouble : await previewFile(quarantine);
  const seen = seenAs({ from, subject, date });
  if (seen.length > 0) lines.push(`    ${seen.join(" | ")}`);
  if (quarantine !== undefined)
    lines.push(`    ${quarantine.endsWith(".txt") ? "the reason is in" : "its bytes are in"} ${plain(quarantine)}`);
  return lines;
}

/** By what a person knows a message. */
export function seenAs({
  from,
  subject,
  date,
}: {
  from?: string | undefined;
  subject?: string | undefined;
  date?: Date | undefined;
}): string[] {
  return [
    from === undefined ? undefined : `From: ${cut(from, 60)}`,
    subject === undefined ? undefined : `Subject: ${cut(subject, 80)}`,
    date === undefined ? undefined : `Date: ${date.toISOString().replace(/\.\d+Z$/, "Z")}`,
  ].filter((part) => part !== undefined);
}

async function previewFile(path: string): ReturnType<typeof preview> {
  if (path.endsWith(".txt")) return {};
  try {
    const file = await open(path, "r");
    try {
      const head = Buffer.alloc(Math.min(HEADER_LIMIT, (await file.stat()).size));
      const { bytesRead } = await file.read(head, 0, head.length, 0);
      return await preview(head.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    // The report says where it should be; a look at it is a courtesy.
    return {};
  }
}
