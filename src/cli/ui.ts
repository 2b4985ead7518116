// What is said, and where: words for people on stderr (above the bars, when there are some), data on stdout.

import { MailError } from "../mail/errors.ts";
import { errorShape, jsonLine } from "./json.ts";
import { plain } from "./text.ts";

export interface UiOptions {
  readonly quiet: boolean;
  readonly verbose: number;
  readonly json: boolean;
  /** Takes known secrets out of what others said. */
  readonly hide: (text: string) => string;
}

export interface Ui {
  readonly quiet: boolean;
  readonly verbose: number;
  readonly json: boolean;
  /** Lines for people, on stderr; not with -q. */
  say(...lines: readonly string[]): void;
  /** Lines for people that -q does not silence. */
  insist(...lines: readonly string[]): void;
  /** Lines of a table or a plan, on stdout. */
  print(...lines: readonly string[]): void;
  /** One event as JSON on stdout. Await the result where it is one: the reader is behind. */
  emit(event: object): Promise<void> | undefined;
  /** What ended the command: one line (what, where, what to do); a stack for a bug, and with -vv. */
  fail(error: unknown): void;
  /** While something is drawn, lines for people go through it. */
  through(write: ((text: string) => void) | undefined): void;
}

export function openUi({ quiet, verbose, json, hide }: UiOptions): Ui {
  const { stdout, stderr } = process;
  let drawn: ((text: string) => void) | undefined;
  const toPeople = (lines: readonly string[]): void => {
    if (lines.length === 0) return;
    const text = `${lines.map(plain).join("\n")}\n`;
    if (drawn === undefined) stderr.write(text);
    else drawn(text);
  };
  const emit = (event: object): Promise<void> | undefined => {
    if (stdout.destroyed || stdout.write(`${jsonLine(event)}\n`)) return undefined;
    return new Promise((resolve) => {
      const go = (): void => {
        stdout.off("drain", go).off("close", go);
        resolve();
      };
      stdout.once("drain", go).once("close", go);
    });
  };
  return {
    quiet,
    verbose,
    json,
    say: (...lines) => (quiet ? undefined : toPeople(lines)),
    insist: (...lines) => toPeople(lines),
    print(...lines) {
      if (lines.length > 0 && !stdout.destroyed) stdout.write(`${lines.map(plain).join("\n")}\n`);
    },
    emit,
    fail(error) {
      const shape = errorShape(error);
      const { code, hint } = shape;
      const isBug = code === "bug";
      // What others said was cleaned where it was read. Our own sentences stay as they are, whatever words the password is made of.
      const message = isBug ? hide(shape.message) : shape.message;
      if (json) emit({ type: "error", ...shape, message });
      const end = /[.!?…]$/.test(message) ? "" : ".";
      toPeople([
        isBug
          ? `mailferry: this is a bug: ${message}`
          : `mailferry: ${message}${hint === undefined ? "" : `${end} ${hint}`}`.replaceAll("\n", " "),
      ]);
      if (isBug || verbose >= 2) toPeople(stackOf(error).map(hide));
    },
    through(write) {
      drawn = write;
    },
  };
}

/** The stack and those of its causes, as lines. */
function stackOf(error: unknown): string[] {
  const lines: string[] = [];
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const head = depth === 0 ? "" : "caused by ";
    lines.push(...`${head}${at.stack ?? at.message}`.split("\n"));
    if (at instanceof MailError) lines.push(`    (${at.code}, ${at.details.scope}, ${at.details.remedy})`);
    at = at.cause;
  }
  return lines;
}
