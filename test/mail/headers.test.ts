// Promise: a header is read where it stands, and a date as mail writes it.

import { describe, expect, test } from "vitest";
import {
  headerBlock,
  headerEnd,
  headerValue,
  headerValues,
  messageIdOf,
  parseMailDate,
  receivedFromHeader,
} from "../../src/mail/headers.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const epoch = (iso: string) => Date.parse(iso) / 1000;

describe("the header block", () => {
  test("ends before the blank line, with LF and CRLF", () => {
    expect(Buffer.from(headerBlock(bytes("A: 1\nB: 2\n\nC: 3\n"))).toString()).toBe("A: 1\nB: 2\n");
    expect(Buffer.from(headerBlock(bytes("A: 1\r\nB: 2\r\n\r\nC: 3\r\n"))).toString()).toBe("A: 1\r\nB: 2\r\n");
    expect(headerBlock(bytes("\nC: 3\n"))).toHaveLength(0);
    expect(headerBlock(bytes("\r\nC: 3\n"))).toHaveLength(0);
  });

  test("is all there is where no blank line comes, but never more than its limit", () => {
    expect(headerBlock(bytes("A: 1\nB"))).toHaveLength(6);
    expect(headerEnd(bytes("A: 1\nB"))).toBe(-1);
    expect(headerBlock(Buffer.alloc(3 << 20, 65))).toHaveLength(1 << 20);
  });
});

describe("a field", () => {
  test("is found without case, unfolded and trimmed, and never in the body", () => {
    const head = bytes("X: no\r\nsubject : a\r\n  b\r\n\tc\r\nSubject: second\r\n\r\nFrom: body\r\n");
    expect(headerValue(head, "Subject")).toBe("a  b\tc");
    expect(headerValues(head, "SUBJECT")).toEqual(["a  b\tc", "second"]);
    expect(headerValue(head, "From")).toBeUndefined();
  });

  test("is not taken from a folded line or a line that is no field", () => {
    expect(headerValue(bytes("A: 1\n B: 2\nnot a field\nC:\n\n"), "B")).toBeUndefined();
    expect(headerValue(bytes("A: 1\n B: 2\nnot a field\nC:\n\n"), "C")).toBe("");
  });

  test("is UTF-8 where valid and Latin-1 where not", () => {
    expect(headerValue(Buffer.from("S: é€\n\n"), "s")).toBe("é€");
    expect(headerValue(bytes("S: \xe9\n\n"), "s")).toBe("é");
  });
});

describe("the Message-ID", () => {
  test("has its angle brackets and no white space", () => {
    expect(messageIdOf(bytes("Message-ID:\r\n <a@b>  \r\n\r\n"))).toBe("<a@b>");
    expect(messageIdOf(bytes("message-id: a@b\n\n"))).toBe("<a@b>");
    expect(messageIdOf(bytes("Message-Id: < a@b > (x)\n\n"))).toBe("<a@b>");
    expect(messageIdOf(bytes("Message-Id: \n\n"))).toBeUndefined();
    expect(messageIdOf(bytes("Message-Id: <>\n\n"))).toBeUndefined();
    expect(messageIdOf(bytes("Subject: <a@b>\n\n"))).toBeUndefined();
  });
});

describe("a date", () => {
  const CASES: [string, string, number | undefined][] = [
    ["Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T15:55:06Z", -360],
    ["21 Nov 97 09:55 EST", "1997-11-21T14:55:00Z", -300],
    ["Tue, 1 Jul 2003 10:52:37 +0200 (CEST)", "2003-07-01T08:52:37Z", 120],
    ["Thu,\t13  Feb\r\n 1969 23:32 -0330 (Newfoundland Time (odd))", "1969-02-14T03:02:00Z", -210],
    ["Sat Jan  3 01:05:34 2015", "2015-01-03T01:05:34Z", undefined],
    ["Sat Jan 03 01:05:34 +0000 2015", "2015-01-03T01:05:34Z", 0],
    ["Sat Jan 03 01:05:34 CET 2015", "2015-01-03T00:05:34Z", 60],
    ["17-Jul-1996 02:44:25 -0700", "1996-07-17T09:44:25Z", -420],
    [" 7-Jul-1996 02:44:25 -0000", "1996-07-07T02:44:25Z", 0],
    ["Fri, 21 Nov 1997 09:55:06 GMT+02:00", "1997-11-21T07:55:06Z", 120],
    ["Fri, 21 Nov 1997 09:55:06 XYZ", "1997-11-21T09:55:06Z", undefined],
    ["Wed, 31 Dec 2008 23:59:60 +0000", "2009-01-01T00:00:00Z", 0],
    ["Sat 23 Jan 2016 22:06:43 +0200", "2016-01-23T20:06:43Z", 120],
    ["1 September 49 1:02:03", "2049-09-01T01:02:03Z", undefined],
    ["1 Sep 103 1:02:03 Z", "2003-09-01T01:02:03Z", 0],
  ];
  for (const [text, iso, zone] of CASES)
    test(`${JSON.stringify(text)} is ${iso}`, () => {
      const want = zone === undefined ? { epochSeconds: epoch(iso) } : { epochSeconds: epoch(iso), zoneMinutes: zone };
      expect(parseMailDate(text)).toEqual(want);
    });

  test("that is none is undefined", () => {
    for (const text of [
      "",
      "yesterday",
      "31 Feb 2003 10:00:00 +0000",
      "1 Foo 2003 10:00",
      "1 Jan 2003",
      "1 Jan 2003 25:00",
    ])
      expect(parseMailDate(text)).toBeUndefined();
  });

  test("hostile text costs no time", () => {
    const start = performance.now();
    for (const text of [
      "(".repeat(1000),
      "1 ".repeat(500),
      " ".repeat(999),
      "(".repeat(1e6),
      `1 Jan 2003${" ".repeat(900)}`,
    ])
      parseMailDate(text);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("of arrival is the topmost Received's, else Date's", () => {
    const head =
      "Received: from a\n by b; broken\nReceived: by c; x; 2 Jan 2003 00:00:00 +0100\nDate: 1 Jan 2003 00:00:00 Z\n\n";
    expect(receivedFromHeader(bytes(head))).toEqual({ epochSeconds: epoch("2003-01-01T23:00:00Z"), zoneMinutes: 60 });
    expect(receivedFromHeader(bytes("Date: 1 Jan 2003 00:00:00 Z\n\n"))?.epochSeconds).toBe(
      epoch("2003-01-01T00:00:00Z"),
    );
    expect(receivedFromHeader(bytes("Subject: x\n\nDate: 1 Jan 2003 00:00:00 Z\n"))).toBeUndefined();
  });
});
