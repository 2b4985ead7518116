// Promise: mboxrd quoting is undone exactly, whatever the lines and wherever the chunks end.

import { describe, expect, test } from "vitest";
import { fromLine, quoteFrom, statusLines, unquoteFrom, unquoteFromOnce } from "../../../src/formats/mbox/quote.ts";
import { readState } from "../../../src/formats/mbox/state.ts";

async function* chunks(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function all(content: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString("latin1");
}

const CASES = [
  "",
  "From ",
  "From",
  ">From a\n>>From b\nFrom c\r\n From d\n>> From e\nfrom f\nFrom\tg\n>>>>>>>>>>>>>>From h",
  "xFrom a\n>\n>>\n>Fro\n>FromFrom \nFFrom \nFroFrom \n>>>",
  "\n\nFrom \nFrom From \n>From >From \n\xe9From \n\0From \n>\r\nFrom x\r>From y\n",
  "From From From \nF\nFr\nFro\nFrom\n>F\n>Fr\n",
];

describe("quoting", () => {
  for (const [i, text] of CASES.entries()) {
    const bytes = Buffer.from(text, "latin1");
    const quoted = text.replace(/^(>*From )/gm, ">$1");
    // JavaScript's ^ also matches after a lone CR, a line of its own to nobody in mail.
    const want = i === 5 ? quoted.replace("\r>>From y", "\r>From y") : quoted;
    test(`case ${i} is quoted and comes back at every chunk size`, async () => {
      for (let size = 1; size <= bytes.length + 1; size++) {
        expect(await all(quoteFrom(chunks(bytes, size)))).toBe(want);
        expect(await all(unquoteFrom(chunks(Buffer.from(want, "latin1"), size)))).toBe(text);
      }
    });
  }

  test("random lines come back exactly at random cuts", async () => {
    let seed = 12345;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % n;
    };
    const pieces = ["From ", ">", "\n", "\r\n", "F", "Fro", "x", "\xff", " ", "From", "\r"];
    for (let round = 0; round < 400; round++) {
      let text = "";
      for (let n = random(40); n > 0; n--) text += pieces[random(pieces.length)] ?? "";
      async function* cut(source: string): AsyncGenerator<Uint8Array> {
        const bytes = Buffer.from(source, "latin1");
        for (let at = 0; at < bytes.length; ) {
          const next = at + random(7);
          yield bytes.subarray(at, next);
          at = next;
        }
      }
      const quoted = await all(quoteFrom(cut(text)));
      expect(quoted).toBe(text.replace(/(^|\n)(>*From )/g, "$1>$2"));
      expect(await all(unquoteFrom(cut(quoted)))).toBe(text);
      expect(await all(unquoteFromOnce(cut(text)))).toBe(text.replace(/(^|\n)>From /g, "$1From "));
    }
  });

  test("a chunk without a From_ line is passed on, not copied", async () => {
    const chunk = Buffer.from("nothing here\n");
    for await (const part of quoteFrom(chunks(chunk, 100))) expect(part.buffer).toBe(chunk.buffer);
  });

  test("a run of marks of any length is not held", async () => {
    async function* marks(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 100; i++) yield Buffer.from(">".repeat(1000));
      yield Buffer.from("From x\n");
    }
    let longest = 0;
    let total = 0;
    for await (const part of unquoteFrom(marks())) {
      longest = Math.max(longest, part.length);
      total += part.length;
    }
    expect(total).toBe(100_000 + 7 - 1);
    expect(longest).toBeLessThan(1100);
  });
});

describe("From_ line", () => {
  test("is asctime in UTC with a padded day", () => {
    expect(fromLine("a@b.example", { epochSeconds: 1, zoneMinutes: 120 })).toBe(
      "From a@b.example Thu Jan  1 00:00:01 1970\n",
    );
    expect(fromLine("<a@b.example>", { epochSeconds: 4_102_444_799 })).toBe(
      "From a@b.example Thu Dec 31 23:59:59 2099\n",
    );
  });

  test("takes no sender that would break the line", () => {
    for (const odd of ["", " ", "a b", "a\nFrom b", "é@x", "a\0b", "<>", "x".repeat(400), "a\r"])
      expect(fromLine(odd === "a\r" ? "a\rb" : odd, undefined)).toBe("From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
  });

  test("holds a four-digit year whatever the date", () => {
    for (const epochSeconds of [1e18, -1e18, Number.NaN, Number.POSITIVE_INFINITY])
      expect(fromLine("a@b", { epochSeconds })).toMatch(/^From a@b \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n$/);
  });
});

describe("state lines", () => {
  const traits = (flags: string[], keywords: string[] = []) => ({
    flags: new Set(flags) as ReadonlySet<"seen">,
    keywords: new Set(keywords),
    labels: new Set<string>(),
  });

  test("of a deleted message Thunderbird reads that it is, and we take it for no leftover of Thunderbird's", () => {
    const lines = statusLines(traits(["deleted", "seen"]));
    expect(lines).toContain("X-Mozilla-Status: 0009\n");
    const state = readState(Buffer.from(`${lines}Subject: x\n\n`));
    expect([...state.traits.flags].sort()).toEqual(["deleted", "seen"]);
    expect(state.isExpunged).toBeUndefined();
    expect(readState(Buffer.from("X-Mozilla-Status: 0009\nSubject: x\n\n")).isExpunged).toBe(true);
  });

  test("say what mutt and Dovecot say", () => {
    expect(statusLines(traits([]))).toBe("Status: O\n");
    expect(statusLines(traits(["seen"]))).toBe("Status: RO\n");
    expect(statusLines(traits(["draft", "deleted", "flagged", "answered", "seen"], ["a", "$Forwarded"]))).toBe(
      "Status: RO\nX-Status: AFDT\nX-Mozilla-Status: 000f\nX-Keywords: a $Forwarded\n",
    );
  });

  test("keep hostile keywords out of the header", () => {
    expect(statusLines(traits([], ["a b", "c\nFrom: x", "", "é", "ok"]))).toBe("Status: O\nX-Keywords: ok\n");
  });
});
