// Runs the real command as a process that gets signals at steps of its work, and says what it did.

import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { carryOut } from "./in-process.ts";

const steps = fileURLToPath(new URL("./steps.mjs", import.meta.url));
const wrongClock = fileURLToPath(new URL("./clock.mjs", import.meta.url));

/** The sums of a run, of --json's last line; empty when it did not come to its end. */
export type Summary = {
  readonly outcome?: string;
  readonly balance?: Readonly<Record<string, number>>;
} & Readonly<Record<string, unknown>>;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** The kind of every step, in order; empty without counting. */
  readonly steps: readonly string[];
  readonly summary: Summary;
}

export interface Death {
  /** The kind of step, and which of them, from 1. */
  readonly kind: string;
  readonly nth: number;
  /** Half of the step is carried out, where it writes to a file or a server. */
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

export interface Watch {
  readonly death?: Death;
  /** Other signals, each before a step: counted from 1 over all, or "kind/nth". */
  readonly signals?: readonly { readonly name: NodeJS.Signals; readonly at: number | string }[];
  /** Names its steps though it gets no signal. */
  readonly count?: boolean;
  /** How wrong its clock is: from the beginning, and by so much more once it was looked at so often. */
  readonly clock?: { readonly seconds?: number; readonly jumpSeconds?: number; readonly afterLooks?: number };
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves when a SIGSTOP has taken hold of it; rejects when it ended before. */
  stopped(): Promise<void>;
  /** To its whole group; harmless once it has ended. */
  signal(name: NodeJS.Signals): void;
}

let runs = 0;

export function launch(command: Command, { death, signals = [], count = false, clock }: Watch = {}): Running {
  const log = join(command.scratch, `steps${runs++}`);
  const all = Object.fromEntries<NodeJS.Signals>(
    death === undefined ? signals.map(({ name, at }) => [at, name]) : [[`${death.kind}/${death.nth}`, "SIGKILL"]],
  );
  const isWatched = death !== undefined || signals.length > 0 || count;
  const preloads = [...(isWatched ? [steps] : []), ...(clock === undefined ? [] : [wrongClock])];
  const child = spawn(
    process.execPath,
    [...preloads.flatMap((file) => ["--import", file]), command.main, ...command.args, "--json"],
    {
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own: stopped and continued as a terminal does it.
      detached: true,
      env: {
        ...process.env,
        MAILFERRY_SOURCE_PASSWORD: command.password,
        MAILFERRY_TARGET_PASSWORD: command.password,
        ...(isWatched ? { MAILFERRY_STEPS_LOG: log } : {}),
        MAILFERRY_SIGNALS: JSON.stringify(all),
        ...(death?.torn === true ? { MAILFERRY_TORN: "1" } : {}),
        MAILFERRY_CLOCK: [clock?.seconds ?? 0, clock?.jumpSeconds ?? 0, clock?.afterLooks ?? 0].join(" "),
      },
    },
  );
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) =>
    child.once("close", (...how) => resolve(how)).once("error", reject),
  );
  const pid = child.pid ?? 0;
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    ended: closed.then(([code, signal]) => ({
      code,
      signal,
      stderr,
      steps: isWatched ? stepsOf(log) : [],
      summary: summaryOf(stdout),
    })),
    async stopped() {
      while (stateOf(pid) !== "T") {
        if (hasEnded()) throw new Error(`it ended before it could be stopped: ${stderr}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    signal(name) {
      if (!hasEnded()) process.kill(-pid, name);
    },
  };
}

/** Runs it to its end or its death. */
export async function start(command: Command, watch: Watch = {}): Promise<Ended> {
  return launch(command, watch).ended;
}

/** The third field of /proc/PID/stat, after the name in brackets. */
function stateOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "")[0];
  } catch {
    return undefined;
  }
}

/** The same command in this process: for the runs that nobody kills. */
export async function startHere({ args, password }: Command): Promise<Ended> {
  const { code, stderr, events } = await carryOut([...args, "--json"], password);
  const { summary = {} } = (events.at(-1) ?? {}) as { summary?: Summary };
  return { code, signal: null, stderr, steps: [], summary };
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

function summaryOf(stdout: string): Summary {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (!last.startsWith("{")) return {};
  const event = JSON.parse(last) as { summary?: Summary };
  return event.summary ?? {};
}
