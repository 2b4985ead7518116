// Line ends on their way out and back, cut wherever a stream may be cut.

import { describe, expect, it } from "vitest";
import { KeyHasher, reversible, type Shape } from "../../src/mail/key.ts";
import { diskRule, toCrlf, toDisk, toLf } from "../../src/mail/lineends.ts";
import { random } from "../migrate/journal-kit.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

async function* pieces(text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const data = bytes(text);
  let from = 0;
  for (const cut of [...cuts, data.length]) {
    yield data.subarray(from, cut);
    from = cut;
  }
}

async function gather(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

function shapeOf(text: string): Shape {
  const hasher = new KeyHasher();
  hasher.update(bytes(text));
  return hasher.digest().shape;
}

const CASES = [
  "",
  "\n",
  "\r",
  "\r\n",
  "\r\r\n",
  "a\nb",
  "a\r\nb\r",
  "\n\n\r\n",
  "a\rb\r\n\xe4\0\n",
  "\r\r",
  "x\r\n\r\n",
];

function* cutsOf(text: string): Generator<number[]> {
  yield [];
  yield Array.from({ length: text.length }, (_, i) => i);
  for (let cut = 0; cut <= text.length; cut++) yield [cut, cut];
}

describe("line ends", () => {
  it("become CRLF where a CR is missing, and nothing else changes", async () => {
    for (const text of CASES)
      for (const cuts of cutsOf(text))
        expect(await gather(toCrlf(pieces(text, cuts)))).toBe(text.replace(/(?<!\r)\n/g, "\r\n"));
  });

  it("become LF where a CR stands before it, one CR of a run alone", async () => {
    for (const text of CASES)
      for (const cuts of cutsOf(text))
        expect(await gather(toLf(pieces(text, cuts)))).toBe(text.replaceAll("\r\n", "\n"));
  });

  it("come back exactly from the disk, for thousands of random texts", async () => {
    const pick = random(11);
    const letters = ["\r\n", "\r\n", "\n", "\r", "a", "\xff"];
    let changed = 0;
    for (let round = 0; round < 2000; round++) {
      const kinds = pick() < 0.5 ? 2 : 6;
      const text = Array.from({ length: Math.floor(pick() * 12) }, () => {
        const at = Math.floor(pick() * kinds);
        return kinds === 2 ? ["\r\n", "a"][at] : letters[at];
      }).join("");
      const shape = shapeOf(text);
      const cuts = Array.from({ length: 3 }, () => Math.floor(pick() * (text.length + 1))).sort((a, b) => a - b);
      const stored = await gather(toDisk(pieces(text, cuts), shape));
      expect(diskRule(shape)).toBe(reversible(shape) ? "lf" : "as-is");
      if (diskRule(shape) === "as-is") expect(stored).toBe(text);
      else {
        if (stored !== text) changed++;
        expect(await gather(toCrlf(pieces(stored, [])))).toBe(text);
      }
    }
    expect(changed).toBeGreaterThan(100);
  });

  it("hand on the failure of their source", async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes("a\r");
      throw new Error("cut");
    }
    await expect(gather(toCrlf(broken()))).rejects.toThrow("cut");
    await expect(gather(toLf(broken()))).rejects.toThrow("cut");
  });
});
