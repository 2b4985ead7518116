// Kills the real command at a step of its work, runs it again to the end and once more, and says what it did.

import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const preload = fileURLToPath(new URL("./steps.mjs", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** The kind of every step, in order; empty without counting. */
  readonly steps: readonly string[];
  /** The sums of the run, of --json's last line. */
  readonly summary: { readonly outcome?: string; readonly balance?: Readonly<Record<string, number>> } & Readonly<
    Record<string, unknown>
  >;
}

export interface Death {
  /** From 1. */
  readonly at: number;
  /** Half of the step is carried out, where it writes to a file. */
  readonly torn?: boolean;
}

export interface Command {
  /** The built main file. */
  readonly main: string;
  readonly args: readonly string[];
  readonly password: string;
  /** For files that only this one needs. */
  readonly scratch: string;
}

let runs = 0;

/** Runs it to its end or its death. `count` names its steps. */
export async function start(command: Command, death?: Death, count = false): Promise<Ended> {
  const log = join(command.scratch, `steps${runs++}`);
  const isWatched = death !== undefined || count;
  const child = spawn(
    process.execPath,
    [...(isWatched ? ["--import", preload] : []), command.main, ...command.args, "--json"],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        MAILFERRY_SOURCE_PASSWORD: command.password,
        MAILFERRY_TARGET_PASSWORD: command.password,
        ...(isWatched ? { MAILFERRY_STEPS_LOG: log } : {}),
        ...(death === undefined ? {} : { MAILFERRY_DIE_AT: String(death.at) }),
        ...(death?.torn === true ? { MAILFERRY_DIE_TORN: "1" } : {}),
      },
    },
  );
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once("close", (...how) => resolve(how)),
  );
  return { code, signal, stderr, steps: isWatched ? stepsOf(log) : [], summary: summaryOf(stdout) };
}

function stepsOf(log: string): string[] {
  try {
    return readFileSync(log, "utf8").split("\n").filter(Boolean);
  } catch {
    // It died before its first step.
    return [];
  } finally {
    rmSync(log, { force: true });
  }
}

function summaryOf(stdout: string): Ended["summary"] {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (!last.startsWith("{")) return {};
  const event = JSON.parse(last) as { summary?: Ended["summary"] };
  return event.summary ?? {};
}

/** Of each kind of step the first, the middle and the last. */
export function edges(steps: readonly string[]): number[] {
  const byKind = new Map<string, number[]>();
  for (const [i, kind] of steps.entries()) byKind.set(kind, [...(byKind.get(kind) ?? []), i + 1]);
  const chosen = new Set<number>();
  for (const numbers of byKind.values())
    for (const at of [0, numbers.length >> 1, numbers.length - 1]) chosen.add(numbers[at] ?? 1);
  return [...chosen].sort((a, b) => a - b);
}
