// Undoing zstd by fzstd, a frame at a time: its frames are followed here, since it takes whatever window they ask for.

import { Decompress } from "fzstd";
import { InputWindow } from "./window.ts";

/** What the format's own tools unpack without being told to (level 22 asks for it). */
const LARGEST_WINDOW = 1 << 27;
const LARGEST_BLOCK = 1 << 17;
const LONGEST_HEAD = 18;
const FRAME = 0xfd2fb528;

/** Throws Error for damage, and for an end that comes too early. Holds the frame's window. */
export async function* unpackZstd(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new InputWindow(content);
  try {
    do yield* frame(input);
    while ((await filled(input, LONGEST_HEAD)) > 0);
  } finally {
    await input.close();
  }
}

async function* frame(input: InputWindow): AsyncGenerator<Uint8Array> {
  let out: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => {
    if (chunk.length > 0) out.push(chunk);
  });
  const head = await readHead(input);
  decoder.push(head.octets);
  for (let isLast = false; !isLast; ) {
    await input.fill(3);
    const mark = input.octets(3);
    const word = mark.readUIntLE(0, 3);
    isLast = (word & 1) === 1;
    // A block of one octet over and over holds that alone.
    const size = ((word >> 1) & 3) === 1 ? 1 : word >> 3;
    if (size > LARGEST_BLOCK) throw new Error("a damaged block");
    await input.fill(size + 4);
    const rest = input.octets(isLast && head.hasChecksum ? size + 4 : size);
    decoder.push(Buffer.concat([mark, rest]), isLast);
    yield* out;
    out = [];
  }
}

async function readHead(input: InputWindow): Promise<{ octets: Buffer; hasChecksum: boolean }> {
  await input.fill(LONGEST_HEAD);
  const mark = input.octets(5);
  if (mark.readUInt32LE() !== FRAME) throw new Error("no zstd frame");
  const about = mark.readUInt8(4);
  if ((about & 3) !== 0) throw new Error("it needs a dictionary");
  const isSingle = (about & 0x20) !== 0;
  const sizeOctets = [isSingle ? 1 : 0, 2, 4, 8][about >> 6] ?? 0;
  const rest = input.octets((isSingle ? 0 : 1) + sizeOctets);
  const window = isSingle ? sizeOf(rest) : windowOf(rest.readUInt8());
  if (window > LARGEST_WINDOW) throw new Error("it asks for too much memory");
  return { octets: Buffer.concat([mark, rest]), hasChecksum: (about & 4) !== 0 };
}

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function sizeOf(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  const size = field.readUIntLE(0, field.length);
  return field.length === 2 ? size + 256 : size;
}

async function filled(input: InputWindow, octets: number): Promise<number> {
  await input.fill(octets);
  return input.left;
}
