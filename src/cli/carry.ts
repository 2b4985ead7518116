// One run from a source to a target, for backup, migrate, drain and restore: open, follow, report, exit code.

import { existsSync } from "node:fs";
import {
  type Endpoint,
  type EndpointContext,
  isAccount,
  openSink,
  openSource,
  refuseAbsent,
  refuseCleartext,
  refuseSame,
  type SinkContext,
  showEndpoint,
  standingOf,
} from "../endpoints.ts";
import { MailError } from "../mail/errors.ts";
import type { MostRemoved, RemoveOptions } from "../migrate/context.ts";
import type { MigrationEvent, RunSummary } from "../migrate/events.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { EXIT, type ExitCode, exitCodeOf, exitCodeOfRun } from "./exit.ts";
import { Notes } from "./notes.ts";
import {
  type Arguments,
  isOn,
  maxDeleteOf,
  REMOVE_OPTIONS,
  SELECTION_OPTIONS,
  type SelectionOptions,
  SOURCE_SECRET_OPTIONS,
  selectionOf,
  stateDirectoryOf,
  TARGET_SECRET_OPTIONS,
  textsOf,
} from "./options.ts";
import { showProgress } from "./progress.ts";
import { askYes, canAsk } from "./prompt.ts";
import {
  renderBalance,
  renderBroken,
  renderExclusion,
  renderIdle,
  renderLeftOut,
  renderLosses,
  renderRemovals,
  renderStopped,
  renderTroubles,
} from "./report.ts";
import { belongsInReport, type ReportFile } from "./report-file.ts";
import { renderDue, renderPlan } from "./report-plan.ts";
import { contextOf, placeOf, type Session } from "./session.ts";
import { columnsOf } from "./tables.ts";
import { shellQuote } from "./text.ts";
import { plural, showCount } from "./values.ts";

export interface Carriage {
  readonly verb: "backup" | "migrate" | "drain" | "restore";
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Present: delete at the source, after proof. */
  readonly remove?: Pick<RemoveOptions, "olderThanSeconds">;
}

/** Throws MailError for whatever keeps the run from starting; a run that ended before its time is reported first. */
export async function carry(carriage: Carriage, session: Session): Promise<ExitCode> {
  const { source, target, remove } = carriage;
  const { args, ui, interrupts } = session;
  const { signal } = interrupts;
  const selection = selectionOf(args);
  const most = maxDeleteOf(args);
  const isDry = isOn(args, "dry-run");
  const allowCleartext = isOn(args, "allow-cleartext");
  for (const endpoint of [source, target]) refuseCleartext(endpoint, allowCleartext);
  await refuseSame(source, target);
  if (isOn(args, "must-exist")) refuseAbsent(target);
  const reportFile = session.report;
  const from = await contextOf(session, "source", source, reportFile);
  const recheck = isOn(args, "recheck") && !isDry;
  const to = { ...(await contextOf(session, "target", target, reportFile)), recheck };

  const notes = new Notes(isDry);
  let failure: unknown;
  try {
    // Loaded while the server is waited for.
    const engine = import("../migrate/run.ts");
    const job = (identity: string): string => jobOf(identity, selection, args);
    await using ends = await openEnds(source, from, target, to, job, signal);
    const { run } = await engine;
    await using seen = lookingAt(target, to, signal);
    const options = {
      ...selection,
      recheck: isOn(args, "recheck"),
      prove: isOn(args, "prove"),
      dryRun: isDry,
      ...(isDry ? { present: seen.open } : {}),
      standing: standingOf(source, target),
      flags: !isOn(args, "no-flags"),
      skipDeleted: isOn(args, "skip-deleted"),
      ...(isOn(args, "with-expunged") ? { withExpunged: true } : {}),
      stateDirectory: stateDirectoryOf(args, session.environment),
      ...(remove === undefined
        ? {}
        : { remove: { ...remove, ...bounds(carriage, args, most, () => progress.pause()) } }),
    };
    using progress = await showProgress(ui);
    const running = run(ends.source, ends.sink, options, signal);
    interrupts.onStop(() => running.stop());
    const follow = (event: MigrationEvent): Promise<unknown> | undefined => {
      notes.add(event);
      progress.add(event);
      if (event.type === "run-planned" && asksFirst(carriage) && remove !== undefined && !isDry)
        ui.say(...renderDrain(source, event));
      const waits = [
        ui.json ? ui.emit(event) : undefined,
        reportFile !== undefined && belongsInReport(event) ? reportFile.add(event) : undefined,
      ].filter((wait) => wait !== undefined);
      return waits.length === 0 ? undefined : Promise.all(waits);
    };
    try {
      for await (const event of running) {
        const wait = follow(event);
        if (wait !== undefined) await wait;
      }
      notes.summary = await running.finished;
    } catch (error) {
      failure = error;
    }
  } catch (error) {
    // What ended the run is told, and not what its end met.
    if (failure === undefined) throw error;
  }
  // Awaited here: the report file is closed when this function ends.
  return await report(carriage, session, notes, failure, isDry, reportFile);
}

/** An account is more than a maildrop: what drain takes from it is said before it begins. */
function renderDrain(source: Endpoint, { folders, messages }: { folders: number; messages: number }): string[] {
  const all = folders === 1 ? "the one folder" : `all ${showCount(folders)} folders`;
  return [
    `drain deletes what is proved to be in the archive from ${all} of ${showEndpoint(source)} (${plural(messages, "message")}). ` +
      "--folder INBOX drains the inbox alone, --leave deletes nothing.",
  ];
}

/** The target, opened for reading when a dry run asks what is there; undefined where there is none yet. */
function lookingAt(
  target: Endpoint,
  { onNotice: _, ...context }: EndpointContext,
  signal: AbortSignal,
): AsyncDisposable & { readonly open: () => Promise<Source | undefined> } {
  let opened: Source | undefined;
  return {
    open: async () => {
      try {
        opened = await openSource(target, { ...context, toRead: true }, signal);
      } catch (error) {
        // An account that was let in to is there; a place on a disk that holds no mail is made by the run itself.
        if (isAccount(target) || !(error instanceof MailError) || error.code !== "config") throw error;
      }
      return opened;
    },
    [Symbol.asyncDispose]: async () => await opened?.[Symbol.asyncDispose](),
  };
}

interface Ends extends AsyncDisposable {
  readonly source: Source;
  readonly sink: Sink;
}

/** Two accounts are logged in to at once; an archive is told which source it is for. The source's failure comes first. */
async function openEnds(
  source: Endpoint,
  from: EndpointContext,
  target: Endpoint,
  to: Omit<SinkContext, "job">,
  jobOf: (identity: string) => string,
  signal: AbortSignal,
): Promise<Ends> {
  const sinking = isAccount(target) ? openSink(target, { ...to, job: "" }, signal) : undefined;
  // Its failure is met below.
  sinking?.catch(() => undefined);
  let opened: Source | undefined;
  try {
    const ready = await openSource(source, { ...from, toRead: true }, signal);
    opened = ready;
    const sink = await (sinking ?? openSink(target, { ...to, job: jobOf(ready.identity) }, signal));
    const dispose = async (): Promise<void> => {
      try {
        await sink[Symbol.asyncDispose]();
      } finally {
        await ready[Symbol.asyncDispose]();
      }
    };
    return { source: ready, sink, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await opened?.[Symbol.asyncDispose]();
    const sink = await sinking?.catch(() => undefined);
    await sink?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** Deletions above this many are asked about on a terminal. */
const ASKED_ABOVE = 1000;

/** An account is more than a maildrop, and "drain" may be taken for a copy: there the first deletion is asked about, however small. */
function asksFirst({ verb, source }: Carriage): boolean {
  return verb === "drain" && source.kind === "imap";
}

/** How much may be deleted; `quiet` clears the screen for a question. */
function bounds(
  carriage: Carriage,
  args: Arguments,
  most: MostRemoved | undefined,
  quiet: () => void,
): Pick<RemoveOptions, "most" | "confirm"> {
  const confirm: RemoveOptions["confirm"] = async (messages, signal, { folders, isFirst }) => {
    if (messages <= ASKED_ABOVE && !(isFirst && asksFirst(carriage))) return true;
    quiet();
    const place = `Of ${showEndpoint(carriage.source)}, in ${plural(folders, "folder")}`;
    const text = `Delete ${plural(messages, "message")} at the source? ${place}; each copy is read back first. [y/N] `;
    return await askYes(text, signal);
  };
  return { ...(most === undefined ? {} : { most }), ...(mayAsk(args) ? { confirm } : {}) };
}

/** Without a terminal a run goes on: it is started by another program. */
function mayAsk(args: Arguments): boolean {
  return canAsk() && !isOn(args, "yes");
}

async function report(
  carriage: Carriage,
  { ui, interrupts, args }: Session,
  notes: Notes,
  failure: unknown,
  isDry: boolean,
  file: ReportFile | undefined,
): Promise<ExitCode> {
  const { summary } = notes;
  const columns = columnsOf(process.stderr);
  if (isDry && !ui.json && summary !== undefined)
    ui.print(...renderPlan(notes, carriage.remove !== undefined, columnsOf(process.stdout)));
  const troubles = await renderTroubles(notes, summary?.balance);
  const leftOut = [
    ...renderLeftOut(notes.leftOut, summary?.leftOut),
    ...renderExclusion(notes.leftOut, summary?.folders ?? []),
  ];
  // What failed before anything was listed has one line to say, and no sums.
  const isNothing = failure !== undefined && (summary === undefined || summary.folders.length === 0);
  const broken = [
    ...renderBroken({ folders: summary?.folders ?? [] }, summary?.outcome === "stopped"),
    ...(summary === undefined || isNothing ? [] : renderStopped(summary, columns)),
  ];
  ui.say(
    ...(ui.verbose === 0 && !isDry && summary !== undefined ? renderIdle(summary.folders) : []),
    ...renderLosses(notes, isDry),
    ...(ui.quiet ? [] : [...troubles, ...broken, ...leftOut]),
    ...renderRemovals(notes, columns),
    ...(summary === undefined || isNothing ? [] : renderBalance(summary, isDry)),
    ...renderDue(notes),
  );
  // With -q errors alone are said: mail that was left is one, and whatever else the exit code speaks of.
  const isLeft = summary !== undefined && exitCodeOfRun(summary) !== EXIT.complete;
  if (ui.quiet && isLeft && !isNothing)
    ui.insist(
      ...troubles,
      ...broken,
      ...leftOut,
      ...(summary.kept > 0 ? renderRemovals(notes, columns) : []),
      ...renderBalance(summary, isDry),
    );
  const code = interrupts.code ?? (failure === undefined && summary !== undefined ? exitCodeOfRun(summary) : undefined);
  await file?.finish({
    ...(summary === undefined ? {} : { summary }),
    ...(failure === undefined ? {} : { error: failure }),
    exitCode: code ?? exitCodeOf(failure),
  });
  if (failure !== undefined) {
    if (interrupts.code === undefined) throw failure;
    // A signal explains an error that came after it; -v tells it all the same.
    if (failure instanceof MailError && ui.verbose > 0) ui.fail(failure);
  }
  if (summary !== undefined) (isLeft ? ui.insist : ui.say)(...nextSteps(carriage, summary, notes.hinted, isDry, args));
  return code ?? exitCodeOf(failure);
}

/** What to do now, in one or two lines. */
function nextSteps(
  { verb, target, remove }: Carriage,
  summary: RunSummary,
  hinted: number,
  isDry: boolean,
  args: Arguments,
): string[] {
  const { outcome, balance, kept } = summary;
  // With the others stands what helps them.
  const again = balance.failed - hinted;
  if (summary.targetFinished === true && target.kind === "mboxzip" && balance.failed > 0)
    return [lacking(verb, args, target.path, balance.failed)];
  if (isDry) return ["Nothing was changed. The same command without --dry-run does it."];
  if (outcome === "stopped") return ["Run the same command again: it goes on where it stopped."];
  const lines: string[] = [];
  // What becomes of a file that is written once was said when it was finished, or left open.
  const isOnce = target.kind === "mboxzip" && /\.zip$/i.test(target.path);
  const those = hinted > 0 ? " without a hint of their own" : "";
  if (again > 0 && !isOnce)
    lines.push(
      `Run the same command again to try ${again === 1 ? "the message that failed" : `the ${plural(again, "message")} that failed`}${again === 1 ? those.replace("their", "its") : those} once more.`,
    );
  else if (!summary.closes) lines.push("Run the same command again for what is open.");
  if (kept > 0) lines.push(`${plural(kept, "message")} stayed at the source that should have gone.`);
  if (lines.length > 0 || outcome === "partial") return lines;
  // As they were typed: with the options that it takes to get there.
  const from = shellQuote(placeOf(args, verb === "restore" ? "archive" : "source"));
  const to = shellQuote(placeOf(args, verb === "backup" || verb === "drain" ? "archive" : "target"));
  if (remove !== undefined)
    return [`Complete.${isAccount(target) ? "" : ` Check the archive with: mailferry verify ${to}`}`];
  return [`Complete. Check it with: mailferry verify ${[from, to, ...typed(args, CHECK_OPTIONS)].join(" ")}`];
}

/** What a finished zip does not hold, and where it could go; the command is typed as the one before was. */
function lacking(verb: Carriage["verb"], args: Arguments, path: string, messages: number): string {
  const base = path.replace(/\.zip$/i, "");
  const directory = [base, ...Array.from({ length: 100 }, (_, i) => `${base}-${i + 2}`)].find(
    (name) => !existsSync(name),
  );
  const from = shellQuote(placeOf(args, verb === "restore" ? "archive" : "source"));
  const to = shellQuote(`mboxzip:${directory ?? `${base}-more`}`);
  const options = [...typed(args, CHECK_OPTIONS), ...typed(args, DELETE_OPTIONS)];
  return (
    `${plural(messages, "message")} of the source ${messages === 1 ? "is" : "are"} not in ${path}: it is finished, and takes no more. ` +
    `Write to a folder that grows by a zip a run: mailferry ${[verb, from, to, ...options].join(" ")} (or to a zip of another name).`
  );
}

const DELETE_OPTIONS = ["move", "leave", "leave-for", ...Object.keys(REMOVE_OPTIONS)];

/** What verify needs to compare the same mail, and to log in as this run did. */
const CHECK_OPTIONS = [
  ...Object.keys(SELECTION_OPTIONS),
  "allow-cleartext",
  ...Object.keys({ ...SOURCE_SECRET_OPTIONS, ...TARGET_SECRET_OPTIONS }),
];

/** These options as they were typed, for a shell. */
function typed(args: Arguments, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    if (typeof args[name] === "boolean") return isOn(args, name) ? [`--${name}`] : [];
    return textsOf(args, name).map((value) => `--${name} ${shellQuote(value)}`);
  });
}

/** Names this very job for an archive that is written once: the source, and what of it was asked for. */
function jobOf(identity: string, selection: SelectionOptions, args: Arguments): string {
  return JSON.stringify({
    source: identity,
    ...selection,
    skipDeleted: isOn(args, "skip-deleted"),
    ...(isOn(args, "with-expunged") ? { withExpunged: true } : {}),
  });
}
