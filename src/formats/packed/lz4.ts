// Undoing lz4 as Dovecot's plugin frames it: its mark, the size of a chunk, then chunks, each with its packed size before it.

import { InputWindow } from "./window.ts";

const MARK = 15;
/** Dovecot writes chunks of 64 KB. */
const LARGEST_CHUNK = 4 << 20;

/** Throws Error for damage. That the last chunks are missing cannot be seen here: the format has no end. */
export async function* unpackLz4(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new InputWindow(content);
  try {
    await input.fill(MARK + 4);
    input.octets(MARK);
    const largest = input.octets(4).readUInt32BE();
    if (largest === 0 || largest > LARGEST_CHUNK) throw new Error("its chunks are too large");
    for (;;) {
      await input.fill(4);
      if (input.left === 0) return;
      const size = input.octets(4).readUInt32BE();
      // What cannot be packed grows by an octet in 255.
      if (size === 0 || size > largest + largest / 255 + 16) throw new Error("a damaged chunk");
      await input.fill(size);
      yield unpackBlock(input.octets(size), largest);
    }
  } finally {
    await input.close();
  }
}

/** One block: literals, then what is copied from before, in turn. */
function unpackBlock(packed: Buffer, largest: number): Buffer {
  const out = Buffer.allocUnsafe(largest);
  let filled = 0;
  let at = 0;
  const octet = (): number => {
    const value = packed[at++];
    if (value === undefined) throw new Error("it ends too early");
    return value;
  };
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    if (nibble === 15)
      for (let more = 255; more === 255; length += more) {
        more = octet();
      }
    return length;
  };
  for (;;) {
    const token = octet();
    const literals = lengthOf(token >> 4);
    if (at + literals > packed.length || filled + literals > largest) throw new Error("a damaged chunk");
    packed.copy(out, filled, at, at + literals);
    at += literals;
    filled += literals;
    // The last sequence has literals alone.
    if (at === packed.length) return out.subarray(0, filled);
    const back = octet() | (octet() << 8);
    const length = lengthOf(token & 15) + 4;
    if (back === 0 || back > filled || filled + length > largest) throw new Error("a damaged chunk");
    if (back >= length) out.copyWithin(filled, filled - back, filled - back + length);
    else for (let i = 0; i < length; i++) out[filled + i] = out[filled + i - back] ?? 0;
    filled += length;
  }
}
