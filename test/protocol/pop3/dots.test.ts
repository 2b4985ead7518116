// Dot-stuffing is undone exactly, wherever the network cuts.

import { describe, expect, it } from "vitest";
import { DotUnstuffer } from "../../../src/protocol/pop3/dots.ts";
import { stuff } from "./scripted-server.ts";

/** Content and what is left over, fed in chunks that end at these places. */
function unstuff(wire: Buffer, cuts: readonly number[]): { content: Buffer; rest: Buffer; ended: boolean } {
  const answer = new DotUnstuffer();
  const content: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, wire.length]) {
    const chunk = Buffer.from(wire.subarray(from, to));
    from = to;
    const { pieces, used } = answer.feed(chunk);
    content.push(...pieces.map((piece) => Buffer.from(piece)));
    if (answer.ended)
      return { content: Buffer.concat(content), rest: wire.subarray(to - chunk.length + used), ended: true };
    expect(used).toBe(chunk.length);
  }
  return { content: Buffer.concat(content), rest: Buffer.alloc(0), ended: answer.ended };
}

const latin1 = (text: string) => Buffer.from(text, "latin1");

const CASES: readonly (readonly [string, string])[] = [
  ["an empty message", ""],
  ["one empty line", "\r\n"],
  ["one dot", ".\r\n"],
  ["two dots", "..\r\n"],
  ["dots everywhere", ".a\r\n..\r\n.\r\n...b.\r\n.\r\n"],
  ["a dot and a lone CR", ".\rx\r\n.\r\r\n"],
  ["a dot after a lone LF", "a\n.b\n.\n\r\n"],
  ["a dot after a lone CR", "a\r.b\r\r.\r\n"],
  ["CR CR LF before a dot", "a\r\r\n.b\r\r\n"],
  ["8-bit octets", "\xff\xfe\x80\r\n.\xe9\r\n\x00\r\n"],
  ["LF alone at the start", "\n\r\n"],
  ["what looks like the end but is a lone LF", "a\n.\r\nb\r\n"],
];

describe("every cut of a multi-line answer", () => {
  it.each(CASES)("gives back %s", (_name, text) => {
    const wire = Buffer.concat([stuff(latin1(text)), latin1("+OK next\r\n")]);
    for (let a = 0; a <= wire.length; a++)
      for (let b = a; b <= wire.length; b++) {
        const { content, rest, ended } = unstuff(wire, [a, b]);
        expect(ended).toBe(true);
        expect(content.toString("latin1")).toBe(text);
        // The chunk in which it ended may end before the next answer does.
        expect(wire.subarray(wire.length - rest.length).equals(rest)).toBe(true);
        expect(wire.length - rest.length).toBe(stuff(latin1(text)).length);
      }
  });

  it.each(CASES)("gives back %s octet by octet", (_name, text) => {
    const wire = stuff(latin1(text));
    const { content, ended } = unstuff(
      wire,
      Array.from({ length: wire.length - 1 }, (_, i) => i + 1),
    );
    expect(ended).toBe(true);
    expect(content.toString("latin1")).toBe(text);
  });

  it("never takes a cut answer for a whole one", () => {
    for (const [, text] of CASES) {
      const wire = stuff(latin1(text));
      for (let to = 0; to < wire.length; to++) expect(unstuff(wire.subarray(0, to), []).ended).toBe(false);
    }
  });

  it("undoes random mail in random chunks", () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    const alphabet = ["\r\n", "\r", "\n", ".", "..", "x", "\xe9", "\r\n."];
    for (let round = 0; round < 3_000; round++) {
      let text = "";
      for (let i = random(30); i > 0; i--) text += alphabet[random(alphabet.length)];
      text += "\r\n";
      const wire = stuff(latin1(text));
      const cuts = Array.from({ length: random(6) }, () => random(wire.length)).sort((a, b) => a - b);
      const { content, ended } = unstuff(wire, cuts);
      expect({ ended, content: content.toString("latin1") }).toEqual({ ended: true, content: text });
    }
  });
});
