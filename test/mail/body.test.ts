// Staging: exact bytes, size and key; small in memory, large in a private file that goes away.

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Body, MEMORY_LIMIT, stage, stageBytes } from "../../src/mail/body.ts";
import { MailError } from "../../src/mail/errors.ts";
import { KeyHasher } from "../../src/mail/key.ts";

let place: string;
let directory: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "mailferry-body-"));
  directory = join(place, "staging");
});
afterEach(() => rm(place, { recursive: true, force: true }));

async function* pieces(data: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < data.length; from += size) yield data.subarray(from, from + size);
}

async function gather(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function sample(size: number): Buffer {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31 + (i >> 8)) & 255;
  return data;
}

describe("a staged body", () => {
  const sizes = [0, 1, MEMORY_LIMIT - 1, MEMORY_LIMIT, MEMORY_LIMIT + 1, 3 * MEMORY_LIMIT + 7];

  it("gives back the bytes as often as it is opened, whatever their size and pieces", async () => {
    for (const size of sizes)
      for (const step of [4093, 300_000, 10 << 20]) {
        const data = sample(size);
        const hasher = new KeyHasher();
        hasher.update(data);
        await using body = await stage(pieces(data, step), directory);
        expect({ key: body.key, shape: body.shape }).toEqual(hasher.digest());
        expect((await gather(body.open())).equals(data)).toBe(true);
        expect((await gather(body.open())).equals(data)).toBe(true);
      }
  });

  it("has its first octets at hand: all of a small one, enough for the header of a large one", async () => {
    for (const size of sizes)
      for (const step of [4093, 300_000, 10 << 20]) {
        const data = sample(size);
        await using body = await stage(pieces(data, step), directory);
        const least = Math.min(size, MEMORY_LIMIT);
        expect(body.head.length, `${size} octets in pieces of ${step}`).toBe(least);
        expect(Buffer.from(body.head).equals(data.subarray(0, least))).toBe(true);
      }
  });

  it("lies in a private file only when it is large, and the file goes with it, once and for all", async () => {
    const small = await stage(pieces(sample(MEMORY_LIMIT), 999), directory);
    await expect(readdir(directory)).rejects.toThrow();
    const large = await stage(pieces(sample(MEMORY_LIMIT + 1), 99_999), directory);
    const [name = ""] = await readdir(directory);
    expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await readFile(join(directory, name))).length).toBe(MEMORY_LIMIT + 1);
    for (const body of [small, large, large]) await body[Symbol.asyncDispose]();
    expect(await readdir(directory)).toEqual([]);
  });

  it("keeps its own bytes when the source uses its buffer again", async () => {
    async function* reusing(): AsyncGenerator<Uint8Array> {
      const buffer = Buffer.alloc(4);
      for (const text of ["aaaa", "bbbb", "cccc"]) {
        buffer.write(text);
        yield Buffer.from(buffer);
      }
    }
    await using body = await stage(reusing(), directory);
    expect((await gather(body.open())).toString()).toBe("aaaabbbbcccc");
  });

  it("leaves nothing behind when its source fails, and says the source's own error", async () => {
    for (const before of [10, MEMORY_LIMIT * 2]) {
      const cut = new Error("the wire was cut");
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* pieces(sample(before), 65_536);
        throw cut;
      }
      await expect(stage(broken(), directory)).rejects.toBe(cut);
      expect(await readdir(directory).catch(() => [])).toEqual([]);
    }
  });

  it("says in our words that its directory cannot be written", async () => {
    await writeFile(directory, "a file is in the way");
    const error: unknown = await stage(pieces(sample(MEMORY_LIMIT * 2), 65_536), directory).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MailError);
    expect(String(error)).toContain(directory);
    await using small = await stage(pieces(sample(10), 3), directory);
    expect(small.shape.size).toBe(10);
  });

  it("lets its source go when it cannot be written", async () => {
    await writeFile(directory, "a file is in the way");
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield sample(MEMORY_LIMIT);
      } finally {
        closed = true;
      }
    }
    await expect(stage(source(), directory)).rejects.toBeInstanceOf(MailError);
    expect(closed).toBe(true);
  });

  it("serves many readers of one large body at once", async () => {
    const data = sample(2 * MEMORY_LIMIT);
    await using body = await stage(pieces(data, 65_536), directory);
    const read = await Promise.all([1, 2, 3, 4].map(() => gather(body.open())));
    for (const one of read) expect(one.equals(data)).toBe(true);
  });
});

describe("a body with its folded form at hand", () => {
  const wire = (name: string, lines: number): Buffer =>
    Buffer.from(`${name} is a line of it, and no other's\r\n`.repeat(lines));
  const disk = (bytes: Buffer): string => bytes.toString().replaceAll("\r\n", "\n");
  const foldedOf = ({ folded }: Body): string => Buffer.from(folded ?? []).toString();
  const LINES = [1, 1000, 3000, 20_000];

  it("keeps it whatever is staged and given back around it", () => {
    const random = (n: number): number => (n * 7919) % 10_007;
    const held: { readonly body: Body; readonly bytes: Buffer }[] = [];
    for (let n = 0; n < 400; n++) {
      const bytes = wire(`message ${n}`, LINES[random(n) % LINES.length] ?? 1);
      held.push({ body: stageBytes(bytes, true), bytes });
      const [gone] = held.length > 20 ? held.splice(random(n + 1) % held.length, 1) : [];
      if (gone !== undefined) {
        expect(foldedOf(gone.body)).toBe(disk(gone.bytes));
        gone.body.recycle?.();
        // A second time means nothing, not even for whoever has its place by now.
        if (n % 3 === 0) gone.body.recycle?.();
      }
    }
    for (const { body, bytes } of held) expect(foldedOf(body)).toBe(disk(bytes));
  });

  it("has the key that streaming gives, and none where folding could not be undone", () => {
    for (const bytes of [
      wire("x", 3000),
      Buffer.concat([wire("x", 3000), Buffer.from("bare\n")]),
      Buffer.alloc(100_000, "\r"),
    ]) {
      const hasher = new KeyHasher();
      hasher.update(bytes);
      const { key, shape, folded } = stageBytes(bytes, true);
      expect({ key, shape }).toEqual(hasher.digest());
      expect(folded === undefined).toBe(shape.strayCr > 0 || shape.crlf < shape.lines);
    }
  });

  it("is of no use once it was given back", async () => {
    for (const giveBack of [(body: Body) => body.recycle?.(), (body: Body) => body[Symbol.asyncDispose]()]) {
      const body = stageBytes(wire("x", 3000), true);
      await giveBack(body);
      expect(() => body.folded).toThrow("after it was given back");
    }
  });
});
