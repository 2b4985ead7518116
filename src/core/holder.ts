// Who holds a lock, as its file says it, and whether that process can be seen to be dead from here.

import { randomUUID } from "node:crypto";
import { readFile, readlink, stat } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { errno } from "./errors.ts";
import { readOwn } from "./own-file.ts";

export interface Holder {
  /** Names this very acquisition. */
  readonly token: string;
  readonly pid: number;
  readonly host: string;
  /** Epoch seconds when it was taken. */
  readonly since: number;
  /** Clock ticks from boot to the start of the process: tells a process from a later one with the same pid. Linux only. */
  readonly start?: string;
  /** Differs after every boot. Linux only. */
  readonly boot?: string;
  /** The pid namespace: a pid means nothing in another one (containers). Linux only. */
  readonly space?: string;
  /** Of the installation; clones may share it. Linux only. */
  readonly machine?: string;
  /** The same in all locks of one process, and in no other's. */
  readonly life?: string;
  /** Grows while the process lives. Absent: written by a version that does not renew its locks. */
  readonly renewals?: string;
  /** Epoch seconds of the last renewal, by its own clock. */
  readonly renewed?: string;
}

const LIFE = randomUUID();
/** How exact the clock and the up time are when they are used to tell whether a lock is older than the boot. */
const BOOT_SLACK_SECONDS = 60;

/** A lock file's whole text; what is renewed stands at its end, always with the same length. */
export function textOf(holder: Holder, renewals: number, epochSeconds: number): string {
  return `${beginOf(holder)}${endOf(renewals, epochSeconds)}`;
}

/** What stays the same in it. */
export function beginOf(holder: Holder): string {
  return `${JSON.stringify(holder).slice(0, -1)},`;
}

export function endOf(renewals: number, epochSeconds: number): string {
  const [count, time] = [String(renewals).padStart(8, "0"), String(Math.floor(epochSeconds)).padStart(12, "0")];
  return `"renewals":"${count}","renewed":"${time}"}\n`;
}

export interface Found {
  readonly holder: Holder | undefined;
  /** The holder's token, or something as good for a file that names none. */
  readonly id: string;
  readonly text: string;
  readonly ageMs: number;
}

/** Undefined where there is none. */
export async function readLock(path: string): Promise<Found | undefined> {
  try {
    const [bytes, { mtimeMs, ino }] = await Promise.all([readOwn(path), stat(path)]);
    const text = bytes.toString("utf8");
    const holder = parseHolder(text);
    // From the time to come after the clock was set back: then it is not just being written.
    return { holder, id: holder?.token ?? `unreadable-${ino}`, text, ageMs: Math.abs(Date.now() - mtimeMs) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** ESTALE: on a network file system, replaced by another machine in this very moment. */
export function isMissing(error: unknown): boolean {
  const code = errno(error);
  return code === "ENOENT" || code === "ESTALE";
}

export function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { token, pid, host, since, renewals } = value as Partial<Holder>;
    // The token becomes part of a file name.
    if (typeof token !== "string" || !/^[0-9a-f-]{36}$/.test(token)) return undefined;
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    if (renewals !== undefined && typeof renewals !== "string") return undefined;
    return typeof host === "string" && typeof since === "number" ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** "unknown": it runs, or ran, where nothing can be seen from here: on another machine, or in another container. */
export async function judge(holder: Holder, me: Holder): Promise<"alive" | "dead" | "unknown"> {
  const bothBoots = holder.boot !== undefined && me.boot !== undefined;
  const bothSpaces = holder.space !== undefined && me.space !== undefined;
  // One boot is one running system, whatever each container calls its host.
  const isOneSystem = bothBoots && bothSpaces && holder.boot === me.boot;
  if (!isOneSystem && holder.host !== me.host) return "unknown";
  if (bothBoots && holder.boot !== me.boot) return isBeforeBoot(holder, me) ? "dead" : "unknown";
  if (bothSpaces && holder.space !== me.space) return "unknown";
  if (holder.boot === undefined && holder.since < bootedAt() - BOOT_SLACK_SECONDS) return "dead";
  return (await isRunning(holder)) ? "alive" : "dead";
}

/** Of another boot than this one and of a machine with this name: dead if it was of this machine, which need not be so. */
function isBeforeBoot(holder: Holder, me: Holder): boolean {
  // An older version did not tell more; it was always taken for dead.
  if (holder.renewals === undefined) return true;
  if (holder.machine !== undefined && me.machine !== undefined && holder.machine !== me.machine) return false;
  return Number(holder.renewed) < bootedAt();
}

function bootedAt(): number {
  return Date.now() / 1000 - uptime();
}

async function isRunning(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (errno(error) === "ESRCH") return false;
  }
  const { state, start } = await processOf(holder.pid);
  // A zombie runs no more; only its parent has not yet asked after it.
  if (state === "Z" || state === "X") return false;
  return holder.start === undefined || start === undefined || holder.start === start;
}

export async function myself(): Promise<Holder> {
  const [{ start }, boot, space, machine] = await Promise.all([
    processOf(process.pid),
    lineOf("/proc/sys/kernel/random/boot_id"),
    readlink("/proc/self/ns/pid").catch(() => undefined),
    lineOf("/etc/machine-id"),
  ]);
  return {
    token: randomUUID(),
    pid: process.pid,
    host: hostname(),
    since: Math.floor(Date.now() / 1000),
    life: LIFE,
    ...(start === undefined ? {} : { start }),
    ...(boot === undefined ? {} : { boot }),
    ...(space === undefined ? {} : { space }),
    ...(machine === undefined ? {} : { machine }),
  };
}

/** Undefined also for an empty file, as /etc/machine-id is in many containers. */
async function lineOf(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}

/** Fields 3 and 22 of /proc/PID/stat (proc(5)); the second field, in brackets, may itself hold spaces and brackets. */
async function processOf(pid: number): Promise<{ state?: string; start?: string }> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (text === undefined) return {};
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, start] = [fields[0], fields[19]];
  return { ...(state === undefined ? {} : { state }), ...(start === undefined ? {} : { start }) };
}

/** "process 3 on c0ffee". */
export function nameOf(holder: Holder | undefined): string {
  return holder === undefined ? "another process" : `process ${holder.pid} on ${holder.host}`;
}

/** " since …", where that is known. */
export function sinceOf(holder: Holder | undefined): string {
  return holder === undefined ? "" : ` since ${new Date(holder.since * 1000).toISOString()}`;
}
