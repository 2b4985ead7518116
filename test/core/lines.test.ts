// Lines with checksums: what was written is read, what was changed is told, and memory stays bounded.

import { describe, expect, it } from "vitest";
import { frame, type ScannedLine, scanLines, unframe } from "../../src/core/lines.ts";

const parse = (line: string): string | undefined => unframe(Buffer.from(line.slice(0, -1), "latin1"));

async function scan(bytes: Buffer, step = bytes.length, from = 0, to?: number): Promise<ScannedLine[]> {
  const lines: ScannedLine[] = [];
  const read = async (buffer: Uint8Array, at: number): Promise<number> => {
    // A file may always give less than was asked for.
    const end = Math.min(at + Math.min(step, buffer.length), bytes.length);
    return bytes.copy(buffer, 0, at, Math.max(at, end));
  };
  for await (const batch of scanLines(read, from, to)) lines.push(...batch);
  return lines;
}

describe("a framed line", () => {
  it("is ASCII, whatever the text, and means the same", () => {
    for (const value of ["", "plain", "é日本😀", "\ud800", "\u2028\u0000\u007f", 'a"b\\', "\n\r"]) {
      const line = frame(JSON.stringify({ value }));
      expect(line).toMatch(/^[0-9a-f]{8} [\x20-\x7e]*\n$/);
      expect(JSON.parse(parse(line) ?? "")).toEqual({ value });
    }
  });

  it("does not hold when any one bit of it is changed", () => {
    const line = Buffer.from(frame('{"a":1,"text":"hello"}').slice(0, -1), "latin1");
    for (let bit = 0; bit < line.length * 8; bit++) {
      const bad = Buffer.from(line);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(unframe(bad), `bit ${bit}`).toBeUndefined();
    }
  });

  it("does not hold when it is too short to be one", () => {
    for (const text of ["", "0", "00000000", "0000000 ", "00000000x"]) expect(parse(`${text}\n`)).toBeUndefined();
    expect(parse("00000000 \n")).toBe("");
  });
});

describe("scanning a file", () => {
  const texts = ["{}", "x".repeat(5000), "", "last"];
  const file = Buffer.from(texts.map((text) => frame(text)).join(""), "latin1");

  it("gives every line with its offset, in whatever pieces the file is read", async () => {
    for (const step of [1, 2, 7, 4096, file.length]) {
      const lines = await scan(file, step);
      expect(lines.map(({ text }) => text)).toEqual(texts);
      for (const { offset, text } of lines)
        expect(file.toString("latin1", offset + 9, offset + 9 + (text?.length ?? 0))).toBe(text);
    }
  });

  it("says which line is bad and goes on behind it", async () => {
    const bad = Buffer.from(file);
    bad[20] = 33;
    expect((await scan(bad, 3)).map(({ text, torn }) => [text?.length, torn])).toEqual([
      [2, false],
      [undefined, false],
      [0, false],
      [4, false],
    ]);
  });

  it("says that the last line is torn, and where it begins", async () => {
    for (let cut = 1; cut < 14; cut++) {
      const lines = await scan(file.subarray(0, file.length - cut), 5);
      expect(lines.at(-1)).toEqual({ offset: file.length - 14, text: undefined, torn: cut < 14 });
      expect(lines.length).toBe(4);
    }
    expect((await scan(file.subarray(0, file.length - 14))).length).toBe(3);
  });

  it("begins and ends where it is told", async () => {
    const second = file.indexOf("\n") + 1;
    const third = file.indexOf("\n", second) + 1;
    expect((await scan(file, 9, second, third)).map(({ text }) => text?.length)).toEqual([5000]);
    expect(await scan(file, 9, file.length)).toEqual([]);
  });

  it("gives an endless line up without holding it, and finds the next one", async () => {
    const length = 40 << 20;
    const good = Buffer.from(`\n${frame("good")}`, "latin1");
    const read = async (buffer: Uint8Array, at: number): Promise<number> => {
      if (at < length) {
        const count = Math.min(buffer.length, length - at);
        buffer.fill(65, 0, count);
        return count;
      }
      return good.copy(buffer, 0, at - length);
    };
    const before = process.memoryUsage().arrayBuffers;
    const lines: ScannedLine[] = [];
    for await (const batch of scanLines(read, 0)) lines.push(...batch);
    expect(lines.map(({ text }) => text)).toEqual([undefined, "good"]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30 << 20);
  });
});
