// The command line, read by yargs: a verb and its arguments, or the help that was asked for, or one clear error.

import yargs, { type Argv, type Options } from "yargs";
import { nearest } from "../core/near.ts";
import { version } from "../core/version.ts";
import { configError } from "../mail/errors.ts";
import { FOOTER, VERBS, type Verb } from "./help.ts";
import {
  type Arguments,
  CONNECTION_OPTIONS,
  harmless,
  OUTPUT_OPTIONS,
  REMOVE_OPTIONS,
  RUN_OPTIONS,
  SELECTION_OPTIONS,
  SOURCE_SECRET_OPTIONS,
  TARGET_SECRET_OPTIONS,
} from "./options.ts";

export type Parsed =
  | { readonly verb: Verb; readonly args: Arguments }
  /** --help, --version. */
  | { readonly print: string };

const RUN = {
  ...SELECTION_OPTIONS,
  ...RUN_OPTIONS,
  ...CONNECTION_OPTIONS,
  ...SOURCE_SECRET_OPTIONS,
  ...TARGET_SECRET_OPTIONS,
  ...OUTPUT_OPTIONS,
};
const own = (description: string): Options => ({ type: "boolean", description, group: "This command:" });

const OPTIONS_OF: Readonly<Record<Verb, Readonly<Record<string, Options>>>> = {
  backup: RUN,
  restore: RUN,
  migrate: { move: own("Delete from the source what was copied and proved"), ...REMOVE_OPTIONS, ...RUN },
  drain: {
    leave: own("Delete nothing"),
    "leave-for": {
      type: "string",
      requiresArg: true,
      description: "Delete only what has been in the archive for so long (14d)",
      group: "This command:",
    },
    ...REMOVE_OPTIONS,
    ...RUN,
  },
  verify: {
    "both-ways": own("Messages that only the target has count as differences too"),
    quick: own("Compare Message-ID, size, date and flags, without the bodies: weaker"),
    ...SELECTION_OPTIONS,
    ...CONNECTION_OPTIONS,
    ...SOURCE_SECRET_OPTIONS,
    ...TARGET_SECRET_OPTIONS,
    ...OUTPUT_OPTIONS,
    ...harmless(RUN_OPTIONS),
  },
  folders: {
    folder: SELECTION_OPTIONS.folder,
    use: SELECTION_OPTIONS.use,
    exclude: SELECTION_OPTIONS.exclude,
    "follow-links": SELECTION_OPTIONS["follow-links"],
    ...CONNECTION_OPTIONS,
    ...SOURCE_SECRET_OPTIONS,
    ...OUTPUT_OPTIONS,
    ...harmless({ ...RUN_OPTIONS, ...TARGET_SECRET_OPTIONS }),
  },
};

/** Throws MailError config for anything that cannot be understood; no value is repeated that may be a password. */
export async function parseCommandLine(argv: readonly string[], columns: number): Promise<Parsed> {
  if (argv.some((arg) => /^--?(source-|target-)?(password|pass|pw)(=|$)/.test(arg)))
    throw configError(
      "a password is never given on the command line, where other users can read it",
      "Use MAILFERRY_SOURCE_PASSWORD, --source-password-command, --source-password-file or the prompt (and TARGET alike).",
    );
  let chosen: { verb: Verb; args: Arguments } | undefined;
  let problem: string | undefined;
  // yargs lays out the whole help before it runs a command, whoever wants to see it; what is hidden costs nothing.
  const hidden = !argv.some((arg) => /^(--h|-[^-]*h|help$)/.test(arg));
  const parser = common(yargs([...argv]), columns, hidden);
  for (const [verb, { usage, summary }] of Object.entries(VERBS) as [Verb, (typeof VERBS)[Verb]][]) {
    parser.command(
      `${verb} ${usage}`,
      summary,
      (sub: Argv) => {
        sub.options(hidden ? unseen(OPTIONS_OF[verb]) : { ...OPTIONS_OF[verb] });
        if (!hidden) sub.usage(`mailferry ${verb} ${usage}\n\n${VERBS[verb].text}`);
        for (const name of usage.match(/\w+/g) ?? []) {
          sub.positional(name, { type: "string", description: hidden ? "" : (PLACES[name] ?? "") });
          if (hidden) sub.hide(name);
        }
        return sub;
      },
      (args) => {
        chosen = { verb, args: args as Arguments };
      },
    );
  }
  parser.fail((message, error) => {
    problem ??= message ?? String(error);
  });
  let output = "";
  await parser.parseAsync([...argv], {}, (_error, _args, text) => {
    output = text;
  });
  const asked = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  const verb = asked.find((arg): arg is Verb => Object.hasOwn(VERBS, arg));
  if (problem === undefined && output !== "") return { print: withEpilogue(output, verb) };
  if (problem === undefined && chosen !== undefined) return chosen;
  throw usageError(problem ?? "no command was given", verb, asked);
}

function unseen(options: Readonly<Record<string, Options>>): Record<string, Options> {
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, { ...option, hidden: true }]));
}

/** yargs would break the lines of an epilogue, and with them its columns and every command that is to be pasted. */
function withEpilogue(output: string, verb: Verb | undefined): string {
  // --version.
  if (!output.includes("\n")) return output;
  if (verb === undefined) return `${output}\n\n${FOOTER}`;
  const shown = VERBS[verb].examples.map(([command, meaning]) => `  # ${meaning}\n  mailferry ${verb} ${command}`);
  return (
    `${output}\n\nExamples:\n${shown.join("\n")}\n\n` +
    "mailferry --help lists the endpoints, how passwords are given, and the exit codes."
  );
}

const PLACES: Readonly<Record<string, string>> = {
  source: "Where the mail is",
  target: "Where it should be",
  archive: "maildir:DIR, mboxzip:FILE.zip or mboxzip:DIR",
  endpoint: "Any of the endpoints",
};

function common(parser: Argv, columns: number, hidden: boolean): Argv {
  parser
    .scriptName("mailferry")
    .locale("en")
    .parserConfiguration({
      // "--no-flags" is an option of its own; dots and numbers in values mean nothing special.
      "boolean-negation": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "camel-case-expansion": false,
    })
    .usage(
      hidden
        ? ""
        : "mailferry carries mail from where it is to where it should be, and proves that it arrived.\n\nmailferry <command>",
    )
    .strict()
    .demandCommand(1, "no command was given")
    .exitProcess(false)
    .showHelpOnFail(false)
    .help("help")
    .alias("help", "h")
    .version("version", version())
    .alias("version", "V")
    .group(["help", "version"], "Output:")
    .wrap(hidden ? null : Math.max(60, Math.min(100, columns)));
  return hidden ? parser.hide("help").hide("version") : parser;
}

/** A "&" ends a command in a shell, and what follows it is another one. */
const CUT_URL =
  "Was there an & in the URL? A shell ends the command there: quote it, as in 'imaps://user@host?ca=FILE&connections=2'.";

function isCutUrl(word: string): boolean {
  return /^[a-z0-9]+:.*\?[a-z-]+=[^&]*$/i.test(word);
}

/** yargs' words as one line that says what is wrong and what is near. */
function usageError(message: string, verb: Verb | undefined, argv: readonly string[]): Error {
  const help = `mailferry ${verb === undefined ? "" : `${verb} `}--help shows what there is.`;
  if (verb === undefined) {
    const word = argv.find((arg) => !arg.startsWith("-"));
    if (word === undefined) return configError("no command was given", help);
    const near = nearest(word, Object.keys(VERBS));
    const shown = /^[\w-]{1,30}$/.test(word) ? `"${word}" is no command` : "the first word is no command";
    return configError(shown, `${near === undefined ? "" : `Did you mean "${near}"? `}${help}`);
  }
  const unknown = /^Unknown arguments?: (.*)$/s.exec(message)?.[1];
  if (unknown !== undefined) {
    const options = argv
      .filter((arg) => arg.startsWith("-"))
      .map((arg) => arg.replace(/^--?/, "").replace(/=.*$/s, ""));
    // yargs lists the words of a repeated argument too: only what is an option and is none of ours is named.
    const name = options.find((option) => unknown.split(", ").includes(option));
    if (name === undefined)
      return configError(`${verb} takes ${VERBS[verb].usage} and no more`, `Quote a path with spaces. ${help}`);
    const near = nearest(name, Object.keys(OPTIONS_OF[verb]));
    const dashes = name.length === 1 ? "-" : "--";
    const shown = /^[\w-]{1,40}$/.test(name) ? `"${dashes}${name}"` : "an option";
    return configError(
      `${verb} does not know ${shown}`,
      `${near === undefined ? "" : `Did you mean --${near}? `}${help}`,
    );
  }
  if (message.startsWith("Not enough non-option arguments"))
    return configError(`${verb} needs ${VERBS[verb].usage}`, argv.some(isCutUrl) ? `${CUT_URL} ${help}` : help);
  const lacking = /^Not enough arguments following: (\S+)/.exec(message)?.[1];
  if (lacking !== undefined) return configError(`--${lacking} has no value`, help);
  return configError(message.split("\n")[0] ?? message, help);
}
