// One message as a file in tmp: complete, not yet durable, and still open for its fsync.

import { closeSync, fstatSync, futimesSync, openSync, unlinkSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { PRIVATE_FILE, writeNow } from "../../core/files.ts";
import { Pace } from "../../core/pace.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { toDisk } from "../../mail/lineends.ts";
import type { Message } from "../../mail/message.ts";
import type { Received } from "../../mail/model.ts";
import { type BytePath, fsPath, showBytes } from "./paths.ts";

/** One write call carries a message up to this many octets; a larger one goes in pieces. */
const WRITE = 1 << 20;
/** Times outside of these are not kept by every file system: then they are looked at after they were set. */
const SAFE_TIMES = { from: 315_532_800, to: 2_147_483_647 };

export interface Temporary {
  readonly fd: number;
  /** False: the file system did not keep the received date. */
  readonly datesKept: boolean;
  close(): void | Promise<void>;
}

const pace = new Pace();

/**
 * Writes it with `size` octets on disk, mode 0600 and the received date as its time. Where its bytes are in memory and the disk is
 * quick, it is written when this returns. Fails with MailError io or quota, or the signal's reason, and leaves no file behind.
 */
export function writeTemporary(
  path: BytePath,
  { traits, body }: Message,
  size: number,
  signal: AbortSignal,
): Temporary | Promise<Temporary> {
  const isFolded = body.shape.crlf > 0 && size !== body.shape.size;
  const held = isFolded ? body.folded : body.bytes;
  if (held !== undefined && pace.quick) return pace.run(() => writeHeld(path, held, size, traits.received));
  return writeStream(path, toDisk(body.open(), body.shape), size, traits.received, signal);
}

function writeHeld(path: BytePath, bytes: Uint8Array, size: number, received: Received | undefined): Temporary {
  let fd: number | undefined;
  try {
    const opened = openSync(fsPath(path), "wx", PRIVATE_FILE);
    fd = opened;
    writeNow(opened, bytes);
    demandSize(bytes.length, size);
    const datesKept = received === undefined || setTime(opened, received);
    return { fd: opened, datesKept, close: () => closeSync(opened) };
  } catch (error) {
    if (fd !== undefined) {
      attempt(closeSync, fd);
      attempt(unlinkSync, fsPath(path));
    }
    throw ioError(`cannot write ${showBytes(path)}`, error);
  }
}

async function writeStream(
  path: BytePath,
  content: AsyncIterable<Uint8Array>,
  size: number,
  received: Received | undefined,
  signal: AbortSignal,
): Promise<Temporary> {
  let handle: FileHandle | undefined;
  try {
    const opened = await open(fsPath(path), "wx", PRIVATE_FILE);
    handle = opened;
    demandSize(await writeAll(opened, content, signal), size);
    const datesKept = received === undefined || (await setTimeOf(opened, received));
    return { fd: opened.fd, datesKept, close: () => opened.close() };
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

/** S= in the name must be exact: Dovecot drops the connection over a wrong one. */
function demandSize(written: number, size: number): void {
  if (written !== size) throw new Error(`its body has ${written} octets where ${size} were announced`);
}

/** False when the file system did not keep it. */
function setTime(fd: number, { epochSeconds }: Received): boolean {
  try {
    futimesSync(fd, epochSeconds, epochSeconds);
  } catch (error) {
    if (isSafe(epochSeconds) || errno(error) === "EIO") throw error;
    return false;
  }
  return isSafe(epochSeconds) || Math.floor(fstatSync(fd).mtimeMs / 1000) === epochSeconds;
}

async function setTimeOf(handle: FileHandle, { epochSeconds }: Received): Promise<boolean> {
  try {
    await handle.utimes(epochSeconds, epochSeconds);
  } catch (error) {
    if (isSafe(epochSeconds) || errno(error) === "EIO") throw error;
    return false;
  }
  return isSafe(epochSeconds) || Math.floor((await handle.stat()).mtimeMs / 1000) === epochSeconds;
}

function isSafe(epochSeconds: number): boolean {
  return epochSeconds >= SAFE_TIMES.from && epochSeconds <= SAFE_TIMES.to;
}

function attempt<T>(call: (value: T) => void, value: T): void {
  try {
    call(value);
  } catch {
    // What it was to clean up after is told.
  }
}
