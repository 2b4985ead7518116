// One command line from its words to its exit code: parse, run, report. This is the one place that catches.

import { existsSync } from "node:fs";
import { readOwnNow } from "../core/own-file.ts";
import { version } from "../core/version.ts";
import { configError, firstOf } from "../mail/errors.ts";
import { EXIT, type ExitCode, exitCodeOf } from "./exit.ts";
import type { Verb } from "./help.ts";
import { listenForInterrupts } from "./interrupts.ts";
import { isNoFolder, NO_FOLDER } from "./no-folder.ts";
import { isOn, textOf } from "./options.ts";
import { parseCommandLine } from "./parse.ts";
import { openReportFile } from "./report-file.ts";
import { headOf } from "./report-head.ts";
import { secretsFrom } from "./secrets.ts";
import type { Session } from "./session.ts";
import { plain } from "./text.ts";
import { openTrace } from "./trace.ts";
import { openUi, type Ui } from "./ui.ts";

type Command = (session: Session) => Promise<ExitCode>;

const COMMANDS: Readonly<Record<Verb, () => Promise<Command>>> = {
  backup: async () => (await import("./commands/backup.ts")).backup,
  migrate: async () => (await import("./commands/migrate.ts")).migrate,
  drain: async () => (await import("./commands/drain.ts")).drain,
  restore: async () => (await import("./commands/restore.ts")).restore,
  verify: async () => (await import("./commands/verify.ts")).verify,
  folders: async () => (await import("./commands/folders.ts")).folders,
};

/** Of the command that runs, for what is said behind its back. */
let hide = (text: string): string => text;

/** What is said of an error that nobody awaited: harmless for a terminal and without the secrets met so far, as all that is said. */
export function lastWords(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${hide(`mailferry: this is a bug: ${text}`).split("\n").map(plain).join("\n")}\n`;
}

/** Runs one command line to its exit code. Never throws; signals are heard until it ends. */
export async function program(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<ExitCode> {
  // Until the options are read: what goes wrong is said, as JSON too where that was asked for.
  let ui: Ui = openUi({ quiet: false, verbose: 0, json: argv.includes("--json"), hide: (text) => text });
  using interrupts = listenForInterrupts((text) => ui.insist(text));
  try {
    const parsed = await parseCommandLine(argv, process.stdout.columns || 80).catch(async (error: unknown) => {
      await reportRefusal(argv, error);
      throw error;
    });
    if ("print" in parsed) {
      process.stdout.write(`${parsed.print}\n`);
      return EXIT.complete;
    }
    const { verb, args } = parsed;
    const secrets = secretsFrom(environment, (text) => ui.insist(text));
    hide = secrets.hide;
    const verbose = typeof args.verbose === "number" ? args.verbose : 0;
    ui = openUi({ quiet: isOn(args, "quiet"), verbose, json: isOn(args, "json"), hide: secrets.hide });
    await using trace = openTrace(environment.MAILFERRY_TRACE, secrets.hide, (text) => ui.insist(text));
    const command = await COMMANDS[verb]();
    const reportPath = textOf(args, "report");
    await using report = reportPath === undefined ? undefined : await openReportFile(reportPath, headOf(verb, args));
    try {
      return await command({ args, ui, secrets, interrupts, environment, trace, report });
    } catch (error) {
      // What is refused before it begins is reported too; that it cannot be written is the lesser of the two.
      const exitCode = interrupts.code ?? exitCodeOf(withoutFolder(firstOf(error)));
      if (report?.isFinished === false)
        await report.finish({ ...(interrupts.code === undefined ? { error } : {}), exitCode }).catch(() => undefined);
      throw error;
    }
  } catch (caught) {
    const error = withoutFolder(firstOf(caught));
    const code = interrupts.code ?? exitCodeOf(error);
    // Whoever pressed Ctrl-C knows why it ended.
    if (interrupts.code === undefined) ui.fail(error);
    return code;
  }
}

const REPORT_START = '{"startedAt":';

/** A command line that cannot be read may name a report all the same. That it cannot be written is the lesser of the two. */
async function reportRefusal(argv: readonly string[], error: unknown): Promise<void> {
  const at = argv.findIndex((word) => /^--report(?:=|$)/.test(word));
  const path = argv[at]?.startsWith("--report=") === true ? argv[at]?.slice("--report=".length) : argv[at + 1];
  if (at === -1 || path === undefined || path.startsWith("-")) return;
  try {
    // Which word is the name of the report is not certain in such a line: nothing else is written over.
    if (existsSync(path) && readOwnNow(path).toString("latin1", 0, REPORT_START.length) !== REPORT_START) return;
    await using file = await openReportFile(path, { startedAt: new Date(), version: version() });
    await file.finish({ error, exitCode: exitCodeOf(firstOf(error)) });
  } catch {
    // The command line is what is to be told.
  }
}

function withoutFolder(error: unknown): unknown {
  return isNoFolder(error) ? configError(NO_FOLDER.message, NO_FOLDER.hint, error) : error;
}
