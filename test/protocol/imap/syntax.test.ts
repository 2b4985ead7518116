// What goes into a command cannot break out of it, and what comes out of a response is read as it was meant.

import { describe, expect, it } from "vitest";
import { parseRow } from "../../../src/protocol/imap/fetch.ts";
import { type DataResponse, parseResponse, type Response } from "../../../src/protocol/imap/parse.ts";
import {
  expandSet,
  flagNames,
  formatInternalDate,
  parseFlags,
  parseInternalDate,
  stringPart,
  uidSet,
} from "../../../src/protocol/imap/syntax.ts";

it.each([
  ["plain", '"plain"'],
  ['a"b\\c', '"a\\"b\\\\c"'],
  ["100% * (x) {5}", '"100% * (x) {5}"'],
])("%j is quoted", (text, quoted) => {
  expect(stringPart(text)).toBe(quoted);
});

it.each(["a\r\nb", "\0", "\xe4", "\x7f", "tab\t"])("%j goes as a literal", (text) => {
  expect(stringPart(text)).toMatchObject({ size: text.length });
});

it("keywords that are no atoms are refused, and \\Recent is nobody's", () => {
  const keywords = new Set(["ok", "$x.y-z", "two words", "a(b", "a]b", "x\r\ny", "", "ä", "NIL", '"']);
  expect(flagNames({ flags: new Set(["seen"]), keywords })).toEqual({
    names: ["\\Seen", "ok", "$x.y-z", "NIL"],
    refused: ["two words", "a(b", "a]b", "x\r\ny", "", "ä", '"'],
  });
  expect(parseFlags(["\\SEEN", "\\Recent", "\\Foo", "Work", null])).toEqual({
    flags: new Set(["seen"]),
    keywords: new Set(["Work", "NIL"]),
    foreign: new Set(["\\Foo"]),
  });
  expect(parseFlags(["\\Forwarded", "\\Recent"])).toEqual({ flags: new Set(), keywords: new Set(["$Forwarded"]) });
});

it.each([
  [" 1-Jan-2020 10:00:00 +0130", { epochSeconds: 1577867400, zoneMinutes: 90 }],
  ["01-JAN-2020 00:00:00 -0800", { epochSeconds: 1577865600, zoneMinutes: -480 }],
  ["31-Dec-1969 23:59:59 +0000", { epochSeconds: -1, zoneMinutes: 0 }],
])("%j is an instant with a zone, and comes back", (text, received) => {
  expect(parseInternalDate(text)).toEqual(received);
  expect(parseInternalDate((formatInternalDate(received) ?? "").slice(1, -1))).toEqual(received);
});

it("every day of every kind of year is what Date makes of it, and others are none", () => {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  for (const year of [1, 4, 99, 100, 400, 1900, 1969, 1970, 1999, 2000, 2001, 2004, 2038, 2100, 9999])
    for (const [month, name] of months.entries())
      for (const day of [1, 28, 29, 30, 31]) {
        const date = new Date(Date.UTC(2000, 0, 1, 23, 5, 9));
        const epochSeconds = date.setUTCFullYear(year, month, day) / 1000;
        const expected = date.getUTCDate() === day ? { epochSeconds, zoneMinutes: 0 } : undefined;
        const text = `${String(day).padStart(2, "0")}-${name}-${String(year).padStart(4, "0")} 23:05:09 +0000`;
        expect(parseInternalDate(text)).toEqual(expected);
      }
});

it.each([
  ["-0000", 0],
  ["+1459", 899],
  ["-2359", -1439],
  ["+2400", undefined],
  ["+0160", undefined],
  ["-9999", undefined],
])("a zone of %s is %j minutes", (zone, zoneMinutes) => {
  const epochSeconds = 1577872800 - (zoneMinutes ?? 0) * 60;
  expect(parseInternalDate(`01-Jan-2020 10:00:00 ${zone}`)).toEqual(
    zoneMinutes === undefined ? { epochSeconds } : { epochSeconds, zoneMinutes },
  );
});

it.each([
  "0x-Jan-2020 10:00:00 +0000",
  "01-Jan-20 0 10:00:00 +0000",
  "01-Jan-2020 1a:00:00 +0000",
  "01-Jxn-2020 10:00:00 +0000",
  "00-Jan-2020 10:00:00 +0000",
  " 0-Jan-2020 10:00:00 +0000",
  "0-Jan-2020 10:00:00 +0000",
  "01-Jan-2020 24:00:00 +0000",
  "1-Jan-2020 10:60:00 +0000",
  "01-Jan-2020 10:00:61 +0000",
])("%j is no date", (text) => expect(parseInternalDate(text)).toBeUndefined());

it("what is no date is none", () => {
  for (const text of ["", "x", "1-Foo-2020 10:00:00 +0000", "Mon, 1 Jan 2020 10:00:00 +0000"])
    expect(parseInternalDate(text)).toBeUndefined();
  expect(formatInternalDate({ epochSeconds: 9e11 })).toBeUndefined();
  expect(formatInternalDate({ epochSeconds: 0, zoneMinutes: -30 })).toBe('"31-Dec-1969 23:30:00 -0030"');
});

it("UID sets are ranges, and never longer than a command line may be", () => {
  expect(uidSet([1, 2, 3, 5, 7, 8], 0, 100)).toEqual({ set: "1:3,5,7:8", next: 6 });
  expect(uidSet([1, 2, 3, 5], 0, 2)).toEqual({ set: "1:2", next: 2 });
  const sparse = Array.from({ length: 10_000 }, (_, n) => 4_000_000_000 + 2 * n);
  let at = 0;
  const seen: number[] = [];
  while (at < sparse.length) {
    const { set, next } = uidSet(sparse, at, sparse.length);
    expect(set.length).toBeLessThan(8000);
    seen.push(...(expandSet(set, 100_000) ?? []));
    at = next;
  }
  expect(seen).toEqual(sparse);
  expect(expandSet("1:4000000000", 1000)).toBeUndefined();
  expect(expandSet("x", 10)).toBeUndefined();
});

describe("a message's row", () => {
  const parsed = (row: string) => parseResponse([row]);

  const plain = (response: Response): DataResponse => {
    if (response.kind !== "data") throw new Error("no data");
    const { kind, name, number, values } = response;
    return { kind, name, values, ...(number === undefined ? {} : { number }) };
  };

  const rowOf = (response: Response) => (response.kind === "data" ? parseRow(response) : undefined);

  it.each([
    ["", []],
    ["\\Seen", ["\\Seen"]],
    ["\\Seen \\Answered $Label1 NIL-like", ["\\Seen", "\\Answered", "$Label1", "NIL-like"]],
  ])("in its usual shape is what it is in any other: flags %j", (flags, list) => {
    const items = `UID 12 FLAGS (${flags}) INTERNALDATE " 1-Jan-2024 12:00:00 +0100" RFC822.SIZE 345`;
    const values = ["UID", "12", "FLAGS", list, "INTERNALDATE", " 1-Jan-2024 12:00:00 +0100", "RFC822.SIZE", "345"];
    const usual = { kind: "data", name: "FETCH", number: 7, values: [values] };
    expect(plain(parsed(`* 7 FETCH (${items})`))).toEqual(usual);
    // Two spaces are not quite legal, and not the usual shape.
    expect(parsed(`* 7 FETCH  (${items})`)).toEqual(usual);
    const body = Buffer.from("x");
    const withBody = { ...usual, values: [[...values, "BODY[]", body]] };
    const [one, other] = [`* 7 FETCH (${items} BODY[] `, `* 7 fetch (${items} BODY[] `].map((first) =>
      plain(parseResponse([first, body, ")"])),
    );
    expect(one).toEqual(withBody);
    expect(other).toEqual(withBody);
    expect(rowOf(parseResponse([`* 7 FETCH (${items} BODY[] `, body, ")"]))).toEqual(
      rowOf(parsed(`* 7 FETCH  (${items} BODY[] "x")`)),
    );
    expect(parseResponse([`* 7 FETCH (${items} BODY[] `, body, " MODSEQ (9))"])).toEqual({
      ...usual,
      values: [[...values, "BODY[]", body, "MODSEQ", ["9"]]],
    });
  });

  it("that breaks off behind a body is refused as ever", () => {
    const items = 'UID 12 FLAGS () INTERNALDATE "x" RFC822.SIZE 3 BODY[] ';
    expect(() => parseResponse([`* 7 FETCH (${items}`, Buffer.from("abc"), ""])).toThrow(/not closed/);
    expect(() => parseResponse([`* 7 FETCH (${items}`])).toThrow(/not closed/);
  });
});
