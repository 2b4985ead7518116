// Responses of any legal shape come out whole and the same, wherever the octets are cut.

import { expect, it } from "vitest";
import { parseResponse, type Response } from "../../../src/protocol/imap/parse.ts";
import { GATHER_LIMIT, type LiteralSink, MAX_LITERALS, Scanner, Streamed } from "../../../src/protocol/imap/scanner.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

function scan(chunks: readonly Buffer[]): Response[] {
  const responses: Response[] = [];
  const scanner = new Scanner({
    response: (pieces) => responses.push(parseResponse(pieces)),
    literal: () => undefined,
  });
  for (const chunk of chunks) scanner.push(chunk);
  return responses;
}

const SHAPES: readonly (readonly [string, unknown])[] = [
  ["* 12 EXISTS\r\n", { kind: "data", number: 12, name: "EXISTS", values: [] }],
  [
    "* OK [UIDVALIDITY 7] fine {5}\r\n",
    { kind: "status", status: "OK", code: "UIDVALIDITY", argument: "7", text: "fine {5}" },
  ],
  ["* BYE {3}\r\n", { kind: "status", status: "BYE", text: "{3}" }],
  ["+ idling {2}\r\n", { kind: "continuation", text: "idling {2}" }],
  ["+\r\n", { kind: "continuation", text: "" }],
  ["a1 NO [TRYCREATE] no {4}\r\n", { kind: "tagged", tag: "a1", status: "NO", code: "TRYCREATE", text: "no {4}" }],
  ["a1 OK\r\n", { kind: "tagged", tag: "a1", status: "OK", text: "" }],
  [
    'a1 NO [BADURL "x]y"] z\r\n',
    { kind: "tagged", tag: "a1", status: "NO", code: "BADURL", argument: '"x]y"', text: "z" },
  ],
  [
    '* LIST (\\HasNoChildren) "/" "a \\"b\\" \\\\"\r\n',
    { name: "LIST", values: [["\\HasNoChildren"], "/", 'a "b" \\'] },
  ],
  ["* LIST () NIL nil\r\n", { name: "LIST", values: [[], null, null] }],
  ['* LIST () "/" "NIL"\r\n', { name: "LIST", values: [[], "/", "NIL"] }],
  ['* LIST () "/" {5}\r\na"\r\n)\r\n', { name: "LIST", values: [[], "/", bytes('a"\r\n)')] }],
  [
    "* 1 FETCH (UID 5 FLAGS (\\Seen $A) BODY[] {0}\r\n)\r\n",
    { number: 1, values: [["UID", "5", "FLAGS", ["\\Seen", "$A"], "BODY[]", bytes("")]] },
  ],
  ["* 1 FETCH (BODY[] ~{3}\r\n\0\xff) UID 5)\r\n", { values: [["BODY[]", bytes("\0\xff)"), "UID", "5"]] }],
  [
    "* 1 FETCH (A {2}\r\nxx B {3}\r\nyyy {1}\r\nz)\r\n",
    { values: [["A", bytes("xx"), "B", bytes("yyy"), bytes("z")]] },
  ],
  ["* 1 FETCH (A {2}\r\n{1{1}\r\n\n)\r\n", { values: [["A", bytes("{1"), bytes("\n")]] }],
  [
    '* 1 FETCH (BODY[HEADER.FIELDS ("Message-ID" TO)] "x" UID 3)\r\n',
    { values: [['BODY[HEADER.FIELDS ("Message-ID" TO)]', "x", "UID", "3"]] },
  ],
  ["* 1 FETCH (BODY[HEADER.FIELDS ({2}\r\nTO)] NIL)\r\n", { values: [["BODY[HEADER.FIELDS (TO)]", null]] }],
  ['* 1 FETCH (BODY[]<0> "")\r\n', { values: [["BODY[]<0>", ""]] }],
  ["* SEARCH\r\n", { name: "SEARCH", values: [] }],
  ["* 7 expunge\r\n", { number: 7, name: "EXPUNGE" }],
  ["* STATUS {3}\r\na\rb (MESSAGES 3)\r\n", { name: "STATUS", values: [bytes("a\rb"), ["MESSAGES", "3"]] }],
  [
    '* 1 FETCH (BODYSTRUCTURE (("a" NIL)(NIL ("b")) ())\r\n)'.replace("\r\n)", ")\r\n"),
    { values: [["BODYSTRUCTURE", [["a", null], [null, ["b"]], []]]] },
  ],
];

it.each(SHAPES)("%j means what it means", (text, meaning) => {
  expect(scan([bytes(text)])).toEqual([expect.objectContaining(meaning)]);
});

it("a line may end with LF alone", () => {
  expect(scan([bytes("* 3 EXISTS\n")])).toMatchObject([{ number: 3 }]);
});

it("every cut in two, and octet by octet, gives the same", () => {
  const all = bytes(SHAPES.map(([text]) => text).join(""));
  const whole = scan([all]);
  expect(whole).toHaveLength(SHAPES.length);
  for (let at = 1; at < all.length; at++) expect(scan([all.subarray(0, at), all.subarray(at)])).toEqual(whole);
  expect(scan([...all].map((octet) => Buffer.from([octet])))).toEqual(whole);
});

it("a literal may be written where it belongs, from any octet on, and whatever comes otherwise goes on as ever", () => {
  const text = bytes("* 1 FETCH (A {6}\r\n123456 B {3}\r\n789 UID 5)\r\n* 2 FETCH (UID 6)\r\n");
  const whole = scan([text]);
  for (let first = 1; first < text.length; first++)
    for (let least = 1; least < 5; least++) {
      const seen: Response[] = [];
      const scanner = new Scanner({ response: (pieces) => seen.push(parseResponse(pieces)), literal: () => undefined });
      let direct = 0;
      for (let at = 0; at < text.length; ) {
        const room = at === 0 ? undefined : scanner.room(least);
        const length = Math.min(room?.length ?? first, first, text.length - at);
        const part = Buffer.from(text.subarray(at, at + length));
        at += length;
        if (room === undefined) scanner.push(part);
        else {
          expect(room.length).toBeGreaterThanOrEqual(least);
          room.set(part);
          scanner.filled(length);
          direct += length;
        }
      }
      expect(seen).toEqual(whole);
      // Where a chunk ends within the longer literal, the rest of it is asked for.
      if (first === 20) expect(direct).toBe(4);
    }
});

it("nothing may be written directly while what came before it waits, nor after the end", () => {
  const scanner = new Scanner({ response: () => undefined, literal: () => undefined });
  scanner.push(bytes("* 1 FETCH (A {9}\r\n12"));
  expect(scanner.room(7)).toHaveLength(7);
  expect(scanner.room(8)).toBeUndefined();
  scanner.paused = true;
  scanner.push(bytes("34"));
  expect(scanner.room(1)).toBeUndefined();
  scanner.paused = false;
  scanner.resume();
  expect(scanner.room(1)).toHaveLength(5);
  scanner.fail(new Error("gone"));
  expect(scanner.room(1)).toBeUndefined();
  scanner.filled(5);
});

it("a large literal passes by in chunks, and what surrounds it is kept", () => {
  const size = GATHER_LIMIT + 3;
  const heard: string[] = [];
  let got = 0;
  const sink: LiteralSink = {
    write: (chunk) => {
      got += chunk.length;
    },
    end: () => heard.push("end"),
    fail: () => heard.push("fail"),
  };
  const seen: unknown[] = [];
  const scanner = new Scanner({
    response: (pieces) => seen.push(pieces),
    literal: (pieces, announced) => {
      heard.push(`${pieces.join("")} ${announced}`);
      return sink;
    },
  });
  scanner.push(bytes(`* 1 FETCH (UID 9 BODY[] {${size}}\r\n`));
  for (let left = size; left > 0; left -= 1000) scanner.push(Buffer.alloc(Math.min(1000, left), 41));
  scanner.push(bytes(" FLAGS ())\r\n"));
  expect(heard).toEqual([`* 1 FETCH (UID 9 BODY[]  ${size}`, "end"]);
  expect(got).toBe(size);
  expect(seen).toEqual([["* 1 FETCH (UID 9 BODY[] ", new Streamed(size), " FLAGS ())"]]);
});

it("paused, it keeps what comes; resumed, it goes on where it was", () => {
  const seen: string[] = [];
  const scanner = new Scanner({
    response: (pieces) => {
      seen.push(pieces.join(""));
      scanner.paused = true;
    },
    literal: () => undefined,
  });
  scanner.push(bytes("* 1 EXISTS\r\n* 2 EXISTS\r\n* 3 EXI"));
  expect(seen).toEqual(["* 1 EXISTS"]);
  scanner.paused = false;
  scanner.resume();
  scanner.push(bytes("STS\r\n"));
  expect(seen).toEqual(["* 1 EXISTS", "* 2 EXISTS"]);
  scanner.paused = false;
  scanner.resume();
  expect(seen).toEqual(["* 1 EXISTS", "* 2 EXISTS", "* 3 EXISTS"]);
});

it("what a server may choose has a limit", () => {
  expect(() => scan([bytes(`* 1 FETCH (${"A {0}\r\n".repeat(MAX_LITERALS + 2)}`)])).toThrow(/literals/);
  expect(() => scan([bytes("* 1 FETCH (BODY[] {999999999999999}\r\n")])).toThrow(/larger/);
  expect(() => scan([bytes(`* 1 X ${"(".repeat(5000)}\r\n`)])).toThrow(/nested/);
  expect(() => scan(Array.from({ length: 40 }, () => Buffer.alloc(1024 * 1024, 65)))).toThrow(/line/);
});

it.each(["* 1 FETCH (UID 5\r\n", '* LIST () "/" "x\r\n', "hello\r\n", "\r\n", " \r\n"])("%j is no response", (text) => {
  expect(() => scan([bytes(text)])).toThrow();
});
