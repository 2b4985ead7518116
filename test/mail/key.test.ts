// The content key: the same for a message in every store, another for every other message, however its bytes arrive.

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { KeyHasher, keyOf, keyOfBytes, plausibleSizes, reversible, type Shape, wireSize } from "../../src/mail/key.ts";
import { random } from "../migrate/journal-kit.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

/** The definition, in the plainest way. */
function plainKey(data: Buffer): string {
  const text = data.toString("latin1").replace(/(?<!\r)\r+\n/g, "\n");
  const ended = text.endsWith("\n") ? text : `${text.replace(/(?<!\r)\r+$/, "")}\n`;
  return createHash("sha256").update(ended, "latin1").digest("hex");
}

function plainShape(data: Buffer): Shape {
  const text = data.toString("latin1");
  const crlf = text.split("\r\n").length - 1;
  return {
    size: data.length,
    lines: text.split("\n").length - 1,
    crlf,
    strayCr: text.split("\r").length - 1 - crlf,
    hasNul: text.includes("\0"),
    finalNewline: text.endsWith("\n"),
  };
}

function digest(data: Buffer, cuts: readonly number[]): { key: string; shape: Shape } {
  const hasher = new KeyHasher();
  let from = 0;
  for (const cut of [...cuts, data.length]) {
    hasher.update(data.subarray(from, cut));
    from = cut;
  }
  return hasher.digest();
}

const CASES = [
  "",
  "\n",
  "\r\n",
  "\r",
  "\r\r",
  "\r\r\n",
  "a",
  "a\r",
  "a\r\r\r",
  "a\n\r",
  "a\r\n\r\n",
  "a\rb\r\nc\nd\r\r\ne\r\r\r",
  "\n\n\r\n\n",
  "\0\r\n",
  "no end",
  "\xff\xfe\r\n\x80",
  "\r\n\r",
  "x\r\r\r\n\r\n",
];

describe("the content key", () => {
  it("and the shape are what their definition says, at every cut of every odd text", () => {
    for (const text of CASES) {
      const data = bytes(text);
      const expected = { key: plainKey(data), shape: plainShape(data) };
      const every = Array.from({ length: data.length }, (_, i) => i);
      expect(digest(data, []), JSON.stringify(text)).toEqual(expected);
      expect(digest(data, every), `${JSON.stringify(text)} byte by byte`).toEqual(expected);
      for (const cut of every) expect(digest(data, [cut, cut]), `${JSON.stringify(text)} at ${cut}`).toEqual(expected);
    }
  });

  it("and the shape are what their definition says for thousands of random texts and cuts", () => {
    const pick = random(7);
    const letters = ["\r", "\r", "\n", "\n", "a", "\0", "\xe4", "\r\n"];
    for (let round = 0; round < 3000; round++) {
      const data = bytes(
        Array.from({ length: Math.floor(pick() * 30) }, () => letters[Math.floor(pick() * 8)]).join(""),
      );
      const cuts = Array.from({ length: Math.floor(pick() * 6) }, () => Math.floor(pick() * (data.length + 1)));
      cuts.sort((a, b) => a - b);
      expect(digest(data, cuts), JSON.stringify(data.toString("latin1"))).toEqual({
        key: plainKey(data),
        shape: plainShape(data),
      });
    }
  });

  it("and the shape are the same of a whole content, with its folded form where that can be undone", () => {
    const pick = random(11);
    const letters = ["\r\n", "\r\n", "\r\n", "a", "bc", "\n", "\r", "\0"];
    for (let round = 0; round < 3000; round++) {
      const kinds = 4 + Math.floor(pick() * 5);
      const text = Array.from({ length: Math.floor(pick() * 20) }, () => letters[Math.floor(pick() * kinds)]).join("");
      const data = bytes(pick() < 0.7 ? `${text}\r\n` : text);
      const { key, shape, folded } = keyOfBytes(data);
      expect({ key, shape }, JSON.stringify(text)).toEqual({ key: plainKey(data), shape: plainShape(data) });
      if (folded !== undefined) {
        expect(reversible(shape)).toBe(true);
        expect(Buffer.from(folded).toString("latin1").replaceAll("\n", "\r\n")).toBe(data.toString("latin1"));
      }
      expect(keyOfBytes(data, false)).toEqual({ key, shape });
    }
    expect(keyOfBytes(bytes("a\r\nb\r\n")).folded).toEqual(bytes("a\nb\n"));
  });

  it("and the shape are what their definition says where folding goes on with the next piece of a large content", () => {
    const WINDOW = 64 * 1024;
    for (const middle of [
      "\r\n",
      "\r\r\r\n",
      "\r\r\r",
      "\n",
      "a\r",
      `${"\r".repeat(WINDOW + 3)}\n`,
      "\r".repeat(WINDOW * 2),
    ])
      for (const before of [WINDOW - 4, WINDOW - 3, WINDOW - 2, WINDOW - 1, WINDOW])
        for (const after of ["", "b\r\n", "\r\n", "\n", `\r\n${"c".repeat(WINDOW)}\r\n`]) {
          const data = bytes(`x\r\n${"a".repeat(before - 3)}${middle}${after}`);
          const expected = { key: plainKey(data), shape: plainShape(data) };
          const name = `${before} ${JSON.stringify(middle.slice(0, 9))} ${JSON.stringify(after.slice(0, 9))}`;
          expect(digest(data, []), name).toEqual(expected);
          expect(digest(data, [before, before + 1]), name).toEqual(expected);
          expect(keyOfBytes(data, false), name).toEqual(expected);
          const { folded: _, ...whole } = keyOfBytes(data);
          expect(whole, name).toEqual(expected);
        }
  });

  it("is the same with LF, CRLF and a missing last newline", () => {
    const keys = ["a\r\nb\r\n", "a\nb\n", "a\r\nb", "a\nb", "a\r\r\nb\r\n"].map((text) => digest(bytes(text), []).key);
    expect(new Set(keys).size).toBe(1);
  });

  it("differs where a line, a blank line at the end or a lone CR differs", () => {
    const keys = ["a\nb\n", "a\nb\n\n", "a\n\nb\n", "a\rb\n", "ab\n", "a\nb \n"].map((t) => digest(bytes(t), []).key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("does not change the bytes that it is given, and takes views into larger buffers", () => {
    const large = bytes("xxxa\r\nb\ryyy");
    const view = new Uint8Array(large.buffer, large.byteOffset + 3, 5);
    expect(digest(Buffer.from(view), []).key).toBe(plainKey(bytes("a\r\nb\r")));
    const hasher = new KeyHasher();
    hasher.update(view);
    expect(hasher.digest().key).toBe(plainKey(bytes("a\r\nb\r")));
    expect(large.toString("latin1")).toBe("xxxa\r\nb\ryyy");
  });

  it("keeps a run of a million CRs in its stride", () => {
    const data = bytes(`${"\r".repeat(1_000_000)}x${"\r".repeat(1_000_000)}\n`);
    expect(digest(data, [500_000, 1_500_000])).toEqual({ key: plainKey(data), shape: plainShape(data) });
  });

  it("is taken of a stream, whose failure it hands on", async () => {
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield bytes("a\r");
      yield bytes("\nb");
    }
    expect((await keyOf(stream())).key).toBe(plainKey(bytes("a\nb\n")));
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes("a");
      throw new Error("cut");
    }
    await expect(keyOf(broken())).rejects.toThrow("cut");
  });
});

describe("the shape", () => {
  const shape = (text: string): Shape => digest(bytes(text), []).shape;

  it("tells what an LF form can be undone from", () => {
    for (const text of ["", "a", "a\r\n", "a\r\n\r\nb"]) expect(reversible(shape(text)), text).toBe(true);
    for (const text of ["a\n", "a\r\nb\n", "a\rb", "a\r\r\n", "a\r"]) expect(reversible(shape(text)), text).toBe(false);
  });

  it("gives the size on the wire, where every LF has its CR", () => {
    for (const text of CASES) expect(wireSize(shape(text))).toBe(text.replace(/(?<!\r)\n/g, "\r\n").length);
  });

  it("foresees the size of every form that a store may make of it", () => {
    for (const text of CASES) {
      const sizes = plausibleSizes(shape(text));
      const forms = [
        text,
        text.replace(/(?<!\r)\n/g, "\r\n"),
        text.replaceAll("\r\n", "\n"),
        text.replace(/\r+\n/g, "\r\n"),
        text.replace(/(?<!\r)\n/g, "\r\n").replace(/\r+\n/g, "\r\n"),
      ];
      for (const form of forms) {
        expect(sizes, JSON.stringify([text, form])).toContain(form.length);
        if (!form.endsWith("\n")) {
          expect(sizes).toContain(form.length + 1);
          expect(sizes).toContain(form.length + 2);
        }
      }
    }
  });
});
