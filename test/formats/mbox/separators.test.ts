// Promise: no message runs into another one because its separator is unusual, and an attachment does not cut the message it is in.

import { describe, expect, test } from "vitest";
import { looksLikeMbox, splitMbox } from "../../../src/formats/mbox/split.ts";
import { bytes, memory, split, texts } from "./kit.ts";

const FROM = "From ann@a.example Thu Jan  4 12:00:00 2024\n";
const SMALL = { windowSize: 2000 };
const letter = (n: number): string => `From: ann@a.example\nSubject: letter ${n}\n\nbody ${n}\n`;
const iso = (text: string): number => Date.parse(text) / 1000;

describe("forms of a separator", () => {
  const NOON = "2024-01-04T12:00:00Z";
  /** What stands behind "From ", the sender in it, and when it says that the message arrived. */
  const FORMS: [string, string, string | undefined][] = [
    ["", "", undefined],
    ["-", "", undefined],
    ["ann@a.example", "ann@a.example", undefined],
    ["MAILER-DAEMON", "MAILER-DAEMON", undefined],
    ['"Ann Writer" <ann@a.example>', '"Ann Writer" <ann@a.example>', undefined],
    ["17@xxx", "17@xxx", undefined],
    ["ann at a.example  Thu Jan  4 12:00:00 2024", "ann at a.example", NOON],
    ["Ann Writer Thu Jan 04 12:00:00 2024", "Ann Writer", NOON],
    ["/O=CORP/OU=FIRST GROUP/CN=ANN Thu Jan 04 12:00:00 2024", "/O=CORP/OU=FIRST GROUP/CN=ANN", NOON],
    ["ann@a.example Thu Jan 04 12:00:00 METDST 2024", "ann@a.example", "2024-01-04T10:00:00Z"],
    ["ann@a.example Thu Jan 04 12:00:00 Europe/Berlin 2024", "ann@a.example", NOON],
    ["ann@a.example Thu Jan 04 12:00:00 W. Europe Standard Time 2024", "ann@a.example", NOON],
    ["ann@a.example Thu Jan 04 12:00:00 GMT+01:00 2024", "ann@a.example", "2024-01-04T11:00:00Z"],
    ["ann@a.example Thu Jan  4 03:30:00 PM UTC 2024", "ann@a.example", "2024-01-04T15:30:00Z"],
    ["ann@a.example Thu Jan  4 12:30:00 AM 2024", "ann@a.example", "2024-01-04T00:30:00Z"],
    ["ann@a.example Thu Jan 04 12:00:00.123 2024", "ann@a.example", NOON],
    ["ann@a.example Thursday January 04 12:00:00 2024", "ann@a.example", NOON],
    ["ann@a.example Thu Sept 05 12:00:00 2024", "ann@a.example", "2024-09-05T12:00:00Z"],
    ["ann@a.example Jan  4 12:00:00 2024", "ann@a.example", NOON],
    ["ann@a.example 04 Jan 2024 12:00:00 +0100", "ann@a.example", "2024-01-04T11:00:00Z"],
    ["- Do Jan 04 12:00:00 2024", "", NOON],
    ["ann@a.example Do 4. Dez 12:00:00 CET 2025", "ann@a.example", "2025-12-04T11:00:00Z"],
    ["- jeu. janv. 4 12:00:00 2024", "", NOON],
    ["- mar. ao\xc3\xbbt 6 12:00:00 2024", "", "2024-08-06T12:00:00Z"],
    ["- jeu. juin 6 12:00:00 2024", "", "2024-06-06T12:00:00Z"],
    ["- jeu. juil. 4 12:00:00 2024", "", "2024-07-04T12:00:00Z"],
    ["- 2024-01-04 12:00:00", "", NOON],
    ["ann@a.example 2024-01-04T12:00:00Z", "ann@a.example", NOON],
    ["ann@a.example 2024-01-04T12:00:00.250+02:00", "ann@a.example", "2024-01-04T10:00:00Z"],
    ["ann@a.example 1/4/2024 12:00:00 PM", "ann@a.example", NOON],
    ["ann@a.example 25/12/2023 12:00:00", "ann@a.example", "2023-12-25T12:00:00Z"],
    ["ann@a.example 4.1.2024 12:00:00", "ann@a.example", NOON],
    ["ann@a.example 1704369600", "ann@a.example", NOON],
    ["ann@a.example Thu Foo 04 12:00:00 2024", "ann@a.example", undefined],
  ];
  for (const [form, sender, date] of FORMS)
    test(`"From ${form}"`, async () => {
      const line = `From ${form}\n`;
      // As the first separator, behind a usual one, and without a blank line before it.
      for (const blank of ["\n", ""]) {
        const seen = await split(
          `${line}${letter(1)}${blank}${line}${letter(2)}${blank}${FROM}${letter(3)}${blank}${line}${letter(4)}`,
        );
        expect(seen.map(({ text }) => text)).toEqual([1, 2, 3, 4].map(letter));
        expect(seen.map(({ message }) => message.unsure)).toEqual([false, ...Array<boolean>(3).fill(blank === "")]);
        const { from } = seen[1]?.message ?? {};
        expect(from?.received?.epochSeconds).toBe(date === undefined ? undefined : iso(date));
        expect(from?.sender.startsWith(sender)).toBe(true);
      }
    });

  test("the word alone, without a space", async () => {
    expect(await texts(`${FROM}${letter(1)}\nFrom\n${letter(2)}From\r\n${letter(3)}`)).toEqual([1, 2, 3].map(letter));
  });

  test("prose is left, with and without a blank line, whatever stands behind it", async () => {
    for (const line of ["From here on it is mine", "From a@b.example", "From", "From nobody"])
      for (const behind of [
        "To be sure\n",
        "see https://a.example\n",
        "note: this\nand: that\n",
        "Subject: only one\n",
      ]) {
        const body = `Subject: x\n\nsome text\n${line}\n${behind}\n${line}\n${behind}`;
        expect(await texts(`${FROM}${body}\n${FROM}${letter(2)}`)).toEqual([body, letter(2)]);
      }
  });

  test("a line of no known form with a header behind it stays, and is told", async () => {
    const body = `Subject: x\n\nforwarded:\n\nFrom the desk of Ann, today\n${letter(2)}`;
    const [only] = await split(`${FROM}${body}`);
    expect(only?.text).toBe(body);
    expect(only?.message.doubtful).toBe(1);
  });

  test("a second From_ line directly behind the first parts nothing", async () => {
    const seen = await split(`${FROM}From bob@b.example Thu Jan  4 13:00:00 2024\n${letter(1)}\n${FROM}${letter(2)}`);
    expect(seen.map(({ message }) => message.doubtful)).toEqual([0, 0]);
    expect(seen).toHaveLength(2);
  });

  test("a dated line behind a blank one with text behind it parts, and is told", async () => {
    const seen = await split(`${FROM}${letter(1)}\n${FROM}no header here\n`);
    expect(seen.map(({ message }) => message.unsure)).toEqual([false, true]);
    expect((await split(`${FROM}${letter(1)}\n${FROM}\nbody alone\n`)).map(({ message }) => message.unsure)).toEqual([
      false,
      false,
    ]);
  });

  test("fields of mail are found behind long and folded ones", async () => {
    const long = `X-Long: ${"h".repeat(900)}\nX-Folded: a\n\tb\n ${"c".repeat(500)}\n${letter(2)}`;
    expect(await texts(`${FROM}${letter(1)}From\n${long}`)).toEqual([letter(1), long]);
    expect(await texts(`${FROM}${letter(1)}From\n${long}`, SMALL)).toHaveLength(2);
  });
});

test("a separator that stands where a header has no end yet begins a message", async () => {
  const cutOff = "From: a@a.example\nSubject: cut off\n";
  expect(await texts(`${FROM}${cutOff}${FROM}${letter(2)}`)).toEqual([cutOff, letter(2)]);
});

describe("which reading is taken can be said", () => {
  const pasted = `Subject: x\n\nas it was:\n${FROM}${letter(1)}`;
  test("auto parts without a blank line, blank never does, every does without a header", async () => {
    expect(await texts(`${FROM}${pasted}`)).toHaveLength(2);
    expect(await texts(`${FROM}${pasted}`, { dialect: "blank" })).toEqual([pasted]);
    const bare = `${FROM}${letter(1)}From bob\nno header\n`;
    expect(await texts(bare)).toHaveLength(1);
    expect(await texts(bare, { dialect: "every" })).toEqual([letter(1), "no header\n"]);
  });

  test("every parts at each place that auto calls doubtful, and tells the first", async () => {
    const body = `Subject: x\n\nforwarded:\n`;
    const odd = `${FROM}${body}\nFrom the desk of Ann, today\n${letter(2)}`;
    const [only] = await split(odd);
    expect(only?.message).toMatchObject({ doubtful: 1, doubtfulAt: odd.indexOf("From the desk") });
    expect(await texts(odd, { dialect: "every" })).toEqual([body, letter(2)]);
    expect((await split(odd, { dialect: "every" })).map(({ message }) => message.doubtful)).toEqual([0, 0]);
  });
});

describe("an attachment", () => {
  const multipart = (boundary: string, inner: string, end = `--${boundary}--\n`): string =>
    `From: dev@a.example\nSubject: patch\nContent-Type: multipart/mixed;\n boundary="${boundary}"\n\n--${boundary}\n\nsee\n\n` +
    `--${boundary}\nContent-Type: text/x-patch\n\n${inner}\n${end}`;
  const patch = `From 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567 Mon Sep 17 00:00:00 2001\n${letter(7)}`;

  test("that is a patch, or a whole mbox, does not cut its message", async () => {
    for (const inner of [
      patch,
      `${FROM}${letter(5)}\n${FROM}${letter(6)}`,
      `${FROM}${letter(5)}${"x".repeat(5000)}\n`,
      // What ends before the second separator is another part, also where its boundary is a piece of the outer one.
      `${FROM}${multipart("inner", "x\n")}\n${FROM}${letter(6)}`,
      `${FROM}${multipart("b", "x\n")}\n${FROM}${letter(6)}`,
    ]) {
      const one = multipart("b1", inner);
      const seen = await split(`${FROM}${one}\n${FROM}${multipart("b2", "nothing\n")}`);
      expect(seen.map(({ text }) => text)).toEqual([one, multipart("b2", "nothing\n")]);
      expect(seen[0]?.message.doubtful).toBe(0);
    }
  });

  test("that was cut off does not swallow the next message, even one of the same boundary", async () => {
    const open = multipart("b1", "cut off", "");
    for (const next of [letter(2), multipart("b2", "x\n"), multipart("b1", "again\n"), open])
      expect(await texts(`${FROM}${open}\n${FROM}${next}`)).toEqual([open, next]);
  });

  test("that ends long before its message does not hold it together", async () => {
    const one = `${multipart("b1", "x\n")}${"a footer\n".repeat(1000)}`;
    expect(await texts(`${FROM}${one}\n${FROM}${letter(2)}`)).toEqual([one, letter(2)]);
    expect(await texts(`${FROM}${one}\n${FROM}${letter(2)}`, SMALL)).toEqual([one, letter(2)]);
  });

  test("is seen by an unquoted boundary and in small windows", async () => {
    const one = multipart("b1", `${FROM}${letter(5)}`).replace('"b1"', "b1");
    expect(await texts(`${FROM}${one}\n${FROM}${letter(2)}`, { ...SMALL, most: 300 })).toEqual([one, letter(2)]);
  });
});

describe("a file that begins otherwise", () => {
  const rest = `${FROM}${letter(1)}\n${FROM}${letter(2)}`;
  async function damage(text: string): Promise<object> {
    let told: object = {};
    const options = { dialect: "auto", name: "t", onDamagedStart: (seen: object) => (told = seen) } as const;
    for await (const _ of splitMbox(memory(bytes(text)), options));
    return told;
  }

  test("is read from the first separator on, and what is left out is told", async () => {
    for (const spoilt of [
      "\0".repeat(512),
      `${"\0".repeat(5000)}x\n`,
      "garbage of a bad sector\n\n",
      `${"y".repeat(40_000)}\n`,
    ]) {
      expect(await texts(`${spoilt}${rest}`)).toEqual([letter(1), letter(2)]);
      expect(await damage(`${spoilt}${rest}`)).toMatchObject({ skipped: spoilt.length, isHeadless: false });
      expect(await looksLikeMbox(memory(bytes(`${spoilt}${rest}`)))).toBe(true);
    }
  });

  test("gives a first message whose From_ line alone is gone", async () => {
    expect(await texts(`${letter(9)}\n${rest}`)).toEqual([letter(9), letter(1), letter(2)]);
    expect(await damage(`${letter(9)}\n${rest}`)).toMatchObject({ skipped: 0, isHeadless: true });
  });

  test("is an mbox by what stands in it, not by a date alone", async () => {
    for (const text of ["hello\n\nFrom here on\nSubject: x\n", `some log\n${FROM}and so on\n`, letter(1)]) {
      expect(await looksLikeMbox(memory(bytes(text)))).toBe(false);
      await expect(texts(text)).rejects.toMatchObject({ code: "config" });
    }
    const far = `${"x".repeat(80)}\n`.repeat(20_000);
    expect(await looksLikeMbox(memory(bytes(`${far}${rest}`)))).toBe(false);
    expect(await looksLikeMbox(memory(bytes(`${far}${rest}`)), Number.POSITIVE_INFINITY)).toBe(true);
  });

  test("with CR at the end of each line is read with LF, in reads of any length", async () => {
    const file = rest.replaceAll("\n", "\r");
    for (const most of [1, 2, 7, 1000]) expect(await texts(file, { most })).toEqual([letter(1), letter(2)]);
    // Its attachments' CRLF stay one line end.
    const mixed = `${rest}a\n`.replaceAll("\n", "\r").padEnd(4000, "z");
    for (const most of [1, 4001])
      expect((await texts(`${mixed}\r\nend\r`, { most })).at(-1)?.endsWith("z\r\nend\n")).toBe(true);
  });
});
