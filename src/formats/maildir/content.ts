// The bytes of one message file, with the line ends that mail has on the wire.

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import { toCrlf } from "../../mail/lineends.ts";
import type { RandomAccess } from "../mbox/window.ts";
import { type Packing, packingOf } from "../packed/kinds.ts";
import { announcedSize, parseOwn } from "./names.ts";
import { type BytePath, fsPath, showBytes } from "./paths.ts";
import { demandOne, inMemory, mayHoldMore } from "./single.ts";

const CHUNK = 256 * 1024;
/** A link in somebody's archive must not read other files of the user, nor a pipe hang. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CR = 13;
const LF = 10;

/**
 * Reads a message file: one without any CRLF gets CRLF for every LF, any other is given as it is, and so is one whose name says
 * that it was written as it came. One that Dovecot compressed is unpacked, and must have the size that its name tells. Holds one
 * chunk at a time (compressed: what its format needs). Throws MailError: malformed, of scope message, for what cannot be unpacked,
 * for what is no regular file (a link could lead out of the folder, a pipe would hang), and for a whole mbox; a missing file comes
 * as the system's own ENOENT.
 */
export async function* messageContent(path: BytePath, base: string): AsyncGenerator<Uint8Array> {
  const handle = await open(fsPath(path), FLAGS).catch((error: unknown) => {
    if (errno(error) === "ENOENT") throw error;
    throw errno(error) === "ELOOP" ? noFile(path, error) : ioError(`cannot open ${showBytes(path)}`, error);
  });
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw noFile(path);
    // One read carries a small message; a file that has grown since is read on all the same.
    const first = await chunkAt(handle, 0, Math.min(CHUNK, info.size + 1));
    const whole = first.length <= info.size && first.length < CHUNK;
    const packed = packedAs(first, base, info.size);
    if (packed !== undefined) {
      yield* unpacked(path, base, packed.packing, () => chunks(handle, first));
      return;
    }
    if (mayHoldMore(first, base)) await demandOne(path, whole ? inMemory(first) : onDisk(handle, info.size));
    const asIs = parseOwn(base)?.rule === "as-is" || hasCrlf(first) || (!whole && (await laterCrlf(handle, first)));
    const bytes = whole ? only(first) : chunks(handle, first);
    yield* asIs ? bytes : toCrlf(bytes);
  } catch (error) {
    throw ioError(`cannot read ${showBytes(path)}`, error);
  } finally {
    await handle.close();
  }
}

export interface SmallContent {
  readonly content: AsyncIterable<Uint8Array>;
  /** Octets, unpacked, before line ends are changed. */
  readonly size: number;
}

/**
 * The same for a file that fits one chunk, read at once: nothing stays open. Undefined when it does not fit, or cannot be read:
 * `messageContent` then says why.
 */
export async function smallContent(path: BytePath, base: string): Promise<SmallContent | undefined> {
  const handle = await open(fsPath(path), FLAGS).catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const info = await handle.stat();
    if (!info.isFile() || info.size >= CHUNK) return undefined;
    const bytes = await chunkAt(handle, 0, info.size + 1);
    if (bytes.length > info.size) return undefined;
    const packed = packedAs(bytes, base, info.size);
    if (packed !== undefined) {
      const size = announcedSize(base);
      if (size === undefined || size >= CHUNK) return undefined;
      const parts: Uint8Array[] = [];
      for await (const part of unpacked(path, base, packed.packing, () => only(bytes))) parts.push(part);
      return { content: only(Buffer.concat(parts)), size };
    }
    if (mayHoldMore(bytes, base)) return undefined;
    const asIs = parseOwn(base)?.rule === "as-is" || hasCrlf(bytes);
    return { content: asIs ? only(bytes) : toCrlf(only(bytes)), size: bytes.length };
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

/**
 * Undefined for mail as it is. What has a name of ours and the size that we gave it is what came, whatever it begins with; on disks
 * of others mail cannot begin so (RFC 5322 2.2).
 */
function packedAs(first: Buffer, base: string, size: number): { readonly packing?: Packing } | undefined {
  const packed = packingOf(first);
  if (packed === undefined || (parseOwn(base) !== undefined && announcedSize(base) === size)) return undefined;
  return packed;
}

async function* unpacked(
  path: BytePath,
  base: string,
  packing: Packing | undefined,
  open: () => AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (packing === undefined)
    throw new MailError("malformed", `${showBytes(path)} is encrypted by Dovecot's mail_crypt plugin`, {
      scope: "message",
      remedy: "give-up",
      hint: "Read this mail over IMAP, from the server that has its keys.",
    });
  const { unpack } = await import("../packed/unpack.ts");
  const begin = (): AsyncGenerator<Uint8Array> => unpack(packing, open(), announcedSize(base));
  let stream = begin();
  try {
    const first = await gather(stream, CHUNK);
    if (mayHoldMore(first.bytes, base)) await demandOne(path, inMemory(first.bytes));
    const isAsIs = parseOwn(base)?.rule === "as-is" || hasCrlf(first.bytes);
    if (first.isWhole) {
      yield* isAsIs ? only(first.bytes) : toCrlf(only(first.bytes));
      return;
    }
    // One at a time: see xz.ts.
    await stream.return(undefined);
    let asIs = isAsIs;
    if (!asIs) {
      stream = begin();
      asIs = await anyCrlf(stream);
    }
    stream = begin();
    yield* asIs ? stream : toCrlf(stream);
  } catch (error) {
    // A disk's own error is no damage; zlib's codes are of another form.
    if (error instanceof MailError || /^E[A-Z0-9]+$/.test(errno(error) ?? "")) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new MailError("malformed", `${showBytes(path)} is compressed (${packing}) and cannot be unpacked: ${why}`, {
      scope: "message",
      remedy: "give-up",
      hint: "Put the unpacked message in its place under the same name, or read it over IMAP, from the server that it belongs to.",
      cause: error,
    });
  } finally {
    await stream.return(undefined);
  }
}

/** What comes until `length` octets are there, or all. */
async function gather(
  content: AsyncGenerator<Uint8Array>,
  length: number,
): Promise<{ readonly bytes: Buffer; readonly isWhole: boolean }> {
  const parts: Uint8Array[] = [];
  for (let size = 0; size < length; ) {
    const { done, value } = await content.next();
    if (done === true) return { bytes: Buffer.concat(parts), isWhole: true };
    parts.push(value);
    size += value.length;
  }
  return { bytes: Buffer.concat(parts), isWhole: false };
}

/** Reads no further than to the first. */
async function anyCrlf(content: AsyncIterable<Uint8Array>): Promise<boolean> {
  let last: number | undefined;
  for await (const chunk of content) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if ((last === CR && bytes[0] === LF) || hasCrlf(bytes)) return true;
    last = bytes[bytes.length - 1] ?? last;
  }
  return false;
}

/** Reads until `length` octets are there, or the file ends. */
async function chunkAt(handle: FileHandle, at: number, length = CHUNK): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
    // A short read of a regular file is its end.
    if (filled < length && bytesRead < CHUNK) break;
  }
  return buffer.subarray(0, filled);
}

async function* only(bytes: Buffer): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

async function* chunks(handle: FileHandle, first: Buffer): AsyncGenerator<Uint8Array> {
  let at = first.length;
  if (at > 0) yield first;
  for (let next = await chunkAt(handle, at); next.length > 0; next = await chunkAt(handle, at)) {
    yield next;
    at += next.length;
  }
}

function onDisk(handle: FileHandle, size: number): RandomAccess {
  return { size, read: async (target, position) => (await handle.read(target, 0, target.length, position)).bytesRead };
}

function hasCrlf(bytes: Buffer): boolean {
  return bytes.indexOf("\r\n") !== -1;
}

/** Whether a CRLF comes after the first chunk, or across its end. */
async function laterCrlf(handle: FileHandle, first: Buffer): Promise<boolean> {
  let at = first.length;
  let last = first[first.length - 1];
  for (let next = await chunkAt(handle, at); next.length > 0; next = await chunkAt(handle, at)) {
    if ((last === CR && next[0] === LF) || hasCrlf(next)) return true;
    last = next[next.length - 1];
    at += next.length;
  }
  return false;
}

function noFile(path: BytePath, cause?: unknown): MailError {
  return new MailError("malformed", `${showBytes(path)} is not a regular file`, {
    scope: "message",
    remedy: "give-up",
    hint: "Put the message itself there instead of a link to it.",
    cause,
  });
}
