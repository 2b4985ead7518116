// The contract of what is measured: mailferry, the tools of others, and the floors.

import { execFileSync } from "node:child_process";
import type { Account } from "../floors/socket.ts";
import type { Command } from "../measure.ts";
import type { Line } from "../place.ts";

export type Route = "imap-maildir" | "imap-mboxzip" | "imap-imap" | "pop3-maildir" | "mbox-imap" | "mbox-split";
/** A first copy of everything; a run when nothing changed; a run after a few messages came. */
export type Moment = "first" | "unchanged" | "new";

/** One thing to do. Paths are absolute; `state` and `target` are the tool's own and stay from a first run to the next. */
export interface Job {
  readonly route: Route;
  readonly moment: Moment;
  /** The account to read; for the mbox route it is not used. */
  readonly source: Account;
  /** The account to write. */
  readonly account?: Account;
  /** The folder to write below; it is there. */
  readonly target: string;
  /** A folder for configurations and records; it is there. */
  readonly state: string;
  /** The mbox file to read. */
  readonly mbox: string;
  /** Verifies the server. */
  readonly caFile: string;
}

export interface Tool {
  readonly name: string;
  readonly kind: "mailferry" | "peer" | "floor";
  /** As it calls itself; undefined when it is not installed. Floors have none and are always there. */
  version?(): string | undefined;
  does(route: Route, moment: Moment, line: Line): boolean;
  /** Header fields that it adds to the mail: not counted as wrong, but told. */
  readonly adds?: readonly string[];
  /** Writes what it needs into `job.state`; the command is then run. */
  command(job: Job): Command;
  /**
   * What must be there afterwards: the mail (default; of a split mbox the keys that it prints), or only so many octets or lines
   * that it prints itself, or nothing.
   */
  readonly proves?: "mail" | "bytes" | "nothing";
}

/** The first number with dots that a program prints when it is asked for its version. */
export function versionOf(program: string, args: readonly string[] = ["--version"]): string | undefined {
  try {
    const said = execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return /\d+(?:\.\d+)+/.exec(said)?.[0] ?? "of an unknown version";
  } catch {
    return undefined;
  }
}
