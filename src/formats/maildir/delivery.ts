// Putting messages into a Maildir: written to tmp, made durable together, renamed into cur together.

import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { PRIVATE_FILE, syncDirectory } from "../../core/files.ts";
import { type Fate, GroupCommit } from "../../core/group.ts";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import { wireSize } from "../../mail/key.ts";
import { diskRule, toDisk } from "../../mail/lineends.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import type { MailFolder } from "./folder.ts";
import { infoOf, uniqueName } from "./names.ts";
import { fsPath, showBytes } from "./paths.ts";
import type { Extra } from "./sidecar.ts";
import { NO_EXTRA } from "./sidecar.ts";
import { holdTraits } from "./traits.ts";

/** One write call carries a message up to this many octets; a larger one goes in pieces. */
const WRITE = 1 << 20;
/** Files that are made durable at once: what comes together, the file system commits together. Measured: 16 gave twice 4. */
const SYNCS_AT_ONCE = 16;
/** Times outside of these are not kept by every file system: then they are looked at after they were set. */
const SAFE_TIMES = { from: 315_532_800, to: 2_147_483_647 };

interface Written {
  readonly folder: MailFolder;
  readonly handle: FileHandle;
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
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function delivery(): Delivery {
  const group = new GroupCommit<Written, string>(commit);
  return {
    async deliver(folder, message, signal) {
      signal.throwIfAborted();
      return await group.add(await write(folder, message, signal));
    },
    idle: () => group.idle(),
  };
}

/** The file in tmp, complete but not yet durable. Its handle stays open for the fsync. */
async function write(folder: MailFolder, { traits, body }: Message, signal: AbortSignal): Promise<Written> {
  const { shape } = body;
  const rule = diskRule(shape);
  const size = rule === "lf" ? shape.size - shape.crlf : shape.size;
  const zoneMinutes = traits.received?.zoneMinutes;
  // Taken before anything is awaited: names sort in the order in which the messages came.
  const base = uniqueName({ rule, size, wireSize: wireSize(shape), zoneMinutes });
  const held = await holdTraits(traits, folder.keywords);
  const path = `${folder.directory}/tmp/${base}`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(fsPath(path), "wx", PRIVATE_FILE);
    const written = await writeAll(handle, toDisk(body.open(), shape), signal);
    // S= in the name must be exact: Dovecot drops the connection over a wrong one.
    if (written !== size) throw new Error(`its body has ${written} octets where ${size} were announced`);
    const kept = traits.received === undefined ? true : await setTime(handle, traits.received);
    const extra = kept ? held.extra : { ...(held.extra ?? NO_EXTRA), received: traits.received?.epochSeconds ?? 0 };
    return { folder, handle, base, name: base + infoOf(held.letters), ...(extra === undefined ? {} : { extra }) };
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await unlink(fsPath(path)).catch(() => undefined);
    throw signal.aborted ? error : ioError(`cannot write ${showBytes(path)}`, error);
  }
}

async function writeAll(handle: FileHandle, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  let pending: Uint8Array[] = [];
  let held = 0;
  let total = 0;
  const flush = async (): Promise<void> => {
    const [only] = pending;
    const bytes = pending.length === 1 && only !== undefined ? only : Buffer.concat(pending);
    for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
    total += bytes.length;
    pending = [];
    held = 0;
  };
  for await (const chunk of content) {
    signal.throwIfAborted();
    pending.push(chunk);
    held += chunk.length;
    if (held >= WRITE) await flush();
  }
  if (held > 0) await flush();
  return total;
}

/** False when the file system did not keep it. */
async function setTime(handle: FileHandle, { epochSeconds }: Received): Promise<boolean> {
  const isSafe = epochSeconds >= SAFE_TIMES.from && epochSeconds <= SAFE_TIMES.to;
  try {
    await handle.utimes(epochSeconds, epochSeconds);
  } catch (error) {
    if (isSafe || errno(error) === "EIO") throw error;
    return false;
  }
  return isSafe || Math.floor((await handle.stat()).mtimeMs / 1000) === epochSeconds;
}

/**
 * A batch: all files to disk, then the sidecars, then all renames, then each cur once. Killed anywhere, cur holds only whole
 * messages, and what a sidecar says too much names no message.
 */
async function commit(batch: readonly Written[]): Promise<readonly Fate<string>[]> {
  const failed = new Map<Written, unknown>();
  const standing = (): Written[] => batch.filter((item) => !failed.has(item));
  await each(batch, async (item) => {
    try {
      // The size of a new file is part of its data (fdatasync(2)), and its time lies in the same inode.
      await item.handle.datasync();
    } catch (error) {
      failed.set(item, ioError(`cannot make a message in ${showBytes(item.folder.directory)} durable`, error));
    } finally {
      await item.handle.close().catch(() => undefined);
    }
  });
  const folders = new Set(standing().map(({ folder }) => folder));
  await each([...folders], async (folder) => {
    const mine = standing().filter((item) => item.folder === folder);
    const records = mine.flatMap(({ base, extra }) => (extra === undefined ? [] : [{ base, extra }]));
    try {
      await folder.sidecar.put(records);
    } catch (error) {
      for (const item of mine) if (item.extra !== undefined) failed.set(item, error);
    }
  });
  await each(standing(), async (item) => {
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
  await each([...new Set(standing().map(({ folder }) => folder))], async (folder) => {
    try {
      await syncDirectory(`${showBytes(folder.directory)}/cur`);
    } catch (error) {
      const failure = unknown(ioError(`cannot make ${showBytes(folder.directory)}/cur durable`, error));
      for (const item of standing()) if (item.folder === folder) failed.set(item, failure);
    }
  });
  return batch.map((item) => (failed.has(item) ? { error: failed.get(item) } : { value: item.base }));
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
