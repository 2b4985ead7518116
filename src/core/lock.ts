// One run at a time: a lock file that names its process, so that what a dead one left behind is told from a live one.

import { link, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errno, ioError, MailError } from "./errors.ts";
import { ensureDirectory, PRIVATE_FILE } from "./files.ts";
import { type Found, type Holder, judge, myself, nameOf, readLock, sinceOf, textOf } from "./holder.ts";
import { type Hold, LOOK_MS, type LockClock, MACHINE_CLOCK, RENEW_MS, Renewal } from "./lock-renewal.ts";
import { isObstacle } from "./own-file.ts";
import { plural } from "./words.ts";

export type { Hold, LockClock } from "./lock-renewal.ts";

export interface Lock extends AsyncDisposable {
  readonly hold: Hold;
}

export interface LockOptions {
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Called when it has to be waited for, with a sentence for the user. */
  readonly onWait?: (text: string) => void;
  /** For tests. */
  readonly clock?: LockClock;
}

/** A file without a readable holder may be one that is just being written (only where there are no hard links). */
const WRITING_MS = 10_000;
/** A holder that cannot be judged from here, and renews its lock six times meanwhile, is dead when it does not. */
const SILENT_MS = 60_000;
const ATTEMPTS = 100;

/** Processes that were seen silent for that long, each with the directory of the lock and the time of its last renewal. */
const silent = new Map<string, number>();
/** The locks of one process were renewed for the last time within so many seconds. */
const TOGETHER_SECONDS = (2 * RENEW_MS) / 1000;

/**
 * Takes the lock `path` for `what` ("the archive ./backup"); its folder is made when it is missing. Disposing gives it back, twice is
 * harmless. A lock whose process is gone (also through a reboot, or its pid now another's) is taken over; of two that try, one
 * wins. A file that names nobody is left behind by a crash when nobody has written it for 10 s. Where it cannot be seen from here whether the process is gone (another machine or container), the lock is watched: taken
 * over when it was not renewed for 60 s, refused as soon as it is. Throws MailError locked (scope account, give-up) when it is
 * held, io or quota when it cannot be written, and the signal's reason.
 */
export async function acquireLock(path: string, what: string, options: LockOptions = {}): Promise<Lock> {
  const { clock = MACHINE_CLOCK, signal } = options;
  const me = await myself();
  let renewal: Renewal;
  try {
    await ensureDirectory(dirname(path));
    const wasWatched = await claim(path, me, what, options);
    renewal = new Renewal(path, me, what, clock);
    // What a holder that only stood still had begun by its last look comes to its end.
    if (wasWatched) await clock.wait(2 * LOOK_MS, signal, false);
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw ioError(`cannot lock ${what} (${path})`, error);
  }
  return {
    hold: renewal.hold,
    async [Symbol.asyncDispose]() {
      renewal.end();
      await release(path, me);
    },
  };
}

/**
 * Links a complete file to `path`. When one is there whose process is dead, the right to replace it is itself claimed, under a
 * name made of the dead one's token. Whoever holds that right looks again before it replaces; nobody else replaces it
 * meanwhile. A death in the middle leaves a stale right, which is taken over in the same way. True when it was taken from a holder
 * that could only be watched.
 */
async function claim(path: string, me: Holder, what: string, options: LockOptions): Promise<boolean> {
  const mine = `${path}.${me.token}`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await create(path, mine, me)) return false;
    const found = await readLock(path).catch(async (error: unknown) => {
      if (!isObstacle(error)) throw error;
      // A pipe, a device, a folder: nobody's lock.
      await rename(path, `${path}.damaged-${me.token}`);
      return undefined;
    });
    if (found === undefined) continue;
    const fate = await fateOf(path, found, me, options);
    if (fate === "changed") continue;
    if (fate === "held") throw held(path, what, found.holder);
    const right = `${path}.after-${found.id}`;
    await claim(right, me, what, options);
    try {
      await write(mine, me);
      // The same to the letter: renewed a moment ago, it is held.
      if ((await readLock(path))?.text === found.text) {
        await rename(mine, path);
        return fate === "silent";
      }
      silent.delete(lifeOf(path, found.holder));
    } finally {
      await unlink(mine).catch(() => undefined);
      await release(right, me);
    }
  }
  throw held(path, what, undefined);
}

async function fateOf(
  path: string,
  found: Found,
  me: Holder,
  options: LockOptions,
): Promise<"held" | "dead" | "silent" | "changed"> {
  const { holder, ageMs } = found;
  if (holder === undefined) {
    const left = WRITING_MS - ageMs;
    const seen = left <= 0 ? "silent" : await watch(path, found, options, left);
    return seen === "silent" ? "dead" : seen;
  }
  const seen = await judge(holder, me);
  if (seen !== "unknown") return seen === "dead" ? "dead" : "held";
  // Written by a version that renews nothing: its silence says nothing.
  if (holder.renewals === undefined) return "held";
  const name = lifeOf(path, holder);
  const last = silent.get(name);
  if (last !== undefined && Number(holder.renewed) <= last + TOGETHER_SECONDS) return "silent";
  const fate = await watch(path, found, options);
  if (fate === "silent" && holder.life !== undefined) silent.set(name, Number(holder.renewed));
  return fate;
}

/** Names the process by what its locks in one directory have in common. */
function lifeOf(path: string, holder: Holder | undefined): string {
  return `${dirname(path)}\n${holder?.life}`;
}

/** Watches a lock for as long as it stays as it is: "silent" after so long. */
async function watch(
  path: string,
  found: Found,
  { signal, onWait, clock = MACHINE_CLOCK }: LockOptions,
  ms = SILENT_MS,
): Promise<"held" | "silent" | "changed"> {
  const most = ms === SILENT_MS ? "a minute" : plural(Math.ceil(ms / 1000), "second");
  onWait?.(`waiting to see whether ${nameOf(found.holder)} still runs, for ${most} at the most (lock file ${path})`);
  let last = clock.now();
  for (let watched = 0; watched < ms; ) {
    await clock.wait(LOOK_MS, signal, false);
    signal?.throwIfAborted();
    const now = clock.now();
    const there = await readLock(path);
    if (there?.id !== found.id) return "changed";
    if (there.text !== found.text) return "held";
    // While this process itself stood still, the holder may have too: it was not watched.
    watched += Math.min(now - last, 2 * LOOK_MS);
    last = now;
  }
  return "silent";
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
    await handle.writeFile(textOf(me, 0, Date.now() / 1000));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function release(path: string, me: Holder): Promise<void> {
  const found = await readLock(path).catch(() => undefined);
  if (found?.id === me.token) await unlink(path).catch(() => undefined);
}

function held(path: string, what: string, holder: Holder | undefined): MailError {
  return new MailError("locked", `${what} is in use by ${nameOf(holder)}${sinceOf(holder)} (lock file ${path})`, {
    scope: "account",
    remedy: "give-up",
    hint: `Wait until that run has ended, or stop it. If no such process exists, remove ${path}.`,
  });
}
