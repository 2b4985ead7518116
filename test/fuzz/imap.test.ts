// The IMAP response reader takes whatever a server sends: it means the same however it is cut, what is legal comes out exact,
// and anything else is a MailError, in time.

import { PassThrough, Writable } from "node:stream";
import { expect } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { fetchBodies } from "../../src/protocol/imap/bodies.ts";
import { Connection } from "../../src/protocol/imap/connection.ts";
import { parseRow } from "../../src/protocol/imap/fetch.ts";
import { listMessages } from "../../src/protocol/imap/listing.ts";
import { listMailboxes, selectMailbox } from "../../src/protocol/imap/mailbox.ts";
import { pathsOf } from "../../src/protocol/imap/names.ts";
import { parseResponse, type Response, type Value, valueText } from "../../src/protocol/imap/parse.ts";
import { Scanner } from "../../src/protocol/imap/scanner.ts";
import { type Random, randomFrom } from "../kit/random.ts";
import { cutUp, mutate, octets, oddText, textOf, times } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const LINES: readonly string[] = [
  "* OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS] ready\r\n",
  "* 3 EXISTS\r\n",
  "* OK [UIDVALIDITY 7] ok\r\n",
  "* OK [UIDNEXT 12] ok\r\n",
  "* FLAGS (\\Seen \\Draft $Label1)\r\n",
  "* OK [PERMANENTFLAGS (\\Seen \\*)] ok\r\n",
  '* LIST (\\HasNoChildren \\Sent) "/" "A/&APY-"\r\n',
  '* LIST () NIL {5}\r\na"\r\n)\r\n',
  '* STATUS "A" (MESSAGES 3 UIDNEXT 12 UIDVALIDITY 7 HIGHESTMODSEQ 99)\r\n',
  '* 1 FETCH (UID 5 FLAGS (\\Seen $A NIL) INTERNALDATE " 1-Jan-2020 10:00:00 +0100" RFC822.SIZE 4 BODY[] {4}\r\nab\r\n)\r\n',
  '* 2 FETCH (BODY[HEADER.FIELDS ("Message-ID" {2}\r\nTO)] {3}\r\nx\r\n UID 6 BODY[] NIL)\r\n',
  "* 3 FETCH (UID 7 FLAGS () RFC822.SIZE 3 BODY[] ~{3}\r\n\0\xff)\r\n",
  "* SEARCH 5 6 7\r\n",
  "* 2 EXPUNGE\r\n",
  "* BYE [ALERT] so long {3}\r\n",
  "+ go ahead\r\n",
  "m1 OK [READ-WRITE] done\r\n",
  'm2 NO [BADURL "x]y"] no\r\n',
];
/** What may come at any time: rows twice, with no size, with a UID that is none. */
const UNTAGGED: readonly string[] = [
  ...LINES.filter((line) => line.startsWith("* ") && !line.startsWith("* BYE")),
  "* 1 FETCH (UID 5 FLAGS () RFC822.SIZE 4)\r\n",
  "* 1 FETCH (UID 6 FLAGS () RFC822.SIZE 4)\r\n",
  "* 4 FETCH (UID 0 FLAGS () RFC822.SIZE 4)\r\n",
  "* 4 FETCH (UID 4294967296 FLAGS () RFC822.SIZE 4)\r\n",
  '* 4 FETCH (UID "x" FLAGS () RFC822.SIZE -4)\r\n',
  "* 4 FETCH (FLAGS (\\Seen))\r\n",
];
const WORDS: readonly string[] = [
  "(",
  ")",
  '"',
  "\\",
  "{0}\r\n",
  "{3}\r\n",
  "{999999}\r\n",
  "{99999999999999999}\r\n",
  "~{2}\r\n",
  "{2+}\r\n",
  "[",
  "]",
  "\r",
  "\n",
  "\r\n",
  "\0",
  "* ",
  "+ ",
  "NIL",
  "BODY[]",
  "BODY[",
  "UID",
  "UID 0",
  "UID 99999999999",
  "FETCH",
  "FLAGS",
  " ",
  "  ",
  "\xff",
  "-1",
  "1e9",
  "(".repeat(300),
  "(".repeat(20_000),
  "m1 OK\r\n",
  "m9 OK\r\n",
  "* 4294967296 EXISTS\r\n",
  "* BYE\r\n",
  '"\\"',
];

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

/** What came of it, and how it ended. */
function scan(pieces: readonly Buffer[]): { readonly seen: readonly Response[]; readonly end: string } {
  const seen: Response[] = [];
  const scanner = new Scanner({
    response(parts) {
      const response = parseResponse(parts);
      if (response.kind === "data") parseRow(response);
      seen.push(response);
    },
    literal: () => undefined,
  });
  try {
    for (const piece of pieces) scanner.push(piece);
    return { seen, end: scanner.midResponse ? "in the middle" : "at an end" };
  } catch (error) {
    if (!(error instanceof MailError) || error.code !== "protocol") throw error;
    return { seen, end: error.message };
  }
}

/** A value, and one of the ways to write it. */
function anyValue(random: Random, depth: number): { readonly value: Value; readonly text: string } {
  switch (random.upTo(depth > 3 ? 5 : 7)) {
    case 0: {
      const atom = textOf(random, [..."abcXYZ019.\\$*%+-/:;@"], 12) || "x";
      return { value: atom.toUpperCase() === "NIL" ? null : atom, text: atom };
    }
    case 1: {
      const text = octets(random, 20)
        .toString("latin1")
        .replace(/[\r\n\0]/g, " ");
      return { value: text, text: `"${text.replace(/[\\"]/g, "\\$&")}"` };
    }
    case 2: {
      const literal = random.chance(0.5) ? octets(random, 40) : bytes(textOf(random, WORDS, 4));
      return {
        value: literal,
        text: `${random.pick(["", "~"])}{${literal.length}${random.pick(["", "+"])}}\r\n${literal.toString("latin1")}`,
      };
    }
    case 3:
      return { value: null, text: random.pick(["NIL", "nil", "Nil"]) };
    case 4: {
      const section = `BODY[HEADER.FIELDS (${textOf(random, ["TO", " ", '"A b"', "(x)"], 4)})]<0>`;
      return { value: section, text: section };
    }
    default: {
      const items = times(random.upTo(5), () => anyValue(random, depth + 1));
      return { value: items.map(({ value }) => value), text: `(${items.map(({ text }) => text).join(" ")})` };
    }
  }
}

/** A server that answers each command with much that is right; the answer to one of them is changed, and the last. */
function connected(seed: number): Connection {
  const random = randomFrom(seed);
  const incoming = new PassThrough();
  const bad = random.upTo(8);
  let commands = 0;
  const outgoing = new Writable({
    write(chunk: Buffer, _, done) {
      for (const line of chunk.toString("latin1").split("\r\n").filter(Boolean)) {
        const tag = line.split(" ", 1)[0] ?? "";
        const lines = [
          "* 3 EXISTS\r\n",
          "* OK [UIDVALIDITY 7] ok\r\n",
          ...times(random.upTo(12), () => random.pick(UNTAGGED)),
        ];
        const good = bytes(`${lines.join("")}${tag} OK done\r\n`);
        const isBad = commands++ === bad;
        for (const piece of cutUp(random, isBad ? mutate(random, good, WORDS) : good)) incoming.write(piece);
        if (isBad) incoming.end();
      }
      done();
    },
  });
  const server = { host: "127.0.0.1", port: 1, security: "none", user: "u", password: async () => "p" } as const;
  const capabilities = new Set(["LITERAL+", ...(random.chance(0.5) ? ["LIST-EXTENDED", "LIST-STATUS"] : [])]);
  const wire = { readSocket: incoming, writeSocket: outgoing, socket: incoming };
  // A mutation may have taken the tagged answer away: then this is how it ends.
  return new Connection(wire, { server, name: "f", capabilities, stallMs: 5_000 });
}

fuzz({
  "whatever octets come, they mean the same in any pieces": target({
    inputs: 4_000,
    make: (random) => {
      const good = bytes(times(1 + random.upTo(6), () => random.pick(LINES)).join(""));
      return random.chance(0.1) ? octets(random, 300) : mutate(random, good, WORDS);
    },
    check(input, random) {
      const whole = scan([input]);
      expect(scan(cutUp(random, input))).toEqual(whole);
      if (input.length < 2_000) expect(scan([...input].map((octet) => Buffer.from([octet])))).toEqual(whole);
    },
    show: (input) => input,
  }),
  "legal values come out exactly as they were": target({
    inputs: 3_000,
    make: (random) => times(random.upTo(6), () => anyValue(random, 0)),
    check(values, random) {
      const line = bytes(`* 7 X${values.map(({ text }) => ` ${text}`).join("")}\r\n`);
      const { seen, end } = scan(cutUp(random, line));
      expect(end).toBe("at an end");
      expect(seen).toEqual([{ kind: "data", number: 7, name: "X", values: values.map(({ value }) => value) }]);
      for (const { value } of values)
        if (!Array.isArray(value)) expect(valueText(value) ?? "").toBe(value?.toString("latin1" as never) ?? "");
    },
  }),
  "a folder that is listed and read over a server gone mad ends, and names each UID once": target({
    inputs: 500,
    make: (random) => random.upTo(2 ** 31),
    async check(seed) {
      const connection = connected(seed);
      const uids: number[] = [];
      try {
        const listed = await listMailboxes(connection, "counts");
        const paths = pathsOf(listed, "");
        expect(new Set([...paths.values()].map((path) => JSON.stringify(path))).size).toBe(listed.length);
        await selectMailbox(connection, "INBOX", true);
        for await (const rows of listMessages(connection, "1:*")) for (const { uid } of rows) uids.push(uid);
        const wanted = { uids: Uint32Array.from([5, 6, 7]), sizes: Uint32Array.from([4, 0, 3]) };
        for await (const batch of fetchBodies(connection, wanted, () => undefined))
          for (const fetched of batch) if ("content" in fetched) for await (const _ of fetched.content);
      } finally {
        connection.fail(new Error("over"));
        expect(new Set(uids).size).toBe(uids.length);
        for (const uid of uids) expect(Number.isInteger(uid) && uid > 0 && uid <= 0xffffffff).toBe(true);
      }
    },
  }),
  "names of folders, read from a server, each have a path of their own": target({
    inputs: 1_500,
    make: (random) =>
      times(1 + random.upTo(12), () => ({
        name: random.chance(0.5)
          ? textOf(random, ["A", "/", "//", ".", "&", "&-", "&AGE-", "&AGE", "\xff", "INBOX", "\0", " (A)", "a"], 5) ||
            "x"
          : Buffer.from(oddText(random), "utf8").toString("latin1") || "x",
        delimiter: random.pick(["/", ".", null, "\\"]),
      })),
    check(listed, random) {
      const unique = [
        ...new Map(listed.map((one) => [one.name.toUpperCase() === "INBOX" ? "INBOX" : one.name, one])).values(),
      ];
      const paths = [...pathsOf(unique, random.pick(["", "INBOX.", "A/"])).values()];
      expect(new Set(paths.map((path) => JSON.stringify(path))).size).toBe(unique.length);
      for (const path of paths) expect(path.length > 0 && path.every((part) => part !== "")).toBe(true);
    },
  }),
});
