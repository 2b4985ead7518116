// Header slicing and decoding take any octets: they agree with a plain reading of the same header, end in time, and never throw.

import { expect } from "vitest";
import {
  headerBlock,
  headerEnd,
  headerText,
  headerValues,
  messageIdOf,
  parseMailDate,
  receivedFromHeader,
} from "../../src/mail/headers.ts";
import { headerSlice, preview } from "../../src/mail/preview.ts";
import { mutate, octets, textOf } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const PARTS: readonly string[] = [
  "Subject: x\r\n",
  "Subject: =?utf-8?b?w6Q=?=\n",
  "Subject : obsolete\r\n",
  "subject:none\n",
  "Message-ID: <a@b>\r\n",
  "Message-ID:\r\n <a@\r\n\tb>\r\n",
  "Message-ID: no brackets\n",
  "Message-ID: <>\n",
  "Received: from x; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
  "Received: from x (a;b); nonsense\r\n",
  "Date: Thu, 31 Feb 2020 10:00:00 +0100\r\n",
  "Date: Sat Jan  3 01:05:34 2015\n",
  'From: "a" <b@c>\n',
  "\r\n",
  "\n",
  "\r",
  "\r\r\n",
  " ",
  "\t",
  ":",
  "\0",
  "\xff\xc3\xa4",
  "x",
  "(".repeat(50),
  "<".repeat(50),
  "; ".repeat(30),
  "x".repeat(300),
];
const DATES: readonly string[] = [
  "Thu, ",
  "1",
  "31",
  " ",
  "Jan",
  "Feb",
  "foo",
  "2020",
  "70",
  "102",
  "10:00",
  ":61",
  ":00",
  "+0100",
  "-9999",
  "EST",
  "GMT+02:00",
  "(c)",
  "((",
  "-",
  ".",
  '"',
  "é",
  "24:00:60",
];

/** Fields of a header by the book, the slow way: lines, unfolded, split at the colon. */
function valuesByTheBook(head: Buffer, name: string): string[] {
  const text = head.toString("latin1");
  const end = /(?:^|\n)(?=\r?\n)/.exec(text);
  const block = end === null ? text : text.slice(0, end.index + end[0].length);
  const fields = block.match(/[^\n]*(?:\n(?:[ \t][^\n]*\n?|$)|\n(?![ \t]))?(?:(?<=\n)[ \t][^\n]*\n?)*/g) ?? [];
  return fields
    .filter((field) => new RegExp(`^${name}[ \\t]*:`, "i").test(field))
    .map((field) => headerText(Buffer.from(field.slice(field.indexOf(":") + 1), "latin1")))
    .map((value) => value.replace(/\r*\n(?=[ \t])/g, "").trim());
}

fuzz({
  "fields are those that a plain reading finds": target({
    inputs: 5_000,
    make: (random) => mutate(random, Buffer.from(textOf(random, PARTS, 12), "latin1"), PARTS),
    check(head) {
      for (const name of ["subject", "message-id", "received", "date"])
        expect(headerValues(head, name)).toEqual(valuesByTheBook(head, name));
      const end = headerEnd(head);
      const block = headerBlock(head);
      if (end !== -1) expect(block.length).toBe(end);
      else expect(block.length).toBe(head.length);
      const id = messageIdOf(head);
      if (id !== undefined) expect(id).toMatch(/^<[^\s]*>?/);
      const received = receivedFromHeader(head);
      if (received !== undefined) expect(Number.isSafeInteger(received.epochSeconds)).toBe(true);
      const slice = headerSlice(head);
      if (end !== -1) expect(slice.length).toBe(end + (head[end] === 13 ? 2 : 1));
    },
    show: (input) => input,
  }),
  "a date is an instant or none": target({
    inputs: 8_000,
    make: (random) => {
      const day = random.upTo(34);
      const plain = `${day} ${random.pick(["Jan", "Feb", "Apr"])} ${random.pick(["1999", "2020"])} 10:00:00 ${random.pick(["+0100", "-0930"])}`;
      return random.chance(0.2) ? { text: plain, day } : { text: textOf(random, DATES, 14), day: undefined };
    },
    check({ text, day }) {
      const date = parseMailDate(text);
      if (date === undefined) return;
      expect(Number.isSafeInteger(date.epochSeconds)).toBe(true);
      expect(Math.abs(date.epochSeconds)).toBeLessThan(400_000_000_000);
      if (date.zoneMinutes !== undefined) expect(Math.abs(date.zoneMinutes)).toBeLessThan(24 * 60);
      const local = new Date((date.epochSeconds + (date.zoneMinutes ?? 0) * 60) * 1000);
      // The 31st of February is no day.
      if (day !== undefined) expect(local.getUTCDate()).toBe(day);
    },
    show: ({ text }) => Buffer.from(text),
  }),
  "a look at a message for people never throws": target({
    inputs: 400,
    make: (random) =>
      random.chance(0.2)
        ? octets(random, 500)
        : mutate(random, Buffer.from(textOf(random, PARTS, 12), "latin1"), PARTS),
    async check(head) {
      const { from, subject } = await preview(head);
      for (const text of [from, subject]) expect(["string", "undefined"]).toContain(typeof text);
    },
    show: (input) => input,
  }),
});
