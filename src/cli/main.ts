#!/usr/bin/env node
// The command line: parse, run, report, exit code. This is the one place that catches.

import { EXIT, type ExitCode, exitCodeOf } from "./exit.ts";
import type { Verb } from "./help.ts";
import { listenForInterrupts } from "./interrupts.ts";
import { isOn } from "./options.ts";
import { parseCommandLine } from "./parse.ts";
import { secretsFrom } from "./secrets.ts";
import type { Session } from "./session.ts";
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

async function main(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<ExitCode> {
  // Until the options are read: what goes wrong is said, as JSON too where that was asked for.
  let ui: Ui = openUi({ quiet: false, verbose: 0, json: argv.includes("--json"), hide: (text) => text });
  using interrupts = listenForInterrupts((text) => ui.insist(text));
  process.on("uncaughtException", (error) => {
    ui.through(undefined);
    ui.fail(error);
    process.exit(EXIT.bug);
  });
  try {
    const parsed = await parseCommandLine(argv, process.stdout.columns ?? 80);
    if ("print" in parsed) {
      process.stdout.write(`${parsed.print}\n`);
      return EXIT.complete;
    }
    const { verb, args } = parsed;
    const secrets = secretsFrom(environment, (text) => ui.insist(text));
    const verbose = typeof args.verbose === "number" ? args.verbose : 0;
    ui = openUi({ quiet: isOn(args, "quiet"), verbose, json: isOn(args, "json"), hide: secrets.hide });
    await using trace = openTrace(environment.MAILFERRY_TRACE, secrets.hide, (text) => ui.insist(text));
    const command = await COMMANDS[verb]();
    return await command({ args, ui, secrets, interrupts, environment, trace });
  } catch (error) {
    const code = interrupts.code ?? exitCodeOf(error);
    // Whoever pressed Ctrl-C knows why it ended.
    if (interrupts.code === undefined) ui.fail(error);
    return code;
  }
}

// Whoever reads us may go away (`mailferry folders … | head`): a run goes on, only its words are lost.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    stream.destroy();
  });

const code = await main(process.argv.slice(2), process.env);
process.exitCode = code;
// Everything is closed by now. A handle that a library leaves behind must not keep the process, nor cut what is still written.
for (const stream of [process.stdout, process.stderr])
  if (!stream.destroyed) await new Promise<void>((resolve) => stream.write("", () => resolve()));
process.exit(code);
