// The mbox splitter takes any file: it finds the same messages whatever the reads and the window, gives every octet to one of
// them, and gives back exactly what mboxrd was written from.

import { expect } from "vitest";
import { fromLine, quoteFrom, statusLines } from "../../src/formats/mbox/quote.ts";
import { DIALECTS, splitMbox } from "../../src/formats/mbox/split.ts";
import { plainState, readState } from "../../src/formats/mbox/state.ts";
import { NO_TRAITS } from "../../src/mail/model.ts";
import { bytes, join, memory, split } from "../formats/mbox/kit.ts";
import type { Random } from "../kit/random.ts";
import { cutUp, mutate, octets, textOf, times } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const PARTS: readonly string[] = [
  "From ",
  "From a@b Thu Jan  1 00:00:00 1970\n",
  "From a@b Thu Jan  1 00:00:00 1970\r\n",
  "From - Thu Jan  1 00:00:00 1970\n",
  "From ???@??? Thu Jan 01 00:00:00 1970\n",
  "From 123@xxx Thu Jan 01 00:00:00 +0000 1970\n",
  ">From a\n",
  ">>From a\n",
  "\n",
  "\n\n",
  "\r\n",
  "\r\n\r\n",
  "\r",
  "Content-Length: 5\n",
  "Content-Length: 99999999999\n",
  "Content-Length: -1\n",
  "Status: RO\n",
  "X-Status: AF\n",
  "X-Keywords: a b\n",
  "X-Mozilla-Status: 0001\n",
  "X-Mozilla-Status2: zz\n",
  'X-Gmail-Labels: =?utf-8?q?a?=,"b,c"\n',
  "Subject: x\n",
  " folded\n",
  "text",
  "\0\xff",
  "\xef\xbb\xbf",
  "x".repeat(500),
];

const fileOf = (random: Random): Buffer =>
  bytes(`${random.chance(0.85) ? "From a@b Thu Jan  1 00:00:00 1970\n" : ""}${textOf(random, PARTS, 25)}`);

fuzz({
  "any file gives the same messages however it is read, none overlaps another, and each is read once": target({
    inputs: 2_500,
    make: (random) => mutate(random, fileOf(random), PARTS),
    async check(file, random) {
      const dialect = random.pick(DIALECTS);
      const first = await split(file, { dialect });
      const other = await split(file, { dialect, most: 1 + random.upTo(50), windowSize: 2_000 + random.upTo(200) });
      const brief = (all: typeof first) =>
        all.map(({ text, message: { offset, size, quoting } }) => ({ text, offset, size, quoting }));
      expect(brief(other)).toEqual(brief(first));
      let end = 0;
      for (const { message, text } of first) {
        expect(message.offset).toBeGreaterThanOrEqual(end);
        end = message.offset + message.size;
        expect(end).toBeLessThanOrEqual(file.length);
        expect(text.length).toBeLessThanOrEqual(message.size);
        const { traits, head } = readState(message.head, undefined);
        expect(head.length).toBeLessThanOrEqual(message.head.length);
        plainState(message.head, undefined);
        for (const name of [...traits.keywords, ...traits.labels]) expect(name).not.toBe("");
      }
    },
    show: (input) => input,
  }),
  "what is written as mboxrd comes back to the octet, in any pieces": target({
    inputs: 1_200,
    make: (random) =>
      times(1 + random.upTo(5), () =>
        random.chance(0.2)
          ? octets(random, 200)
          : bytes(textOf(random, [...PARTS, "\n>", "\nFrom ", "\n>>>From "], 10)),
      ),
    async check(messages, random) {
      const parts: Buffer[] = [];
      for (const message of messages) {
        const from = fromLine(textOf(random, ["a", "@", " ", "\n", "From", "\xff", "\0"], 5), {
          epochSeconds: random.upTo(2 ** 31),
        });
        async function* pieces() {
          yield* cutUp(random, message);
        }
        const whole = message.length === 0 || message.at(-1) === 10;
        const quoted = await join(quoteFrom(pieces()));
        expect(quoted.toString("latin1")).toBe(message.toString("latin1").replace(/(^|\n)(>*From )/g, "$1>$2"));
        parts.push(bytes(from), quoted, bytes(whole ? "\n" : "\n\n"));
      }
      const file = Buffer.concat(parts);
      const read: Buffer[] = [];
      const options = { dialect: "rd", name: "x", windowSize: 2_000 + random.upTo(3_000) } as const;
      for await (const message of splitMbox(memory(file, 1 + random.upTo(300)), options))
        read.push(await join(message.content()));
      const wanted = messages.map((one) =>
        one.length === 0 || one.at(-1) === 10 ? one : Buffer.concat([one, bytes("\n")]),
      );
      expect(read.map((one) => one.toString("latin1"))).toEqual(wanted.map((one) => one.toString("latin1")));
    },
    show: (input) => Buffer.concat(input),
  }),
  "the lines that keep a message's state are read as what was written, and stay within their header": target({
    inputs: 2_000,
    make: (random) =>
      times(random.upTo(5), () =>
        textOf(random, ["a", "B", "$x", " ", ",", "\n", "\r", "\0", "ü", "=?", "\u2028", '"'], 4),
      ),
    check(keywords) {
      const lines = statusLines({ ...NO_TRAITS, flags: new Set(["seen"]), keywords: new Set(keywords) });
      expect(lines).toMatch(/^(?:(?:Status|X-Status|X-Keywords): [^\r\n\0]*\n)*$/);
      const { traits, head } = readState(Buffer.from(`${lines}Subject: s\n\n`, "latin1"), undefined);
      expect(head.toString()).toBe("Subject: s\n\n");
      expect(traits.flags).toEqual(new Set(["seen"]));
    },
  }),
});
