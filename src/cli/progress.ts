// What is said while a run goes: a line a folder, notices and waits; bars as well where stderr is a terminal.

import { type FolderPath, showPath } from "../mail/model.ts";
import { showRaw } from "../mail/mutf7.ts";
import { DISPOSITIONS, type FolderSummary, type MigrationEvent } from "../migrate/events.ts";
import type { Bars } from "./bars.ts";
import { readsAs } from "./names.ts";
import { isIdle } from "./report.ts";
import { columnsOf } from "./tables.ts";
import { cut, squeeze } from "./text.ts";
import type { Ui } from "./ui.ts";
import { showCount, showSeconds } from "./values.ts";

/** Follows the events of one run. Cheap: 20,000 messages a second are counted, drawing is done by a timer. */
export interface Progress extends Disposable {
  add(event: MigrationEvent): void;
  /** Clears the screen for a question. */
  pause(): void;
}

export async function showProgress(ui: Ui): Promise<Progress> {
  let bars: Bars | undefined;
  if (process.stderr.isTTY && !ui.quiet) {
    const { openBars } = await import("./bars.ts");
    bars = openBars(process.stderr);
    ui.through(bars.write);
  }
  // Folders are done in the order of their size; they are told in their own, when all are.
  const held = new Map<string, string>();
  const release = (folders: readonly FolderSummary[] = []): void => {
    const keys = new Set([...folders.map(({ folder }) => keyOf(folder)), ...held.keys()]);
    const lines = [...keys].map((key) => held.get(key)).filter((line) => line !== undefined);
    held.clear();
    ui.say(...lines);
  };
  return {
    add(event) {
      bars?.add(event);
      if (event.type === "run-finished") release(event.summary.folders);
      const line = lineOf(event, ui.verbose, columnsOf(process.stderr));
      if (line === undefined) return;
      if (event.type === "folder-finished" && ui.verbose === 0) held.set(keyOf(event.folder.path), line);
      else if (event.type === "notice" && event.insist === true) ui.insist(line);
      else ui.say(line);
    },
    pause() {
      release([]);
      bars?.clear();
    },
    [Symbol.dispose]() {
      release();
      ui.through(undefined);
      bars?.[Symbol.dispose]();
    },
  };
}

const keyOf = (path: FolderPath): string => JSON.stringify(path);

/** Columns of a folder's name in a line on a terminal; on a pipe nothing of it is cut. */
const NAME = 60;

/** The line that an event is worth; undefined for most. `columns`: of the terminal, where there is one. */
export function lineOf(event: MigrationEvent, verbose: number, columns?: number): string | undefined {
  const name = (path: FolderPath): string => shownName(showPath(path), columns);
  switch (event.type) {
    case "folder-finished":
      // Those in which there was nothing to do have one line together, at the end.
      if (verbose === 0 && isIdle(event.summary) && (event.summary.listed > 0 || (event.folder.messages ?? 0) === 0))
        return undefined;
      return folderLine(event.summary, event.folder.messages ?? 0, columns);
    case "notice":
      return `${event.folder === undefined ? "" : `${name(event.folder)}: `}${cut(event.text, 400)}`;
    case "retry-scheduled": {
      const { what, attempt, delayMs, error } = event;
      return `${cut(what, 60)}: ${cut(error.message, 300)}; next try (${attempt}) in ${showSeconds(delayMs / 1000)}`;
    }
    case "folder-opened":
      if (verbose === 0) return undefined;
      return `${name(event.folder.path)} → ${shownName(showRaw(event.name), columns)}${event.created ? " (new)" : ""}`;
    case "message-settled": {
      if (verbose === 0 || (event.as !== "failed" && event.as !== "altered")) return undefined;
      const { origin } = event.entry;
      const why = event.error?.message ?? event.note ?? "";
      return `${name(origin.folder)} ${cut(origin.id, 80)}: ${event.as} ${cut(why, 300)}`;
    }
    default:
      return undefined;
  }
}

function shownName(name: string, columns: number | undefined): string {
  return squeeze(name, columns === undefined ? undefined : Math.min(NAME, columns));
}

function folderLine(summary: FolderSummary, messages: number, columns: number | undefined): string {
  const { folder, name, listed, balance, closes, error } = summary;
  const parts = DISPOSITIONS.filter((disposition) => balance[disposition] > 0).map(
    (disposition) => `${showCount(balance[disposition])} ${disposition.replace("-", " ")}`,
  );
  const path = showPath(folder);
  const to = readsAs(name, path) ? "" : ` → ${shownName(showRaw(name), columns)}`;
  const end = error === undefined ? (closes ? "" : "; not complete") : `; not complete: ${cut(error, 300)}`;
  return `${shownName(path, columns)}${to}: ${listed === 0 ? (messages > 0 ? "not read" : "empty") : parts.join(", ") || "nothing done"}${end}`;
}
