// Helpers of the mbox tests: files in memory that answer in short reads, and chance that repeats.

import type { MboxMessage, SplitOptions } from "../../../src/formats/mbox/split.ts";
import { splitMbox } from "../../../src/formats/mbox/split.ts";
import type { RandomAccess } from "../../../src/formats/mbox/window.ts";

export const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

/** A file in memory whose every read gives at most `most` octets. */
export function memory(content: Buffer, most = Number.POSITIVE_INFINITY): RandomAccess {
  return {
    size: content.length,
    async read(target, position) {
      const end = Math.min(content.length, position + target.length, position + most);
      return content.copy(target, 0, position, end);
    },
  };
}

export async function join(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of content) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

export interface Seen {
  readonly text: string;
  readonly message: MboxMessage;
}

/** All messages of a file, as Latin-1. */
export async function split(
  content: string | Buffer,
  options: Partial<SplitOptions> & { most?: number } = {},
): Promise<Seen[]> {
  const { most, ...rest } = options;
  const file = memory(typeof content === "string" ? bytes(content) : content, most);
  const seen: Seen[] = [];
  for await (const message of splitMbox(file, { dialect: "auto", name: "test", ...rest })) {
    const whole = message.bytes();
    const read = await join(message.content());
    if (whole?.equals(read) === false) throw new Error("the bytes in one piece are others than those that are read");
    seen.push({ message, text: read.toString("latin1") });
  }
  return seen;
}

export async function texts(
  content: string | Buffer,
  options: Partial<SplitOptions> & { most?: number } = {},
): Promise<string[]> {
  return (await split(content, options)).map(({ text }) => text);
}

/** Numbers from 0 up to n, the same ones for the same seed. */
export function chance(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}
