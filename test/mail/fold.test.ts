// Folding line ends: the vectors and the plain search find the same, and what is assembled is what is written.

import { describe, expect, it } from "vitest";
import { assemble } from "../../assemble.ts";
import { type Folds, foldByLines, foldInto } from "../../src/mail/fold.ts";
import { FOLD_CODE } from "../../src/mail/fold-code.ts";
import { random } from "../migrate/journal-kit.ts";

/** The definition, in the plainest way. */
function plainly(data: Buffer, most: number): { text: string; folds: Folds } {
  const was = data.toString("latin1");
  let doubled = 0;
  const text = was.replace(/\r+\n/g, (run) => {
    const gone = Math.min(run.length - 1, most);
    doubled += gone - 1;
    return `${run.slice(0, run.length - 1 - gone)}\n`;
  });
  const folds = {
    length: text.length,
    lines: was.split("\n").length - 1,
    crlf: was.split("\r\n").length - 1,
    doubled,
    stray: text.split("\r").length - 1,
    hasNul: was.includes("\0"),
  };
  return { text, folds };
}

function demandSame(data: Buffer, most: number): void {
  const { text, folds } = plainly(data, most);
  const name = `${most} ${JSON.stringify(data.toString("latin1").slice(0, 80))} ${data.length}`;
  for (const fold of [foldInto, foldByLines]) {
    // What lies behind is not ours.
    const room = Buffer.alloc(data.length + 40, 0x2e);
    expect(fold(room.subarray(0, data.length), data, most), name).toEqual(folds);
    expect(room.toString("latin1", 0, folds.length) === text, name).toBe(true);
    expect(room.toString("latin1", data.length), name).toBe(".".repeat(40));
  }
  expect(foldInto(undefined, data, most), name).toEqual(folds);
}

describe("folding", () => {
  it("is what its definition says, by vectors and by lines, for thousands of random texts", () => {
    const pick = random(3);
    const letters = ["\r\n", "\r\n", "a", "bc", "\xff".repeat(13), "\n", "\r", "\0"];
    for (let round = 0; round < 4000; round++) {
      const kinds = 2 + Math.floor(pick() * 7);
      const pieces = Array.from({ length: Math.floor(pick() * 40) }, () => letters[Math.floor(pick() * kinds)]);
      demandSame(Buffer.from(pieces.join(""), "latin1"), pick() < 0.5 ? 1 : 2 ** 32 - 1);
    }
  });

  it("is so wherever a line end lies in a vector, and wherever the text ends", () => {
    for (let before = 0; before < 34; before++)
      for (let after = 0; after < 34; after++)
        for (const middle of ["\r\n", "\r\r\n", "\r", "\n", "\0"])
          demandSame(Buffer.from("a".repeat(before) + middle + "b".repeat(after), "latin1"), 1);
  });

  it("is so where a long text has none of them: what stands out at each place, and line ends alone", () => {
    const LONG = 9 * 16 + 3 * 64 + 7;
    for (let at = 0; at < LONG; at++)
      for (const odd of ["\n", "\r", "\0", "\r\n", "\r\r\n"]) {
        const text = "b".repeat(LONG);
        demandSame(Buffer.from(text.slice(0, at) + odd + text.slice(at), "latin1"), 1);
      }
    for (const line of ["\n", "\xff\n", "\n\0"]) demandSame(Buffer.from(line.repeat(LONG), "latin1"), 1);
  });

  it("is so over pieces of a large text, and for a run that is longer than one", () => {
    const PIECE = 64 * 1024;
    for (const at of [PIECE - 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1])
      for (const middle of ["\r\n", "\r\r\r\n", "\r\r\r", "\n", "\0", `${"\r".repeat(PIECE + 1)}\n`])
        for (const most of [1, 2 ** 32 - 1])
          demandSame(
            Buffer.from(`${"line\r\n".repeat(at).slice(0, at)}${middle}${"b".repeat(PIECE)}\r\r\n`, "latin1"),
            most,
          );
  });

  it("runs what its text says", async () => {
    expect(Buffer.from(await assemble()).toString("base64"), "npm run assemble").toBe(FOLD_CODE);
  });
});
