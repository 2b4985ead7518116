// What a dry run tells: folder to folder, what would be copied, and what would be deleted at the source.

import { showRaw } from "../mail/mutf7.ts";
import { readsAs } from "./names.ts";
import type { Notes } from "./notes.ts";
import { NAMED_FOLDERS } from "./report.ts";
import { fitted } from "./tables.ts";
import { cut, plain, table } from "./text.ts";
import { plural, showBytes, showCount } from "./values.ts";

const HEADS = ["TO COPY", "BYTES", "THERE ALREADY", "LEFT OUT", "LOSSES", "TO DELETE"];
/** Where those do not fit. */
const SHORT_HEADS = ["COPY", "BYTES", "THERE", "OUT", "LOSSES", "DELETE"];

/**
 * The plan of a dry run. `removes`: it would delete at the source. On a pipe each folder with its name in the target, and nothing cut;
 * on a terminal of so many columns a name in the target has a line of its own, where it reads otherwise.
 */
export function renderPlan(notes: Notes, removes = false, columns?: number): string[] {
  const lines = notes.inOrder([...notes.plan.values()], (line) => line.folder);
  const rows = lines.map(({ folder, name, messages, bytes, there, out, due, losses }) => ({
    folder: plain(folder),
    target: plain(showRaw(name)),
    isSame: readsAs(name, folder),
    numbers: [
      showCount(messages),
      showBytes(bytes),
      showCount(there),
      showCount(out),
      losses === 0 ? "-" : showCount(losses),
      ...(removes ? [showCount(due)] : []),
    ],
  }));
  const headed = (heads: readonly string[]): string[] => heads.slice(0, removes ? heads.length : -1);
  if (columns === undefined)
    return table(
      [
        ["FOLDER", "", "IN THE TARGET", ...headed(HEADS)],
        ...rows.map(({ folder, target, numbers }) => [folder, "→", target, ...numbers]),
      ],
      new Set([3, 4, 5, 6, 7, 8]),
    );
  return fitted(
    [HEADS, SHORT_HEADS].map((heads) => ["FOLDER", ...headed(heads)]),
    rows.map(({ folder, target, isSame, numbers }) => ({
      cells: [folder, ...numbers],
      ...(isSame ? {} : { below: `→ ${target}` }),
    })),
    columns,
  );
}

/** What a dry run says of deleting: how many, and where. */
export function renderDue(notes: Notes): string[] {
  const { due } = notes.summary ?? {};
  if (due === undefined) return [];
  if (due === 0) return ["Nothing would be deleted at the source."];
  const lines = [...notes.plan.values()].filter((line) => line.due > 0).sort((a, b) => b.due - a.due);
  const named = lines.slice(0, NAMED_FOLDERS).map((line) => `${cut(line.folder, 40)} ${showCount(line.due)}`);
  if (lines.length > NAMED_FOLDERS) named.push(plural(lines.length - NAMED_FOLDERS, "more folder"));
  return [`${plural(due, "message")} would be deleted at the source, once proved: ${named.join(", ")}.`];
}
