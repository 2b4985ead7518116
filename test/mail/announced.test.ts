// How large a content may be beside what its server announced, and what a server always does.

import { describe, expect, it } from "vitest";
import { Announced } from "../../src/mail/announced.ts";
import { standIn } from "../../src/mail/instead.ts";
import type { Shape } from "../../src/mail/key.ts";

const HEAD = Buffer.from("Subject: x\r\n\r\nx\r\n");

function shape(size: number, lines: number): Shape {
  return { size, lines, crlf: lines, strayCr: 0, hasNul: false, finalNewline: true };
}

/** Which of these (announced, given, lines) are doubted, one after the other, by one who knows the server no better. */
function doubted(pairs: readonly (readonly [number, number, number?])[]): number[] {
  const sizes = new Announced();
  const doubts = pairs.map(([announced, size, lines = 10]) => sizes.doubt(announced, shape(size, lines), HEAD));
  return doubts.flatMap((doubt, at) => (doubt === undefined ? [] : [at]));
}

/** The same by one who has seen all of them. */
function unusual(pairs: readonly (readonly [number, number, number?])[]): number[] {
  const sizes = new Announced();
  const all = pairs.map(([announced, size, lines = 10]) => ({ announced, size, lines }));
  for (const pair of all) sizes.note(pair);
  return all.flatMap((pair, at) => (doubted([pairs[at] ?? [0, 0]]).length === 0 || sizes.isUsual(pair) ? [] : [at]));
}

describe("one message", () => {
  it.each<readonly [string, number, number, number]>([
    ["the same", 2605, 2605, 60],
    ["LF counted as one octet", 2545, 2605, 60],
    ["CRLF counted for a bare LF", 2665, 2605, 60],
    ["a last line end that is missing", 2603, 2605, 0],
    ["stuffed dots counted", 2612, 2605, 60],
    ["a field that the server adds and does not count", 2505, 2605, 3],
  ])("is whole: %s", (_, announced, size, lines) => {
    expect(doubted([[announced, size, lines]])).toEqual([]);
  });

  it.each<readonly [string, number, number, number]>([
    ["nothing came", 2605, 0, 0],
    ["its header came", 2605, 400, 12],
    ["half of it came", 2605, 1302, 30],
    ["something around it came too", 200, 470, 20],
  ])("is doubted: %s", (_, announced, size, lines) => {
    expect(doubted([[announced, size, lines]])).toEqual([0]);
  });
});

describe("what a server always does", () => {
  it("is no reason for doubt: one number more for each", () => {
    expect(
      unusual([
        [1500, 1300],
        [2700, 2500],
        [5200, 5000],
        [9200, 9000],
      ]),
    ).toEqual([]);
  });

  it("is no reason for doubt: sizes that are rounded", () => {
    expect(
      unusual([
        [2048, 1100],
        [4096, 3500],
        [1024, 200],
        [10_240, 9300],
      ]),
    ).toEqual([]);
  });

  it("is no reason for doubt: numbers that mean nothing", () => {
    expect(
      unusual([
        [1_000_000, 300],
        [0, 400],
        [1_000_000, 500],
        [0, 600],
        [77, 900],
      ]),
    ).toEqual([]);
  });

  it("is no reason for doubt: estimates", () => {
    expect(unusual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [n * 1000, Math.round(n * 1000 * (0.7 + n / 50))]))).toEqual(
      [],
    );
  });

  it("does not speak for the one that differs from it", () => {
    expect(
      unusual([
        [1500, 1300],
        [2700, 2500],
        [5200, 5000],
        [9200, 4100],
      ]),
    ).toEqual([3]);
    expect(
      unusual([
        [1300, 1300],
        [2500, 2500],
        [5000, 5000],
        [9000, 4100],
        [9100, 0],
        [700, 40],
      ]),
    ).toEqual([3, 4, 5]);
  });

  it("that go both ways means nothing where others are right", () => {
    expect(
      unusual([
        [1300, 1300],
        [9000, 4100],
        [700, 2400],
        [5100, 40],
      ]),
    ).toEqual([1, 2, 3]);
  });

  it("is not known of messages of one size, or of three that are cut at one place", () => {
    expect(
      unusual([
        [1024, 900],
        [1024, 850],
        [1024, 1000],
        [1024, 600],
      ]),
    ).toEqual([0, 1, 2, 3]);
    expect(
      unusual([
        [900, 300],
        [900, 300],
        [900, 300],
        [900, 300],
      ]),
    ).toEqual([0, 1, 2, 3]);
    expect(
      unusual([
        [2605, 512],
        [9120, 512],
        [5330, 512],
        [7777, 512],
      ]),
    ).toEqual([0, 1, 2, 3]);
    expect(unusual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [n * 1111, 0, 0]))).toHaveLength(9);
    expect(unusual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => [n * 2222, n * 1111]))).toHaveLength(9);
  });
});

describe("what is given in place of a message", () => {
  const text = (subject: string, body: string): Buffer =>
    Buffer.from(`From: x\r\nSubject: ${subject}\r\n\r\n${body}\r\n`);
  const exchange = "Retrieval using the POP3 protocol failed for the following message: 6";

  it("is known by its words, at the place where a server says them", () => {
    expect(standIn(text(exchange, "The server couldn't retrieve the following message:\r\n"))).toContain("retrieve");
    expect(standIn(text("x", "The following message could not be converted"))).toContain("retrieve");
    expect(standIn(text("Cannot display Unicode content", "\r\n--=_1-2\r\n"))).toContain("wraps");
    expect(standIn(text("x", "they wrote: The following message could not be converted"))).toBeUndefined();
    expect(standIn(text(exchange, "what is this?"))).toBeUndefined();
    expect(standIn(Buffer.from("The following message could not be converted"))).toBeUndefined();
  });

  it("is doubted however its size differs, and never where it does not: somebody may have sent it", () => {
    const head = text("Cannot display Unicode content", "");
    const sizes = new Announced();
    expect(sizes.doubt(100, shape(110, 60), head)).toContain("wraps");
    expect(sizes.doubt(110, shape(110, 60), head)).toBeUndefined();
  });
});
