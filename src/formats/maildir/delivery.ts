// Putting messages into a Maildir: written to tmp, made durable together, renamed into cur together.

import { fdatasync, fdatasyncSync, renameSync } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { syncDirectory } from "../../core/files.ts";
import { type Fate, GroupCommit } from "../../core/group.ts";
import type { Hold } from "../../core/lock.ts";
import { Pace } from "../../core/pace.ts";
import { ioError, MailError } from "../../mail/errors.ts";
import { wireSize } from "../../mail/key.ts";
import { diskRule } from "../../mail/lineends.ts";
import type { Message } from "../../mail/message.ts";
import type { MailFolder } from "./folder.ts";
import { infoOf, uniqueName } from "./names.ts";
import { fsPath, showBytes } from "./paths.ts";
import type { Extra } from "./sidecar.ts";
import { NO_EXTRA } from "./sidecar.ts";
import { type Temporary, writeTemporary } from "./temporary.ts";
import { type Held, holdTraits, plainLetters } from "./traits.ts";

/** Files that are made durable at once: what comes together, the file system commits together. Measured: 16 gave twice 4. */
const SYNCS_AT_ONCE = 16;
/** An fsync that takes longer had a disk to wait for; in memory it takes a microsecond. */
const INSTANT_MS = 0.1;

interface Written {
  readonly folder: MailFolder;
  readonly file: Temporary;
  readonly base: string;
  readonly name: string;
  readonly extra?: Extra;
}

export interface Delivery {
  /**
   * Puts a message into a folder, durably; gives its base name. Calls at the same time, in whatever folders, share their fsyncs. A
   * failure leaves no file behind, but for outcome "unknown" (its directory could not be made durable after the rename).
   */
  deliver(folder: MailFolder, message: Message, signal: AbortSignal): Promise<string>;
  /** The same for several at once: each has its own fate. */
  deliverAll(folder: MailFolder, messages: readonly Message[], signal: AbortSignal): Promise<readonly Fate<string>[]>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

/** `hold` is called before the messages of a batch get their names. */
export function delivery(hold: Hold = () => undefined): Delivery {
  const group = new GroupCommit<Written, string>((batch) => commit(batch, hold));
  return {
    async deliver(folder, message, signal) {
      signal.throwIfAborted();
      const written = write(folder, message, signal);
      return await group.add(written instanceof Promise ? await written : written);
    },
    async deliverAll(folder, messages, signal) {
      const fates = new Array<Fate<string>>(messages.length);
      const written: { readonly at: number; readonly item: Written }[] = [];
      const unlettered = await giveLetters(folder, messages);
      let at = -1;
      for (const message of messages)
        try {
          at++;
          signal.throwIfAborted();
          if (unlettered !== undefined && lacksLetters(folder, message)) throw unlettered;
          const item = write(folder, message, signal);
          written.push({ at, item: item instanceof Promise ? await item : item });
        } catch (error) {
          fates[at] = { error };
        }
      const stored = await group.addAll(written.map(({ item }) => item));
      written.forEach(({ at }, i) => {
        fates[at] = stored[i] ?? { error: new Error("no fate") };
      });
      return fates;
    },
    idle: () => group.idle(),
  };
}

/** Gives letters to the keywords of all of them, so that the table is written once and not for each. Why it cannot be, if so. */
async function giveLetters(folder: MailFolder, messages: readonly Message[]): Promise<unknown> {
  const lacking = messages.filter((message) => lacksLetters(folder, message));
  if (lacking.length === 0) return undefined;
  try {
    await folder.keywords.ensure(lacking.flatMap(({ traits }) => [...traits.keywords]));
    return undefined;
  } catch (error) {
    return error;
  }
}

function lacksLetters({ keywords }: MailFolder, { traits }: Message): boolean {
  for (const keyword of traits.keywords) if (keywords.letterOf(keyword) === undefined) return true;
  return false;
}

/** The file in tmp, complete but not yet durable. It stays open for the fsync. */
function write(folder: MailFolder, message: Message, signal: AbortSignal): Written | Promise<Written> {
  const { traits, body } = message;
  const { shape } = body;
  const rule = diskRule(shape);
  const size = rule === "lf" ? shape.size - shape.crlf : shape.size;
  const { epochSeconds, zoneMinutes } = traits.received ?? {};
  // Taken before anything is awaited: names sort in the order in which the messages came.
  const base = uniqueName({ rule, size, wireSize: wireSize(shape), received: epochSeconds, zoneMinutes });
  const path = `${folder.directory}/tmp/${base}`;
  const written = (held: Held, file: Temporary): Written => {
    const received = traits.received?.epochSeconds ?? 0;
    const extra = file.datesKept ? held.extra : { ...(held.extra ?? NO_EXTRA), received };
    return { folder, file, base, name: base + infoOf(held.letters), ...(extra === undefined ? {} : { extra }) };
  };
  const letters = plainLetters(traits, folder.keywords);
  if (letters === undefined)
    return holdTraits(traits, folder.keywords).then(async (held) =>
      written(held, await writeTemporary(path, message, size, signal)),
    );
  const file = writeTemporary(path, message, size, signal);
  return file instanceof Promise ? file.then((there) => written({ letters }, there)) : written({ letters }, file);
}

const syncFile = promisify(fdatasync);
const pace = new Pace();

/**
 * A batch: all files to disk, then the sidecars, then all renames, then each cur once. Killed anywhere, cur holds only whole
 * messages, and what a sidecar says too much names no message.
 */
async function commit(batch: readonly Written[], hold: Hold): Promise<readonly Fate<string>[]> {
  const failed = new Map<Written, unknown>();
  const standing = (): readonly Written[] => (failed.size === 0 ? batch : batch.filter((item) => !failed.has(item)));
  await syncFiles(batch, failed);
  try {
    hold();
  } catch (error) {
    for (const item of standing()) failed.set(item, error);
  }
  for (const folder of new Set(batch.filter(({ extra }) => extra !== undefined).map((item) => item.folder))) {
    const mine = standing().filter((item) => item.folder === folder);
    const records = mine.flatMap(({ base, extra }) => (extra === undefined ? [] : [{ base, extra }]));
    try {
      await folder.sidecar.put(records);
    } catch (error) {
      for (const item of mine) if (item.extra !== undefined) failed.set(item, error);
    }
  }
  const slow: Written[] = [];
  for (const item of standing()) {
    const { directory, locator } = item.folder;
    const names = [fsPath(`${directory}/tmp/${item.base}`), fsPath(`${directory}/cur/${item.name}`)] as const;
    try {
      if (!pace.quick) {
        slow.push(item);
        continue;
      }
      pace.run(() => renameSync(...names));
      locator.moved(item.base, `cur/${item.name}`);
    } catch (error) {
      failed.set(item, ioError(`cannot put a message into ${showBytes(directory)}/cur`, error));
    }
  }
  await each(slow, async (item) => {
    const { directory, locator } = item.folder;
    try {
      await rename(fsPath(`${directory}/tmp/${item.base}`), fsPath(`${directory}/cur/${item.name}`));
      locator.moved(item.base, `cur/${item.name}`);
    } catch (error) {
      failed.set(item, ioError(`cannot put a message into ${showBytes(directory)}/cur`, error));
    }
  });
  for (const item of failed.keys())
    await unlink(fsPath(`${item.folder.directory}/tmp/${item.base}`)).catch(() => undefined);
  const folders = new Set(standing().map(({ folder }) => folder));
  await each([...folders], async (folder) => {
    const path = `${showBytes(folder.directory)}/cur`;
    try {
      await syncDirectory(path);
    } catch (error) {
      const failure = unknown(ioError(`cannot make ${path} durable`, error));
      for (const item of standing()) if (item.folder === folder) failed.set(item, failure);
    }
  });
  return batch.map((item) => (failed.has(item) ? { error: failed.get(item) } : { value: item.base }));
}

/**
 * Makes the files durable and closes them. One after the other as long as that takes no time, which is so in memory; else some at
 * once, by the thread pool.
 */
async function syncFiles(batch: readonly Written[], failed: Map<Written, unknown>): Promise<void> {
  const fail = (item: Written, error: unknown): void => {
    failed.set(item, ioError(`cannot make a message in ${showBytes(item.folder.directory)} durable`, error));
  };
  let isInstant = true;
  let at = 0;
  // The size of a new file is part of its data (fdatasync(2)), and its time lies in the same inode.
  for (; isInstant && at < batch.length; at++) {
    const item = batch[at];
    if (item === undefined) break;
    const began = performance.now();
    try {
      fdatasyncSync(item.file.fd);
    } catch (error) {
      fail(item, error);
    }
    isInstant = performance.now() - began < INSTANT_MS;
    const closing = close(item);
    if (closing !== undefined) await closing;
  }
  await each(batch.slice(at), async (item) => {
    try {
      await syncFile(item.file.fd);
    } catch (error) {
      fail(item, error);
    }
    await close(item);
  });
}

/** What is durable stays so, whatever closing says. */
function close({ file }: Written): Promise<void> | undefined {
  try {
    return file.close()?.catch(() => undefined) ?? undefined;
  } catch {
    return undefined;
  }
}

function unknown(error: MailError): MailError {
  return new MailError(error.code, error.message, { ...error.details, outcome: "unknown" });
}

/** Runs on every item, a few at a time. The work does not throw. */
export async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(SYNCS_AT_ONCE, items.length) }, lane));
}
