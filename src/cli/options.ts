// The options of the verbs: how they are written in --help, and what their text becomes.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Options } from "yargs";
import { configError } from "../mail/errors.ts";
import { type FolderPath, parsePath, SPECIAL_USES, type SpecialUse } from "../mail/model.ts";
import type { MostRemoved } from "../migrate/context.ts";
import type { FolderMap } from "../migrate/plan.ts";
import type { SecretOptions } from "./secrets.ts";
import { parseCount, parseDate, parseDuration, parseSize } from "./values.ts";

const text = (description: string, group: string): Options => ({
  type: "string",
  requiresArg: true,
  description,
  group,
});
const flag = (description: string, group: string): Options => ({ type: "boolean", description, group });

const WHICH = "Which mail:";
const WHERE = "Where it goes:";
const HOW = "How:";
const OUTPUT = "Output:";
const SECRETS = "Passwords:";

export const SELECTION_OPTIONS = {
  folder: text('Only folders that match GLOB (repeatable; "*" within a name, "**" spans)', WHICH),
  use: text("Only folders of this use (inbox, sent, all, …), whatever they are called (repeatable)", WHICH),
  exclude: text("Not the folders that match GLOB (repeatable)", WHICH),
  since: text("Received on DATE or later (2024-01-31, UTC)", WHICH),
  before: text("Received before DATE", WHICH),
  "max-size": text("Nothing larger than SIZE (25M)", WHICH),
  "skip-deleted": flag("Leave out messages that are marked as deleted", WHICH),
  "follow-links": flag(
    "Of a folder on a disk, what links lead to outside of it too (never in an archive of ours)",
    WHICH,
  ),
  "with-expunged": flag("Bring what Thunderbird deleted and has not compacted yet", WHICH),
  map: text("OLD=NEW: another name for a folder and all below it (repeatable)", WHERE),
  into: text("Everything below this folder of the target", WHERE),
} as const;

export const RUN_OPTIONS = {
  "no-flags": flag("Don't bring over flags that changed since the last run", HOW),
  recheck: flag("Trust no record: look at both ends, copy what is missing", HOW),
  prove: flag("Read back every copy before it counts as done", HOW),
  "dry-run": flag("Change nothing, print the plan", HOW),
  "must-exist": flag("Only into an archive that is there already: on a disk that may not be mounted", WHERE),
  state: text("Where the record of a copy between accounts lies (default: the XDG state folder)", HOW),
} as const;

/** For the verbs that delete at the source. */
export const REMOVE_OPTIONS = {
  "max-delete": text("When more than N messages, or P% of those listed, would go from the source, delete none", HOW),
  yes: flag("Don't ask before messages are deleted at the source", HOW),
} as const;

export const CONNECTION_OPTIONS = {
  connections: text("Connections to one server at the most", HOW),
  "allow-cleartext": flag("Let tls=none send the password in the clear to another machine", HOW),
} as const;

export const OUTPUT_OPTIONS = {
  json: flag("Events as JSON, one a line, on stdout", OUTPUT),
  report: text("Write the full report (JSON) to FILE", OUTPUT),
  quiet: { ...flag("Print errors only", OUTPUT), alias: "q" },
  verbose: { type: "count", description: "Say more (-vv: stack traces too)", group: OUTPUT, alias: "v" },
} as const satisfies Record<string, Options>;

export const SOURCE_SECRET_OPTIONS = {
  "source-password-command": text("The shell runs CMD; its first line is the source's password", SECRETS),
  "source-password-file": text("The first line of F is the source's password", SECRETS),
} as const;

export const TARGET_SECRET_OPTIONS = {
  "target-password-command": text("The same for the target", SECRETS),
  "target-password-file": text("The same for the target", SECRETS),
} as const;

/** Common options that a verb has no use for, and takes in silence: a script may give all of its commands the same ones. */
export function harmless(options: Readonly<Record<string, Options>>): Record<string, Options> {
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, { ...option, hidden: true }]));
}

/** What yargs made of a command line. */
export type Arguments = Readonly<Record<string, unknown>>;

/** One text. Throws MailError config when the option was given twice or is empty. */
export function textOf(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) throw configError(`--${name} is given ${value.length} times`, "Give it once.");
  if (typeof value !== "string" || value === "") throw configError(`--${name} has no value`, `Write --${name} VALUE.`);
  return value;
}

/** The texts of a repeatable option, in order. */
export function textsOf(args: Arguments, name: string): readonly string[] {
  const value = args[name];
  const texts: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return texts.map((one) => {
    if (typeof one !== "string" || one === "") throw configError(`--${name} has no value`, `Write --${name} VALUE.`);
    return one;
  });
}

export const isOn = (args: Arguments, name: string): boolean => args[name] === true;

/** Which mail is meant, and where it goes: what names the job of an archive that is written once. */
export interface SelectionOptions extends FolderMap {
  readonly since?: number;
  readonly before?: number;
  readonly maxSize?: number;
}

/** `--folder`, `--use` and `--exclude`; undefined without any. */
export function selectOf(args: Arguments): FolderMap["select"] {
  const include = textsOf(args, "folder");
  const exclude = textsOf(args, "exclude");
  const uses = textsOf(args, "use").map(parseUse);
  if (include.length + exclude.length + uses.length === 0) return undefined;
  // Without any the job of an archive that is written once has the name that it always had.
  return { include, exclude, ...(uses.length === 0 ? {} : { uses }) };
}

function parseUse(text: string): SpecialUse {
  const word = text.replace(/^\\/, "").toLowerCase();
  const use = SPECIAL_USES.find((one) => one === word);
  if (use === undefined)
    throw configError(`--use "${text}" is no use of a folder`, `Known are ${SPECIAL_USES.join(", ")}.`);
  return use;
}

/** Throws MailError config naming the option. */
export function selectionOf(args: Arguments): SelectionOptions {
  const select = selectOf(args);
  const map = textsOf(args, "map").map(parseMap);
  const intoText = textOf(args, "into");
  const into = intoText === undefined ? undefined : folderPath(intoText, "--into");
  const since = parsed(args, "since", parseDate);
  const before = parsed(args, "before", parseDate);
  const maxSize = parsed(args, "max-size", parseSize);
  if (since !== undefined && before !== undefined && since >= before)
    throw configError(
      "--since is not earlier than --before, so that no message is between them",
      "Swap the two dates.",
    );
  return {
    ...(select === undefined ? {} : { select }),
    ...(map.length === 0 ? {} : { map }),
    ...(into === undefined ? {} : { into }),
    ...(since === undefined ? {} : { since }),
    ...(before === undefined ? {} : { before }),
    ...(maxSize === undefined ? {} : { maxSize }),
  };
}

function parsed<T>(args: Arguments, name: string, parse: (text: string, option: string) => T): T | undefined {
  const value = textOf(args, name);
  return value === undefined ? undefined : parse(value, `--${name}`);
}

function folderPath(value: string, option: string): FolderPath {
  const path = parsePath(value);
  if (path.length === 0) throw configError(`${option} "${value}" names no folder`, `Write names joined by "/".`);
  return path;
}

/** "OLD=NEW" at the first "=" that has no backslash before it. */
function parseMap(value: string): { from: FolderPath; to: FolderPath } {
  const match = /^((?:[^\\=]|\\.)*)=((?:[^\\=]|\\.)*)$/s.exec(value);
  if (match === null)
    throw configError(
      `--map "${value}" is not OLD=NEW`,
      'Write --map Old=New/Place; a "=" inside a name is written \\=.',
    );
  return { from: folderPath(match[1] ?? "", "--map"), to: folderPath(match[2] ?? "", "--map") };
}

/** `--connections`. */
export function connectionsOf(args: Arguments): number | undefined {
  return parsed(args, "connections", (value, option) => parseCount(value, option, 64));
}

/** `--leave-for` in seconds. */
export function leaveForOf(args: Arguments): number | undefined {
  return parsed(args, "leave-for", parseDuration);
}

/** `--max-delete`: "500", "10%". */
export function maxDeleteOf(args: Arguments): MostRemoved | undefined {
  return parsed(args, "max-delete", (value, option) => {
    const [, digits = "", percent] = /^(\d{1,9}(?:\.\d{1,3})?)(%?)$/.exec(value) ?? [];
    const number = Number(digits);
    if (digits !== "" && percent === "%" && number <= 100) return { percent: number };
    if (digits !== "" && percent === "" && Number.isInteger(number)) return { count: number };
    throw configError(
      `${option} "${value}" is neither a number of messages nor a share`,
      `Write ${option} 500 or ${option} 10%.`,
    );
  });
}

export function secretOptionsOf(args: Arguments, side: "source" | "target"): SecretOptions {
  const command = textOf(args, `${side}-password-command`);
  const file = textOf(args, `${side}-password-file`);
  return { ...(command === undefined ? {} : { command }), ...(file === undefined ? {} : { file }) };
}

/** The XDG Base Directory rule: a relative $XDG_STATE_HOME is ignored. */
export function stateDirectoryOf(args: Arguments, environment: NodeJS.ProcessEnv): string {
  const given = textOf(args, "state");
  if (given !== undefined) return resolve(given);
  const home = environment.XDG_STATE_HOME;
  if (home?.startsWith("/")) return join(home, "mailferry");
  return join(homedir(), ".local", "state", "mailferry");
}
