// A command line carried out in this process: the executable's own code, without the start of a process.

import { backup } from "../../src/cli/commands/backup.ts";
import { drain } from "../../src/cli/commands/drain.ts";
import { migrate } from "../../src/cli/commands/migrate.ts";
import { restore } from "../../src/cli/commands/restore.ts";
import { type ExitCode, exitCodeOf } from "../../src/cli/exit.ts";
import { errorShape, toPlain } from "../../src/cli/json.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { secretsFrom } from "../../src/cli/secrets.ts";
import type { Session } from "../../src/cli/session.ts";
import type { Ui } from "../../src/cli/ui.ts";
import { firstOf } from "../../src/mail/errors.ts";

const COMMANDS = { backup, drain, migrate, restore };

export interface Carried {
  readonly code: ExitCode;
  /** What a person would have been told. */
  readonly stderr: string;
  /** What --json would have printed. */
  readonly events: readonly { readonly type?: string; readonly [key: string]: unknown }[];
}

/** Never throws for what the command itself would report; `password` is that of both ends. */
export async function carryOut(argv: readonly string[], password: string): Promise<Carried> {
  const said: string[] = [];
  const events: Carried["events"][number][] = [];
  const say = (...lines: readonly string[]): void => void said.push(...lines);
  const ui: Ui = {
    quiet: false,
    verbose: 0,
    json: true,
    say,
    insist: say,
    print: say,
    emit: (event) => void events.push(toPlain(event) as Carried["events"][number]),
    fail: (error) => say(errorShape(error).message, error instanceof Error ? `${error.stack}` : ""),
    through: () => undefined,
  };
  const environment = { MAILFERRY_SOURCE_PASSWORD: password, MAILFERRY_TARGET_PASSWORD: password };
  const interrupts: Session["interrupts"] = {
    signal: new AbortController().signal,
    code: undefined,
    onStop: () => undefined,
    [Symbol.dispose]: () => undefined,
  };
  let code: ExitCode;
  try {
    const parsed = await parseCommandLine(argv, 80);
    if ("print" in parsed) throw new Error(`not a job: ${argv.join(" ")}`);
    const { verb, args } = parsed;
    if (verb === "verify" || verb === "folders") throw new Error(`not a job: ${verb}`);
    const secrets = secretsFrom(environment, say);
    code = await COMMANDS[verb]({ args, ui, secrets, interrupts, environment, trace: undefined });
  } catch (caught) {
    const error = firstOf(caught);
    code = exitCodeOf(error);
    ui.fail(error);
  }
  return { code, stderr: said.join("\n"), events };
}
