// Staging: a message's bytes held (in memory, or in a file when large) with exact size and key before any sink sees them.

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { ioError } from "./errors.ts";
import { type ContentKey, KeyHasher, keyOfBytes, type Shape } from "./key.ts";

/** Bodies up to this many octets stay in memory while they are in flight. */
export const MEMORY_LIMIT = 1 << 20;
/** Enough for any header that a mail program writes; what lies beyond is not looked at. */
export const HEADER_LIMIT = 1 << 20;
/** One read of a staged file. */
const FILE_CHUNK = 256 * 1024;

export interface Body extends AsyncDisposable {
  readonly shape: Shape;
  readonly key: ContentKey;
  /** The first octets: all of a body held in memory, else the first MEMORY_LIMIT of it. Enough for its header. */
  readonly head: Uint8Array;
  /** All of it, where it is held in memory: for those who can do without a stream. */
  readonly bytes?: Uint8Array;
  /** The same with LF line ends, where it is at hand and can be undone exactly. */
  readonly folded?: Uint8Array;
  /** As disposing it, at once: for a body that is held in memory and has something to give back. */
  recycle?(): void;
  /** May be opened again, for a retry, until the body is disposed. */
  open(): AsyncIterable<Uint8Array>;
}

/**
 * Reads a content to its end. A body larger than MEMORY_LIMIT goes to a file (mode 0600) in `directory`, which is made when
 * first needed and whose file is removed when the body is disposed. Throws what the content throws, and MailError io/quota
 * when the file cannot be written; nothing stays behind in either case. `keepsFolded` as for `stageBytes`.
 */
export async function stage(content: AsyncIterable<Uint8Array>, directory: string, keepsFolded = false): Promise<Body> {
  const hasher = new KeyHasher();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let file: { handle: FileHandle; path: string; written: number } | undefined;
  try {
    for await (const chunk of content) {
      if (chunk.length === 0) continue;
      if (file === undefined && size + chunk.length <= MEMORY_LIMIT) {
        chunks.push(chunk);
        size += chunk.length;
        continue;
      }
      try {
        if (file === undefined) {
          await mkdir(directory, { recursive: true, mode: 0o700 });
          const path = join(directory, `${randomUUID()}.part`);
          file = { handle: await open(path, "wx", 0o600), path, written: 0 };
          await writeAll(file, Buffer.concat(chunks));
          for (const earlier of chunks) hasher.update(earlier);
          // The head is filled up whatever the chunks: a header may come in one piece with megabytes of body. A copy, since a
          // view would keep the whole chunk in memory.
          chunks.push(Buffer.from(chunk.subarray(0, MEMORY_LIMIT - size)));
        }
        hasher.update(chunk);
        await writeAll(file, chunk);
      } catch (error) {
        throw ioError(`cannot stage a message in ${directory}`, error);
      }
    }
  } catch (error) {
    if (file !== undefined) await discard(file);
    throw error;
  }
  const head = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  if (file === undefined) return stageBytes(head, keepsFolded);
  const { key, shape } = hasher.digest();
  const staged = file;
  await staged.handle.close();
  let gone = false;
  return {
    shape,
    key,
    head,
    open: () => createReadStream(staged.path, { highWaterMark: FILE_CHUNK }),
    async [Symbol.asyncDispose]() {
      if (gone) return;
      gone = true;
      await unlink(staged.path).catch(() => undefined);
    },
  };
}

/**
 * A content that is in memory already, whole and in one piece; it is held, not copied. Only for what MEMORY_LIMIT allows.
 * `keepsFolded`: the form with LF line ends, which hashing makes, is held too.
 */
export function stageBytes(bytes: Uint8Array, keepsFolded: boolean): Body {
  if (!keepsFolded || bytes.length < ROOMY) return held(keyOfBytes(bytes, keepsFolded), bytes);
  const room = rooms.pop() ?? Buffer.allocUnsafeSlow(MEMORY_LIMIT);
  const named = keyOfBytes(bytes, true, room);
  if (named.folded !== undefined) return new Roomy(named, bytes, named.folded, room);
  rooms.push(room);
  return held(named, bytes);
}

/** From here on the folded form lies in a buffer that is used again: pages that the system has to find and clear cost more than folding. */
const ROOMY = 64 * 1024;
/** Of MEMORY_LIMIT octets each; as many as there were bodies at once. */
const rooms: Buffer[] = [];
const MOST_ROOMS = 16;

class Roomy implements Body {
  readonly key: ContentKey;
  readonly shape: Shape;
  readonly bytes: Uint8Array;
  readonly head: Uint8Array;
  #folded: Uint8Array | undefined;
  #room: Buffer | undefined;

  constructor({ key, shape }: Named, bytes: Uint8Array, folded: Uint8Array, room: Buffer) {
    this.key = key;
    this.shape = shape;
    this.bytes = bytes;
    this.head = bytes;
    this.#folded = folded;
    this.#room = room;
  }

  /** Throws once the room is given back, as it may then hold another message. */
  get folded(): Uint8Array {
    if (this.#folded === undefined) throw new Error("a body was used after it was given back");
    return this.#folded;
  }

  open(): AsyncIterable<Uint8Array> {
    return once(this.bytes);
  }

  recycle(): void {
    const room = this.#room;
    this.#room = undefined;
    this.#folded = undefined;
    if (room !== undefined && rooms.length < MOST_ROOMS) rooms.push(room);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.recycle();
  }
}

/** Made for every message: a method with a computed name in the literal would cost more than the hashing of most mail. */
function held({ key, shape, folded }: Named, bytes: Uint8Array): Body {
  const open = (): AsyncIterable<Uint8Array> => once(bytes);
  return folded === undefined
    ? { key, shape, head: bytes, bytes, open, [Symbol.asyncDispose]: nothingToDo }
    : { key, shape, head: bytes, bytes, folded, open, [Symbol.asyncDispose]: nothingToDo };
}

interface Named {
  readonly key: ContentKey;
  readonly shape: Shape;
  readonly folded?: Uint8Array;
}

async function nothingToDo(): Promise<void> {}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

async function writeAll(file: { handle: FileHandle; written: number }, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.length) {
    const { bytesWritten } = await file.handle.write(chunk, offset, chunk.length - offset, file.written);
    offset += bytesWritten;
    file.written += bytesWritten;
  }
}

async function discard(file: { handle: FileHandle; path: string }): Promise<void> {
  await file.handle.close().catch(() => undefined);
  await unlink(file.path).catch(() => undefined);
}
