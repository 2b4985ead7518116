// The splitter's quick looks say the same as the careful ones.

import { describe, expect, it } from "vitest";
import { judgeFromLine } from "../../../src/formats/mbox/from-line.ts";
import { lookAtHead } from "../../../src/formats/mbox/head.ts";
import { isInternalData, plainState, readState } from "../../../src/formats/mbox/state.ts";
import { headerEnd } from "../../../src/mail/headers.ts";
import { bytes, chance } from "./kit.ts";

const FIELDS = [
  ...["Status: RO", "X-Status: A", "X-Keywords: a b", "X-UID: 7", "X-IMAP: 1 2", "X-IMAPbase: 1 2"],
  ...["X-Mozilla-Status: 0001", "X-Mozilla-Status2: 00800000", "X-Mozilla-Keys: $label1", "Content-Length: 12"],
  ...["X-Gmail-Labels: Inbox,Unread", "X-Mailferry-Original-Status: RO"],
];
const OTHERS = [
  ...[
    "Subject: s",
    "Sender: a",
    "From: x@y",
    "Content-Type: text/plain;\n\tcharset=x",
    "X-Spam-Status: No",
    "S",
    "X",
    "C",
  ],
  ...[
    "X-Mailer: m",
    "X-Mailman-Version: 2",
    "Received: from a\n by b; Thu, 4 Jan 2024 12:00:00 +0100",
    "Cc: a",
    "no field at all",
    "X-Google-Id: 1",
  ],
];

describe("the look at a header", () => {
  it.each(FIELDS)("sees that there may be %s, however it is written and wherever it stands", (field) => {
    const [name = "", value = ""] = field.split(": ");
    const long = `Subject: ${"x".repeat(1990)}\n`;
    for (const line of [field, field.toUpperCase(), field.toLowerCase(), `${name} : ${value}`, `${name}:${value}`])
      for (const before of [
        "",
        "A: b\n",
        "A: b\r\n",
        long,
        long.repeat(5),
        ...Array.from({ length: 40 }, (_, i) => long.slice(i)),
      ])
        for (const behind of ["\n\nbody", "\r\n\r\nbody", "\nB: c\n\n", ""]) {
          const head = bytes(`${before}${line}${behind}`);
          expect(lookAtHead(head)).toMatchObject({ end: headerEnd(head), mayHoldState: true });
        }
  });

  it("misses nothing, and ends where the header does, in any mixture", () => {
    const below = chance(5);
    let plain = 0;
    for (let round = 0; round < 3000; round++) {
      const lines = Array.from({ length: below(9) }, () =>
        below(8) === 0 ? FIELDS[below(FIELDS.length)] : OTHERS[below(OTHERS.length)],
      );
      const end = below(2) === 0 ? "\n" : "\r\n";
      const head = bytes(`${lines.join("\n").replaceAll("\n", end)}${end.repeat(below(3))}`);
      const look = lookAtHead(head);
      expect(look.end).toBe(headerEnd(head));
      if (look.mayHoldState) continue;
      plain++;
      expect(isInternalData(head)).toBe(false);
      expect(plainState(head, undefined)).toEqual(readState(head, undefined));
    }
    expect(plain).toBeGreaterThan(500);
  });

  it("does not take the body for the header", () => {
    expect(lookAtHead(bytes("A: b\n\nStatus: RO\n"))).toEqual({
      end: 5,
      mayHoldState: false,
      multipart: -1,
      hasFromLine: false,
    });
  });
});

describe("the quick reading of a From_ line", () => {
  it("is the one of every other asctime", () => {
    const below = chance(11);
    const pick = (words: string) => words.split(" ")[below(words.split(" ").length)] ?? "";
    const two = (most: number) => String(below(most)).padStart(2, "0");
    for (let round = 0; round < 5000; round++) {
      const day = below(2) === 0 ? String(below(34)).padStart(2, " ") : two(34);
      const month = pick("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec");
      const date = `${pick("Mon Tue Wed Thu Fri Sat Sun")} ${month} ${day} ${two(25)}:${two(61)}:${two(62)} ${pick("1969 1970 1971 1999 2000 2001 2024 2100 0070 70")}`;
      const line = `From ${pick('a@b - MAILER-DAEMON "a"@b "a Mon')} ${date}`;
      // What UUCP added changes nothing, but is not read the quick way.
      expect({ line, ...judgeFromLine(line) }).toEqual({ line, ...judgeFromLine(`${line} remote from host`) });
    }
    const git = "From 0123abcd Mon Sep 17 00:00:00 2001";
    expect(judgeFromLine(git)).toEqual({ verdict: "separator", from: { sender: "0123abcd" } });
  });
});
