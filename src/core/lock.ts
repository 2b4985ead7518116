// One run at a time: a lock file that names its process, so that what a dead one left behind is told from a live one.

import { randomUUID } from "node:crypto";
import { link, open, readFile, readlink, rename, stat, unlink } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { dirname } from "node:path";
import { errno, ioError, MailError } from "./errors.ts";
import { ensureDirectory, PRIVATE_FILE } from "./files.ts";

interface Holder {
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
}

/** A file without a readable holder may be one that is just being written (only where there are no hard links). */
const WRITING_MS = 10_000;
/** How exact the clock and the up time are when they are used to tell whether a lock is older than the boot. */
const BOOT_SLACK_SECONDS = 60;
const ATTEMPTS = 100;

/**
 * Takes the lock `path` for `what` ("the archive ./backup"); its folder is made when it is missing. Disposing gives it back, twice is
 * harmless. A lock whose process is gone (also through a reboot, or its pid now another's) is taken over; of two that try, one
 * wins. Throws MailError locked (scope account, give-up) when it is held, io or quota when it cannot be written.
 */
export async function acquireLock(path: string, what: string): Promise<AsyncDisposable> {
  const me = await myself();
  try {
    await ensureDirectory(dirname(path));
    await claim(path, me, what);
  } catch (error) {
    throw ioError(`cannot lock ${what} (${path})`, error);
  }
  return {
    async [Symbol.asyncDispose]() {
      await release(path, me);
    },
  };
}

/**
 * Links a complete file to `path`. When one is there whose process is dead, the right to replace it is itself claimed, under a
 * name made of the dead one's token. Whoever holds that right looks again before it replaces; nobody else replaces it
 * meanwhile. A death in the middle leaves a stale right, which is taken over in the same way.
 */
async function claim(path: string, me: Holder, what: string): Promise<void> {
  const mine = `${path}.${me.token}`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await create(path, mine, me)) return;
    const found = await read(path);
    if (found === undefined) continue;
    if (found.holder === undefined ? found.ageMs < WRITING_MS : await isAlive(found.holder, me))
      throw held(path, what, found.holder);
    const right = `${path}.after-${found.id}`;
    await claim(right, me, what);
    try {
      if ((await read(path))?.id === found.id) {
        await write(mine, me);
        await rename(mine, path);
        return;
      }
    } finally {
      await release(right, me);
    }
  }
  throw held(path, what, undefined);
}

async function create(path: string, mine: string, me: Holder): Promise<boolean> {
  await write(mine, me);
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    // No hard links here (FAT, some network file systems): the file is empty for an instant, see WRITING_MS.
    return await write(path, me).then(
      () => true,
      (failure: unknown) => {
        if (errno(failure) === "EEXIST") return false;
        throw failure;
      },
    );
  } finally {
    await unlink(mine).catch(() => undefined);
  }
}

async function write(path: string, me: Holder): Promise<void> {
  const handle = await open(path, "wx", PRIVATE_FILE);
  try {
    await handle.writeFile(`${JSON.stringify(me)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

interface Found {
  readonly holder: Holder | undefined;
  /** The holder's token, or something as good for a file that names none. */
  readonly id: string;
  readonly ageMs: number;
}

async function read(path: string): Promise<Found | undefined> {
  try {
    const [text, { mtimeMs, ino }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    const holder = parse(text);
    // From the time to come after the clock was set back: then it is not just being written.
    return { holder, id: holder?.token ?? `unreadable-${ino}`, ageMs: Math.abs(Date.now() - mtimeMs) };
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { token, pid, host, since } = value as Partial<Holder>;
    // The token becomes part of a file name.
    if (typeof token !== "string" || !/^[0-9a-f-]{36}$/.test(token)) return undefined;
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return typeof host === "string" && typeof since === "number" ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(holder: Holder, me: Holder): Promise<boolean> {
  // What runs on another machine, or in another container, cannot be seen from here.
  if (holder.host !== me.host) return true;
  if (holder.boot !== undefined && me.boot !== undefined && holder.boot !== me.boot) return false;
  if (holder.space !== undefined && me.space !== undefined && holder.space !== me.space) return true;
  if (holder.boot === undefined && holder.since < Date.now() / 1000 - uptime() - BOOT_SLACK_SECONDS) return false;
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

async function release(path: string, me: Holder): Promise<void> {
  const found = await read(path).catch(() => undefined);
  if (found?.id === me.token) await unlink(path).catch(() => undefined);
}

async function myself(): Promise<Holder> {
  const [{ start }, boot, space] = await Promise.all([
    processOf(process.pid),
    readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => undefined),
    readlink("/proc/self/ns/pid").catch(() => undefined),
  ]);
  return {
    token: randomUUID(),
    pid: process.pid,
    host: hostname(),
    since: Math.floor(Date.now() / 1000),
    ...(start === undefined ? {} : { start }),
    ...(boot === undefined ? {} : { boot: boot.trim() }),
    ...(space === undefined ? {} : { space }),
  };
}

/** Fields 3 and 22 of /proc/PID/stat (proc(5)); the second field, in brackets, may itself hold spaces and brackets. */
async function processOf(pid: number): Promise<{ state?: string; start?: string }> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (text === undefined) return {};
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, start] = [fields[0], fields[19]];
  return { ...(state === undefined ? {} : { state }), ...(start === undefined ? {} : { start }) };
}

function held(path: string, what: string, holder: Holder | undefined): MailError {
  const who = holder === undefined ? "another process" : `process ${holder.pid} on ${holder.host}`;
  const since = holder === undefined ? "" : ` since ${new Date(holder.since * 1000).toISOString()}`;
  return new MailError("locked", `${what} is in use by ${who}${since} (lock file ${path})`, {
    scope: "account",
    remedy: "give-up",
    hint: `Wait until that run has ended, or stop it. If no such process exists, remove ${path}.`,
  });
}
