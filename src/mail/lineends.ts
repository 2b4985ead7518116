// Line ends, changed only where a format forces it, as streams of chunks.

import { foldInto } from "./fold.ts";
import { reversible, type Shape } from "./key.ts";

const CR = 13;
const LF = 10;

/** Every LF without a CR before it becomes CRLF; everything else stays (RFC 9051 2.2: literals carry CRLF lines). */
export async function* toCrlf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let last = -1;
  for await (const chunk of content) {
    if (chunk.length === 0) continue;
    const buffer = withCrlf(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), last);
    last = chunk[chunk.length - 1] ?? last;
    yield buffer;
  }
}

/** The same for a content that is at hand, whole; the very octets where nothing is to be changed. */
export function crlfOf(content: Uint8Array): Uint8Array {
  return withCrlf(Buffer.from(content.buffer, content.byteOffset, content.byteLength), -1);
}

/** `last` is the octet before it. */
function withCrlf(buffer: Buffer, last: number): Buffer {
  let parts: Buffer[] | undefined;
  let from = 0;
  for (let at = buffer.indexOf(LF); at !== -1; at = buffer.indexOf(LF, at + 1)) {
    const before = at === 0 ? last : buffer[at - 1];
    if (before === CR) continue;
    parts ??= [];
    parts.push(buffer.subarray(from, at), CRLF);
    from = at + 1;
  }
  if (parts === undefined) return buffer;
  parts.push(buffer.subarray(from));
  return Buffer.concat(parts);
}

const CRLF = Buffer.from("\r\n");

/** Every CRLF becomes LF; use it only where `reversible(shape)` says that this can be undone. */
export async function* toLf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let heldCr = false;
  for await (const chunk of content) {
    if (chunk.length === 0) continue;
    let buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (heldCr) buffer = Buffer.concat([Buffer.from("\r"), buffer]);
    heldCr = buffer[buffer.length - 1] === CR;
    if (heldCr) buffer = buffer.subarray(0, buffer.length - 1);
    if (buffer.length === 0) continue;
    if (!buffer.includes(CR)) yield buffer;
    else {
      const space = Buffer.allocUnsafe(buffer.length);
      yield space.subarray(0, foldInto(space, buffer, 1).length);
    }
  }
  if (heldCr) yield Buffer.from("\r");
}

/** How the bytes of a message lie on disk. */
export type LineEndRule = "lf" | "as-is";

/** The rule for storing bytes of this shape on disk: LF where that is reversible, else as they are. */
export function diskRule(shape: Shape): LineEndRule {
  return reversible(shape) ? "lf" : "as-is";
}

/** The bytes as a disk sink stores them. */
export function toDisk(content: AsyncIterable<Uint8Array>, shape: Shape): AsyncIterable<Uint8Array> {
  return diskRule(shape) === "lf" && shape.crlf > 0 ? toLf(content) : content;
}
