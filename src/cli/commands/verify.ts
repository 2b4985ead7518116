// mailferry verify <source> <target>, or <archive> by itself. Changes nothing.

import { join } from "node:path";
import { delayBefore, type Patience, pause } from "../../core/retry.ts";
import {
  type Endpoint,
  isAccount,
  openSink,
  openSource,
  parseEndpoint,
  refuseCleartext,
  refuseSame,
  showEndpoint,
  standingOf,
} from "../../endpoints.ts";
import { configError, MailError } from "../../mail/errors.ts";
import type { LeftOut } from "../../mail/left-out.ts";
import { type FolderPath, showPath } from "../../mail/model.ts";
import { leftOutOf, leftOutText } from "../../migrate/left-out.ts";
import type { PairLedger } from "../../migrate/pair.ts";
import type { VerifyFinding, VerifyFolderResult, VerifySummary } from "../../migrate/verify.ts";
import type { Sink } from "../../sinks/sink.ts";
import type { Source } from "../../sources/source.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { isOn, selectionOf, stateDirectoryOf } from "../options.ts";
import { renderLeftOut, seenAs } from "../report.ts";
import type { ReportFile } from "../report-file.ts";
import { contextOf, noticesOf, placeOf, type Session } from "../session.ts";
import { columnsOf, fitted } from "../tables.ts";
import { cut, plain, sentence } from "../text.ts";
import { plural, showCount, showSeconds } from "../values.ts";

/** Findings printed; --report and --json have them all. */
const PRINTED = 50;

export async function verify(session: Session): Promise<ExitCode> {
  const { args } = session;
  const first = parseEndpoint(placeOf(args, "source"), "source");
  const second = placeOf(args, "target");
  const file = session.report;
  if (args.target === undefined) {
    if (isAccount(first) || first.kind === "mbox")
      throw configError(
        `verify of ${isAccount(first) ? "an account" : "an mbox"} needs something to compare it with`,
        "Write: mailferry verify SOURCE TARGET.",
      );
    return await verifyAlone(first, session, file);
  }
  // Both ends are read: the target is recognised by what is there.
  const target = parseEndpoint(second, "source", "target");
  const allowCleartext = isOn(args, "allow-cleartext");
  for (const endpoint of [first, target]) refuseCleartext(endpoint, allowCleartext);
  await refuseSame(first, target);
  return await verifyPair(first, target, session, file);
}

async function verifyPair(
  from: Endpoint,
  to: Endpoint,
  session: Session,
  file: ReportFile | undefined,
): Promise<ExitCode> {
  const { args, ui, interrupts } = session;
  const { signal } = interrupts;
  const options = {
    ...selectionOf(args),
    skipDeleted: isOn(args, "skip-deleted"),
    withExpunged: isOn(args, "with-expunged"),
    bothWays: isOn(args, "both-ways"),
    quick: isOn(args, "quick"),
  };
  const sourceContext = await contextOf(session, "source", from, file);
  const targetContext = await contextOf(session, "target", to, file);
  await using source = await openSource(from, { ...sourceContext, toRead: true }, signal);
  // Only a server may spell a folder in its own way (its separator, its namespace); opening it as a sink changes nothing.
  const sink = to.kind === "imap" ? await openSink(to, { ...targetContext, job: "verify" }, signal) : undefined;
  // It knows the names from here on: a server may grant one connection, and that one is for reading.
  await sink?.[Symbol.asyncDispose]();
  const reading = (): Promise<Source> => openSource(to, { ...targetContext, toRead: true }, signal);
  await using target = await (sink === undefined ? reading() : whenForgotten(reading, signal));
  const engine = await import("../../migrate/verify.ts");
  const { targetPath } = await import("../../migrate/plan.ts");
  let there: Set<string> | undefined;
  source.callAsBefore?.(async (path) => {
    if (there === undefined) {
      there = new Set();
      for await (const folder of target.folders(signal)) there.add(showPath(folder.path));
    }
    return there.has(showPath(targetPath(path, options)));
  });

  let printed = 0;
  const onFinding = (finding: VerifyFinding): void => {
    const { folder, origin, kind, what, subject, from, date } = finding;
    if (ui.json) void ui.emit({ type: "verify-finding", ...finding });
    void file?.add({ type: "verify-finding", ...finding });
    // What was left out is named at the end, with the way out.
    if (kind === "left-out" || (kind === "known-loss" && ui.verbose === 0)) return;
    const isOnlyThere = kind === "extra" || kind === "folder-extra";
    const isDifference = kind !== "known-loss" && (!isOnlyThere || options.bothWays);
    if (ui.quiet && !isDifference) return;
    if (printed++ >= PRINTED && ui.verbose === 0) return;
    const where = `${cut(showPath(folder), 60)}${origin === undefined ? "" : ` ${cut(origin.id, 80)}`}`;
    // With -q that alone is said which the exit code speaks of.
    (isDifference ? ui.insist : ui.say)(
      [`${kind}: ${where}: ${cut(what, 300)}`, ...seenAs({ subject, from, date })].join(" | "),
    );
  };
  const onFolder = (result: VerifyFolderResult): void => {
    if (ui.json) void ui.emit({ type: "verify-folder", ...result });
    if (ui.verbose > 0) ui.say(`${cut(showPath(result.folder), 60)}: compared`);
  };
  const describe = sink === undefined ? undefined : sink.describe.bind(sink);
  const find = sink?.find?.bind(sink);
  await using ledger = sink === undefined ? undefined : await ledgerOf(session, source, sink);
  const past = ledger && {
    told: ledger.told,
    recall: async (paths: readonly FolderPath[]): Promise<void> => sink?.recall?.(await ledger.names(paths)),
  };
  const stands = standingOf(from, to);
  const summary = await engine
    .verify(source, target, describe, options, signal, onFinding, onFolder, find, past)
    .catch((error: unknown) => {
      throw error instanceof MailError ? (stands.gone() ?? error) : error;
    });
  // What is no longer there holds nothing, and is no difference.
  const gone = stands.gone();
  if (gone !== undefined) throw gone;
  if (printed > PRINTED && ui.verbose === 0) ui.insist(`and ${showCount(printed - PRINTED)} more; -v shows them all`);
  if (ui.json) await ui.emit({ type: "verify-finished", summary });
  else if (!ui.quiet) ui.print(...renderVerify(summary, columnsOf(process.stdout)));
  const code =
    interrupts.code ?? (summary.equal ? EXIT.complete : isDifferent(summary, options) ? EXIT.different : EXIT.partial);
  await file?.finish({ summary, exitCode: code });
  const verdict = verdictOf(summary, { ...options, isOnce: isWrittenOnce(to) });
  const left = [...leftOutOf(source, options.select), ...(options.bothWays ? leftOutOf(target, undefined) : [])];
  ui.insist(...renderLeftOut(left.slice(0, PRINTED), left.length));
  if (summary.equal) ui.say(verdict);
  else ui.insist(verdict);
  return code;
}

async function ledgerOf({ args, environment }: Session, source: Source, sink: Sink): Promise<PairLedger> {
  const { ledgerOfPair } = await import("../../migrate/pair.ts");
  const pair = { source: source.identity, sink: sink.identity };
  return ledgerOfPair(stateDirectoryOf(args, environment), pair);
}

/** A server may count a connection for a moment after it has ended. */
const FORGETTING: Patience = { attempts: 5, firstDelayMs: 200 };

async function whenForgotten<T>(open: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      const mayPass = error instanceof MailError && error.code === "connection" && error.details.remedy !== "give-up";
      if (!mayPass || signal.aborted || attempt >= FORGETTING.attempts) throw error;
      await pause(delayBefore(attempt, FORGETTING), FORGETTING, signal);
    }
  }
}

/** A FILE.zip takes nothing more once it is there. */
function isWrittenOnce(endpoint: Endpoint): boolean {
  return endpoint.kind === "mboxzip" && /\.zip$/i.test(endpoint.path);
}

/** The table of a comparison. */
export function renderVerify(summary: VerifySummary, columns?: number): string[] {
  const { folders, matched, missing, changed, extra } = summary;
  const numbers = (row: { matched: number; missing: number; changed: number; extra: number }): string[] =>
    [row.matched, row.missing, row.changed, row.extra].map(showCount);
  const rows = folders.map((result) => ({ cells: [plain(showPath(result.folder)), ...numbers(result)] }));
  const all = { cells: ["in sum", ...numbers({ matched, missing, changed, extra })] };
  return fitted([["FOLDER", "EQUAL", "MISSING", "CHANGED", "EXTRA"]], [...rows, all], columns);
}

/** The last line of a comparison. */
export function verdictOf(
  summary: VerifySummary,
  options: { readonly bothWays: boolean; readonly quick: boolean; readonly isOnce?: boolean },
): string {
  const {
    matched,
    missing,
    changed,
    altered,
    extra,
    foldersMissing,
    foldersExtra,
    unlisted = 0,
    unmatched = [],
    knownLosses = 0,
    seconds,
  } = summary;
  const how = options.quick ? ", by Message-ID, size, date and flags, without reading the bodies: weaker" : "";
  const but = [...unmatched, ...(summary.leftOut === undefined ? [] : [leftOutText(summary.leftOut)])];
  if (!isDifferent(summary, options))
    return `${summary.equal ? "Verified" : "Not complete"}: ${plural(matched, "message")} of the source ${matched === 1 ? "is" : "are"} in the target${how} (${showSeconds(seconds)})${but.length === 0 ? "." : `; but ${sentence(but)}`}${toldOf(knownLosses)}`;
  const parts = [
    ...(missing > 0 ? [`${showCount(missing)} missing`] : []),
    ...(changed > 0 ? [`${showCount(changed)} changed${ofThem(altered, changed)}`] : []),
    ...(options.bothWays && extra > 0 ? [`${showCount(extra)} extra`] : []),
    ...(options.bothWays && foldersExtra > 0 ? [plural(foldersExtra, "extra folder")] : []),
    ...(unlisted > 0 ? [`${plural(unlisted, "message")} that the source counts and does not list`] : []),
    ...(foldersMissing > 0 ? [plural(foldersMissing, "missing folder")] : []),
    ...but,
  ];
  const advice = adviceOf(summary, options);
  return `Different: ${sentence([`${parts.join(", ")}${how}`])} ${advice}${toldOf(knownLosses)}`;
}

const UP_TO_DATE = "flags and keywords up to date";

/** Whether what is missing came to the source, or went from the target, is not known here: which run brings which is. */
function copyAgain(isLacking: boolean, isBehind: boolean): string {
  if (!isLacking) return `Copying again with --recheck brings ${UP_TO_DATE}.`;
  return `Copying again brings what is new at the source; with --recheck also what is gone from the target${isBehind ? `, and ${UP_TO_DATE}` : ""}.`;
}

function onceMore(isLacking: boolean, isBehind: boolean): string {
  const what = [isLacking ? "what is missing" : "", isBehind ? UP_TO_DATE : ""].filter(Boolean).join(", and ");
  return `A zip file is written once: a backup to another name, or to mboxzip:DIR, has ${what}.`;
}

/** What helps against what was found; nothing is promised that copying again does not do. */
function adviceOf(
  {
    missing,
    changed,
    altered,
    misdated = 0,
    unread = 0,
    unlisted = 0,
    foldersMissing,
    extra,
    foldersExtra,
  }: VerifySummary,
  {
    bothWays,
    quick,
    isOnce = false,
  }: { readonly bothWays: boolean; readonly quick: boolean; readonly isOnce?: boolean },
): string {
  const flags = changed - altered - misdated;
  const isLacking = missing > unread || foldersMissing > 0;
  const isBehind = flags > 0 && !quick;
  const lines = [
    ...(isLacking || isBehind ? [isOnce ? onceMore(isLacking, isBehind) : copyAgain(isLacking, isBehind)] : []),
    ...(unread > 0 ? ["What cannot be read at the source no copy brings: look there."] : []),
    ...(flags > 0 && quick ? ["Without --quick it is told whether the bytes differ."] : []),
    ...(misdated > 0 ? ["A date stays as it is: no second copy is made for it."] : []),
    ...(altered > 0 && missing + flags === 0
      ? [
          "What a server altered stays as it is: copying again makes no other copy of it, and its original stays at the source.",
        ]
      : []),
    ...(unlisted > 0 ? ["What a server counts and does not list its administrator has to look for."] : []),
    ...(bothWays && extra + foldersExtra > 0 ? ["What only the target has is left alone."] : []),
  ];
  return lines.join(" ");
}

/** Whether what was compared differs, in whatever was asked for. */
function isDifferent(summary: VerifySummary, { bothWays }: { readonly bothWays: boolean }): boolean {
  const { missing, changed, extra, foldersMissing, foldersExtra, unlisted = 0 } = summary;
  return missing + changed + foldersMissing + unlisted + (bothWays ? extra + foldersExtra : 0) > 0;
}

function toldOf(messages: number): string {
  if (messages === 0) return "";
  return ` Known loss: ${plural(messages, "message")} without what the target refused when ${messages === 1 ? "it was" : "they were"} copied (-v names it).`;
}

function ofThem(altered: number, changed: number): string {
  if (altered === 0) return "";
  return ` (${altered === changed ? "all" : `${showCount(altered)} of them`} altered by the target's server)`;
}

async function verifyAlone(archive: Endpoint, session: Session, file: ReportFile | undefined): Promise<ExitCode> {
  const { ui, interrupts } = session;
  if (archive.kind !== "maildir" && archive.kind !== "mboxzip") return EXIT.usage;
  let problems = 0;
  const onProblem = (what: string): void => {
    if (ui.json) void ui.emit({ type: "archive-problem", what });
    void file?.add({ type: "archive-problem", what });
    if (problems++ < PRINTED || ui.verbose > 0) ui.insist(cut(what, 400));
  };
  let messages = 0;
  let unrecorded = 0;
  let leftOut: readonly LeftOut[] = [];
  let unfinished: readonly string[] = [];
  let gone: readonly string[] = [];
  let deleted = 0;
  let isListed = true;
  let nothingRecorded: Checked["nothingRecorded"];
  try {
    ({
      messages,
      unrecorded = 0,
      leftOut = [],
      unfinished = [],
      gone = [],
      deleted = 0,
      isListed = true,
      nothingRecorded,
    } = await (archive.kind === "maildir" ? checkMaildir : checkZip)(
      archive.path,
      interrupts.signal,
      onProblem,
      noticesOf(session, file),
      isOn(session.args, "follow-links"),
    ));
  } catch (error) {
    // An archive too broken to be read on is what this command is there to find.
    if (!(error instanceof MailError) || error.code !== "malformed") throw error;
    onProblem(error.message);
  }
  for (const item of leftOut) {
    const event = { type: "left-out", ...item };
    if (ui.json) void ui.emit(event);
    void file?.add(event);
  }
  for (const what of unfinished) {
    if (ui.json) await ui.emit({ type: "archive-unfinished", what });
    await file?.add({ type: "archive-unfinished", what });
    ui.insist(cut(what, 400));
  }
  for (const what of gone) {
    if (ui.json) await ui.emit({ type: "archive-gone", what });
    await file?.add({ type: "archive-gone", what });
    ui.insist(cut(what, 400));
  }
  const summary = {
    messages,
    problems,
    ...(gone.length > 0 ? { gone: gone.length } : {}),
    ...(deleted > 0 ? { deleted } : {}),
    ...(unrecorded > 0 ? { unrecorded } : {}),
    ...(nothingRecorded === undefined ? {} : { nothingRecorded: true }),
    ...(unfinished.length > 0 ? { unfinished: unfinished.length } : {}),
    ...(leftOut.length === 0 ? {} : { leftOut: leftOut.length }),
  };
  if (ui.json) await ui.emit({ type: "archive-checked", ...summary });
  const found =
    problems + unfinished.length + gone.length > 0 ? EXIT.different : leftOut.length > 0 ? EXIT.partial : EXIT.complete;
  const code = interrupts.code ?? found;
  await file?.finish({ summary, exitCode: code });
  if (unrecorded > 0 && nothingRecorded === undefined)
    ui.say(
      `${plural(unrecorded, "message")} of other programs, or of a ledger that was lost: read, and in no ledger to compare them with.`,
    );
  if (deleted > 0)
    ui.say(
      `${plural(deleted, "message")} that ${deleted === 1 ? "was" : "were"} deleted from it by its owner, or lost, as an earlier run said.`,
    );
  ui.insist(...renderLeftOut(leftOut.slice(0, PRINTED), leftOut.length));
  if (!isListed)
    ui.say(
      "No run has written down yet which files belong to this archive (earlier versions did not): whether one of its own small files is gone is not known. The next backup writes it.",
    );
  if (problems === 0 && unfinished.length > 0)
    ui.insist(
      `Not finished: what is there of ${showEndpoint(archive)} is whole (${plural(messages, "message")}), but more was to come.`,
    );
  else if (problems === 0 && gone.length > 0)
    ui.insist(
      `Not complete: what is there of ${showEndpoint(archive)} is whole (${plural(messages, "message")}), and some was deleted from it, or lost. ` +
        "The next backup notes what its owner deleted, and leaves it so; with --recheck it copies again what the source still has.",
    );
  else if (problems === 0 && leftOut.length > 0)
    ui.insist(
      `Not complete: ${plural(messages, "message")} in ${showEndpoint(archive)} ${messages === 1 ? "is" : "are"} sound; ${leftOutText(leftOut.length)}.`,
    );
  else if (problems === 0 && nothingRecorded === "lost")
    ui.insist(
      `Not known: ${plural(messages, "message")} in ${showEndpoint(archive)} can be read, but mailferry/, which says what was stored there, is gone: nothing is recorded to check them against. ` +
        "The next backup into it records what is there, and copies what the source still has and it lacks.",
    );
  else if (problems === 0 && nothingRecorded === "foreign")
    ui.say(
      `Readable: ${plural(messages, "message")} in ${showEndpoint(archive)}. No backup was made into it, so nothing is recorded to check them against.`,
    );
  else if (problems === 0) ui.say(`Sound: ${plural(messages, "message")} in ${showEndpoint(archive)}.`);
  else
    ui.insist(
      `Damaged: ${plural(problems, "problem")} in ${showEndpoint(archive)}; ${plural(messages, "message")} were read. ` +
        wayOut(archive, messages),
    );
  return code;
}

/** Out of a damaged archive; a zip file of which nothing could be read gives nothing. */
function wayOut(archive: Endpoint, messages: number): string {
  if (!isWrittenOnce(archive)) return "Restore takes what is whole; a new backup with --recheck fills the gaps.";
  const whole = messages > 0 ? "Restore takes what is whole. " : "";
  return `${whole}A zip file is written once: a backup to another name, or to mboxzip:DIR, has all that the source still has.`;
}

type Check = (
  path: string,
  signal: AbortSignal,
  onProblem: (what: string) => void,
  onNotice?: (text: string) => void,
  followLinks?: boolean,
) => Promise<Checked>;

interface Checked {
  readonly messages: number;
  readonly unrecorded?: number;
  readonly leftOut?: readonly LeftOut[];
  /** What is not there, and may have been deleted by its owner, each in words. */
  readonly gone?: readonly string[];
  /** Messages that a run saw deleted. */
  readonly deleted?: number;
  /** What was broken off, each in words. */
  readonly unfinished?: readonly string[];
  /** There is no record at all of what was stored: it was "lost", or no run of ours ever wrote here. */
  readonly nothingRecorded?: "lost" | "foreign";
  /** A run has written down which files belong to the archive. */
  readonly isListed?: boolean;
}

/** The archive's own files, and the runs into it. */
async function checkOwn(
  home: string,
  signal: AbortSignal,
  onProblem: (what: string) => void,
): Promise<{ unfinished: string[]; isListed: boolean }> {
  const { readArchiveRuns } = await import("../../migrate/archive-runs.ts");
  const { checkOwnFiles } = await import("../../formats/own-files.ts");
  const { unfinished, inventory } = await readArchiveRuns(home);
  const known = await checkOwnFiles(home, inventory, signal, onProblem);
  return { unfinished: [...unfinished], isListed: known === "known" };
}

/** A Maildir archive by itself. */
export const checkMaildir: Check = async (path, signal, onProblem, onNotice, followLinks = false) => {
  const { verifyArchive } = await import("../../migrate/verify-archive.ts");
  const { checkMaildirFiles } = await import("../../formats/maildir/check.ts");
  const { folderId } = await import("../../formats/maildir/folder.ts");
  const { toBytes } = await import("../../formats/maildir/paths.ts");
  const { announcedWireSize, parseOwn } = await import("../../formats/maildir/names.ts");
  const { checkQuarantine } = await import("../../migrate/quarantine.ts");
  const { knownStrays } = await import("../../formats/own-files.ts");
  const { ARCHIVE_HOME, readArchiveId } = await import("../../formats/archive.ts");
  const { recordedDates } = await import("../../migrate/recorded-dates.ts");
  const context = { followLinks, ...(onNotice === undefined ? {} : { onNotice }) };
  await using source = await openSource({ kind: "maildir", path }, context, signal);
  await checkMaildirFiles(path, onProblem);
  await checkQuarantine(join(path, "mailferry", "quarantine"), onProblem);
  const isOurs = (id: string): boolean => parseOwn(id) !== undefined;
  const wireSizeOf = (id: string): number | undefined => (isOurs(id) ? announcedWireSize(id) : undefined);
  const home = join(path, ARCHIVE_HOME);
  const left = (): readonly LeftOut[] => leftOutOf(source, undefined);
  if ((await readArchiveId(path)) === undefined) {
    let isMarked = folderId(toBytes(path)) !== undefined;
    const marked = (id: string): number | undefined => {
      isMarked ||= isOurs(id);
      return wireSizeOf(id);
    };
    const checked = await verifyArchive(source, home, signal, onProblem, { wireSizeOf: marked, isOurs: () => false });
    return { ...checked, leftOut: left(), nothingRecorded: isMarked ? "lost" : "foreign" };
  }
  const { unfinished, isListed } = await checkOwn(home, signal, onProblem);
  const onUnfinished = (text: string): void => void unfinished.push(text);
  const gone: string[] = [];
  const onGone = (text: string): void => void gone.push(text);
  const straysIn = await knownStrays(home);
  const knows = { isOurs, wireSizeOf, straysIn, onUnfinished, onGone, dates: await recordedDates(home) };
  const checked = await verifyArchive(source, home, signal, onProblem, knows);
  return { ...checked, unfinished, gone, isListed, leftOut: left() };
};

/** An mboxzip, a file or a directory, by itself. */
export const checkZip: Check = async (path, signal, onProblem) => {
  const { checkMboxZip } = await import("../../formats/mboxzip/check.ts");
  const { isSingleFile, quarantineBeside } = await import("../../formats/mboxzip/layout.ts");
  const { parseRef } = await import("../../formats/mboxzip/ref.ts");
  const { checkQuarantine } = await import("../../migrate/quarantine.ts");
  const { readLedgers } = await import("../../migrate/verify-journals.ts");
  await checkQuarantine(isSingleFile(path) ? quarantineBeside(path) : join(path, "mailferry", "quarantine"), onProblem);
  let archive: string | undefined;
  let last = 0;
  const { messages } = await checkMboxZip(path, signal, onProblem, (id, lastZip) => {
    archive = id;
    last = lastZip;
  });
  if (archive === undefined || isSingleFile(path)) return { messages };
  const { unfinished, isListed } = await checkOwn(join(path, "mailferry"), signal, onProblem);
  // The last zips may be missing without a gap: the ledger knows of them.
  let recorded = 0;
  await readLedgers(join(path, "mailferry", "ledger"), `mboxzip:${archive}`, onProblem, (ref) => {
    recorded = Math.max(recorded, parseRef(ref)?.zip ?? 0);
  });
  if (recorded > last) onProblem(`${path}: the zips from ${last + 1} to ${recorded} are missing`);
  const { mailBeside } = await import("../../formats/mboxzip/beside.ts");
  return { messages, unfinished, isListed, leftOut: await mailBeside(path, signal) };
};
