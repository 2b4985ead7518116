// Runs one command to its end and says what it cost: wall time, CPU and peak memory of the whole process tree.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** For tools that refuse to work as root: when the bench is root, they run as "nobody". */
  readonly unprivileged?: boolean;
  /** Exit codes that mean success; default 0. */
  readonly good?: readonly number[];
}

export interface Cost {
  readonly wallSeconds: number;
  /** User and system time; NaN where nobody counted. */
  readonly cpuSeconds: number;
  /** Of the largest process; NaN where nobody counted. */
  readonly peakMb: number;
}

export type Outcome =
  | { readonly ended: "well"; readonly cost: Cost; readonly stdout: string; readonly stderr: string }
  | { readonly ended: "late"; readonly cost: Cost }
  | { readonly ended: "badly"; readonly cost: Cost; readonly why: string };

const TIME = "/usr/bin/time";
const NOBODY = 65_534;
const KEPT_OUTPUT = 4000;

/** GNU time asks the kernel (wait4); without it CPU and memory stay unknown. */
export function canCount(): boolean {
  return existsSync(TIME);
}

/** `scratch` is a folder for the count; `limitSeconds` ends the command and everything it started. */
export async function measure(command: Command, scratch: string, limitSeconds: number): Promise<Outcome> {
  const counts = join(scratch, "time");
  rmSync(counts, { force: true });
  const counted = canCount();
  const [program, args] = counted
    ? [TIME, ["-q", "-f", "%U %S %M", "-o", counts, command.program, ...command.args]]
    : [command.program, command.args];
  const started = process.hrtime.bigint();
  const isLent = command.unprivileged === true && process.getuid?.() === 0;
  if (isLent) execFileSync("chown", ["-R", `${NOBODY}:${NOBODY}`, scratch]);
  // A group of its own, so that the limit also ends what the command started.
  const child = spawn(program, args, {
    cwd: scratch,
    detached: true,
    ...(isLent ? { uid: NOBODY, gid: NOBODY } : {}),
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...command.env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout = (stdout + text).slice(-KEPT_OUTPUT)));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-KEPT_OUTPUT)));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, limitSeconds * 1000);
  let wallSeconds = Number.NaN;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => {
      wallSeconds = Number(process.hrtime.bigint() - started) / 1e9;
    });
    child.once("close", resolve);
  }).finally(() => clearTimeout(timer));
  const [user = Number.NaN, system = Number.NaN, kilobytes = Number.NaN] =
    counted && !isLate && existsSync(counts) ? readFileSync(counts, "utf8").trim().split(" ").map(Number) : [];
  const cost = { wallSeconds, cpuSeconds: user + system, peakMb: kilobytes / 1024 };
  if (isLate) return { ended: "late", cost };
  if (!(command.good ?? [0]).includes(code ?? -1)) {
    const said = (stderr.trim() || stdout.trim()).split("\n").slice(-3).join(" / ");
    return { ended: "badly", cost, why: `exit ${code}: ${said}` };
  }
  return { ended: "well", cost, stdout, stderr };
}
