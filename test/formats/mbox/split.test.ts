// Promise: an mbox is cut where its messages end and nowhere else, and what was written is read back byte for byte.

import { describe, expect, test } from "vitest";
import { judgeFromLine } from "../../../src/formats/mbox/from-line.ts";
import { fromLine, quoteFrom } from "../../../src/formats/mbox/quote.ts";
import { splitMbox } from "../../../src/formats/mbox/split.ts";
import { bytes, chance, join, memory, split, texts } from "./kit.ts";

const FROM = "From a@b.example Sat Jan  3 01:05:34 2015\n";
const SMALL = { windowSize: 2000 };

describe("a From_ line", () => {
  const epoch = (iso: string) => Date.parse(iso) / 1000;
  const DATED: [string, string, string | undefined, number?][] = [
    ["From a@b Sat Jan  3 01:05:34 2015", "a@b", "2015-01-03T01:05:34Z"],
    ["From a@b Sat Jan  3 01:05 2015", "a@b", "2015-01-03T01:05:00Z"],
    ["From a@b Sat Jan  3 01:05:34 15", "a@b", "2015-01-03T01:05:34Z"],
    ["From a@b Sat Jan 03 01:05:34 CET 2015", "a@b", "2015-01-03T00:05:34Z", 60],
    ["From a@b Sat Jul 03 01:05:34 MET DST 2004", "a@b", "2004-07-02T23:05:34Z", 120],
    ["From a@b Sat Jan 03 01:05:34 2015 -0500 (EST)", "a@b", "2015-01-03T06:05:34Z", -300],
    [
      "From 1628424719502045299@xxx Tue Mar 19 09:13:51 +0000 2019",
      "1628424719502045299@xxx",
      "2019-03-19T09:13:51Z",
      0,
    ],
    ["From - Sat Jan 03 01:05:34 2015", "", "2015-01-03T01:05:34Z"],
    ["From - Sat 23 Jan 2016 22:06:43 +0200", "", "2016-01-23T20:06:43Z", 120],
    ["From ???@??? Sat Jan 03 01:05:34 2015", "???@???", "2015-01-03T01:05:34Z"],
    ['From "a b c"@d.example Sat Jan 03 01:05:34 2015', '"a b c"@d.example', "2015-01-03T01:05:34Z"],
    ["From uucp!user Sat Jan 03 01:05:34 2015 remote from host", "uucp!user", "2015-01-03T01:05:34Z"],
    ["From  Sat Jan 03 01:05:34 2015", "", "2015-01-03T01:05:34Z"],
    ["From a@b\tSat Jan 03 01:05:34 2015 ", "a@b", "2015-01-03T01:05:34Z"],
    ["From nobody Mon Sep 17 00:00:00 2001", "nobody", undefined],
    ["From a@b Thu Jan  1 00:00:00 1970", "a@b", undefined],
    ["From a@b Sat Feb 31 01:05:34 2015", "a@b", undefined],
  ];
  for (const [line, sender, iso, zoneMinutes] of DATED)
    test(line, () => {
      const { verdict, from } = judgeFromLine(line);
      expect(verdict).toBe("separator");
      expect(from.sender).toBe(sender);
      const zone = zoneMinutes === undefined ? {} : { zoneMinutes };
      expect(from.received).toEqual(iso === undefined ? undefined : { epochSeconds: epoch(iso), ...zone });
    });

  test("without a date counts before header fields only, and prose never", () => {
    for (const line of [
      "From ",
      "From -",
      "From - ",
      "From 12345@xxx",
      "From ???@???",
      "From A B Sat Jan 03 01:05:34 2015",
    ])
      expect(judgeFromLine(line).verdict).toBe("if-header");
    for (const line of ["From a@b", "From", "From MAILER-DAEMON", 'From "A B" <a@b>', "From a at b"])
      expect(judgeFromLine(line).verdict).toBe("if-mail");
    for (const line of ["From Russia with love", "From: a@b", "from a@b Sat Jan 03 01:05:34 2015", "Fromage"])
      expect(judgeFromLine(line).verdict).toBe("no");
    expect(judgeFromLine(`From ${"x".repeat(2000)} Sat Jan 03 01:05:34 2015`).verdict).toBe("no");
  });

  test("of hostile make costs no time", () => {
    const start = performance.now();
    for (const part of [
      " ",
      "Sat ",
      "Sat Jan ",
      '"\\',
      "Sat Jan 03 01:05:34 A ",
      "a",
      "(",
      "Sat Jan 03 01:05:34 2015 (",
      "1 ",
    ])
      judgeFromLine(`From ${part.repeat(Math.floor(990 / part.length))}!`);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe("cutting", () => {
  test("an empty file and one of blank lines hold nothing", async () => {
    expect(await texts("")).toEqual([]);
    expect(await texts("\n\r\n\n")).toEqual([]);
  });

  test("a file that is no mbox is refused by name", async () => {
    for (const text of [
      "hello\n",
      "Subject: x\n\nFrom a@b Sat Jan  3 01:05:34 2015\n",
      "\x01\x01\x01\x01\n",
      "From\n",
      "From x\n",
    ])
      await expect(texts(text)).rejects.toMatchObject({ code: "config", message: expect.stringContaining("test") });
  });

  test("takes one line end before a separator and at the end, and never more", async () => {
    expect(await texts(`${FROM}A: 1\n\nx\n\n${FROM}B: 2\n\ny\n\n\n\n${FROM}C: 3\n\nz\n\n`)).toEqual([
      "A: 1\n\nx\n",
      "B: 2\n\ny\n\n\n",
      "C: 3\n\nz\n",
    ]);
  });

  test("works with CRLF, and with LF and CRLF mixed", async () => {
    const crlf = FROM.replace("\n", "\r\n");
    expect(await texts(`${crlf}A: 1\r\n\r\nx\r\n\r\n${crlf}B: 2\r\n\r\ny\r\n\r\n`)).toEqual([
      "A: 1\r\n\r\nx\r\n",
      "B: 2\r\n\r\ny\r\n",
    ]);
    expect(await texts(`${FROM}A: 1\r\n\r\nx\r\n\n${FROM}B: 2\n\ny\n\r\n${crlf}C: 3\n`)).toEqual([
      "A: 1\r\n\r\nx\r\n",
      "B: 2\n\ny\n",
      "C: 3\n",
    ]);
  });

  test("finds empty messages, a missing last newline and a file that ends in its From_ line", async () => {
    expect(await texts(`${FROM}\n${FROM}\n${FROM}\n`)).toEqual(["", "", ""]);
    expect(await texts(`${FROM}A: 1\n\nx`)).toEqual(["A: 1\n\nx"]);
    expect(await texts(`${FROM}A: 1\n\nx\n\n${FROM.trimEnd()}`)).toEqual(["A: 1\n\nx\n", ""]);
    expect(await texts(`${FROM}A: 1\n\n${FROM}B: 1\n`)).toEqual(["A: 1\n", "B: 1\n"]);
  });

  test("begins after a byte order mark and blank lines", async () => {
    const seen = await split(`\xef\xbb\xbf\r\n\n${FROM}A: 1\n`);
    expect(seen.map(({ text, message }) => [text, message.offset])).toEqual([["A: 1\n", 6]]);
  });

  test("leaves a From_ line without a blank line before it, and says that it is doubtful", async () => {
    const seen = await split(`${FROM}A: 1\n\nx\n${FROM}B: 2\n\ny\n`);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.message.doubtful).toBe(1);
    expect(seen[0]?.text).toContain("B: 2");
  });

  test("leaves prose that begins with From", async () => {
    const body = "x\n\nFrom Russia with love\n\nFrom here on\nFrom - \n\nFrom - \n\nFrom \n\nend\n";
    expect(await texts(`${FROM}A: 1\n\n${body}\n${FROM}B: 2\n`)).toEqual([`A: 1\n\n${body}`, "B: 2\n"]);
  });

  test("gives offsets, sizes and heads as they lie in the file", async () => {
    const file = `${FROM}A: 1\nB: 2\n\n>From x\n\n${FROM}C: 3\n\n`;
    const [one, two] = await split(file);
    expect(one?.message.offset).toBe(0);
    expect(one?.message.size).toBe("A: 1\nB: 2\n\n>From x\n".length);
    expect(one?.message.head.toString()).toBe("A: 1\nB: 2\n\n");
    expect(two?.message.offset).toBe(file.lastIndexOf("From a@b"));
    expect(two?.message.head.toString()).toBe("C: 3\n");
  });

  test("a separator is found wherever the window and the reads end", async () => {
    for (let pad = 1150; pad < 2100; pad += 1) {
      const body = `A: 1\n\n${"x".repeat(pad)}\r\n>From me\nfrom you\n`;
      const file = `${FROM}${body}\r\n${FROM}B: 2\n\ny\n\nFrom me\n\n${FROM}C: 3\n`;
      const want = [body.replace(">From", "From"), "B: 2\n\ny\n\nFrom me\n", "C: 3\n"];
      expect(await texts(file, { ...SMALL, most: 700 })).toEqual(want);
    }
  });

  test("short reads of one octet change nothing", async () => {
    const file = `${FROM}A: 1\n\n>From x\n>>From y\n\n${FROM}B: 2\n\n\n\n`;
    expect(await texts(file, { ...SMALL, most: 1 })).toEqual(["A: 1\n\nFrom x\n>From y\n", "B: 2\n\n\n"]);
  });

  test("a message that is not read is skipped, and one that is read too late fails", async () => {
    const messages = splitMbox(memory(bytes(`${FROM}A: 1\n\nx\n\n${FROM}B: 2\n`)), { dialect: "auto", name: "t" });
    const first = (await messages.next()).value;
    const second = (await messages.next()).value;
    if (first === undefined || second === undefined) throw new Error("two messages were expected");
    expect((await join(second.content())).toString()).toBe("B: 2\n");
    expect(() => first.content()).toThrow("after the next one");
  });

  test("a header longer than the window is carried whole", async () => {
    const long = `A: ${"h".repeat(5000)}\nB: ${"i".repeat(9000)}\n\nbody\n`;
    expect(await texts(`${FROM}${long}\n${FROM}${long}`, SMALL)).toEqual([long, long]);
  });
});

describe("quoting by dialect", () => {
  const body = "A: 1\n\n>From x\n>>From y\n> From z\n>>>From q\n";
  test("rd takes one mark from each, o only lone ones, cl as o, cl2 none", async () => {
    const file = `${FROM}${body}`;
    expect(await texts(file, { dialect: "rd" })).toEqual(["A: 1\n\nFrom x\n>From y\n> From z\n>>From q\n"]);
    const lone = ["A: 1\n\nFrom x\n>>From y\n> From z\n>>>From q\n"];
    expect(await texts(file, { dialect: "o" })).toEqual(lone);
    expect(await texts(file, { dialect: "cl" })).toEqual(lone);
    expect(await texts(file, { dialect: "cl2" })).toEqual([body]);
  });

  test("auto is rd, but leaves a message whose writer quoted nothing", async () => {
    const bare = "B: 2\n\n>From x\n\nFrom me to you\n";
    expect(await texts(`${FROM}${body}\n${FROM}${bare}\n${FROM}C: 3\n\n>From x\n`)).toEqual([
      "A: 1\n\nFrom x\n>From y\n> From z\n>>From q\n",
      bare,
      "C: 3\n\nFrom x\n",
    ]);
  });
});

describe("Content-Length", () => {
  const inner = `x\n\n${FROM}B: 2\n\ny\n`;
  const withLength = (length: number, rest: string) => `${FROM}Content-Length: ${length}\n\n${rest}`;

  test("is believed where it lands on a From_ line or the end, however many lie inside", async () => {
    for (const dialect of ["auto", "cl", "cl2"] as const) {
      for (const tail of [`\n${FROM}C: 3\n`, "\n", "", `\r\n${FROM}C: 3\n`]) {
        const seen = await texts(withLength(inner.length, `${inner}${tail}`), { dialect });
        expect(seen[0]).toBe(`Content-Length: ${inner.length}\n\n${inner}`);
        expect(seen.slice(1)).toEqual(tail.includes("C: 3") ? ["C: 3\n"] : []);
      }
    }
  });

  test("that counts the separator's line in gives the same message", async () => {
    const seen = await texts(withLength(inner.length + 1, `${inner}\n${FROM}C: 3\n`));
    expect(seen).toEqual([`Content-Length: ${inner.length + 1}\n\n${inner}`, "C: 3\n"]);
  });

  test("that lies is not believed", async () => {
    for (const lie of [0, 1, inner.length - 1, inner.length + 2, inner.length + 10, 99_999_999]) {
      const seen = await texts(withLength(lie, `${inner}\n${FROM}C: 3\n`));
      expect(seen).toEqual([`Content-Length: ${lie}\n\nx\n`, "B: 2\n\ny\n", "C: 3\n"]);
    }
    for (const odd of ["-5", "1e3", "0x10", "", "99999999999999999999"])
      expect(await texts(`${FROM}Content-Length: ${odd}\n\nx\n\n${FROM}C: 3\n`)).toHaveLength(2);
  });

  test("is not looked at in rd and o, nor when it stands in the body", async () => {
    for (const dialect of ["rd", "o"] as const)
      expect(await texts(withLength(inner.length, `${inner}\n${FROM}C: 3\n`), { dialect })).toHaveLength(3);
    const body = `${FROM}A: 1\n\nContent-Length: 4\n\nx\n\n${FROM}B: 2\n`;
    expect(await texts(body)).toEqual(["A: 1\n\nContent-Length: 4\n\nx\n", "B: 2\n"]);
  });

  test("of a message that quoted nothing leaves its lines as they are", async () => {
    const [first] = await texts(withLength(inner.length + 8, `${inner}>From z\n${FROM}C: 3\n`));
    expect(first).toContain(">From z");
  });
});

describe("what is written as mboxrd", () => {
  const PIECES = [
    "From ",
    ">From ",
    ">>From ",
    FROM,
    ">",
    "\n",
    "\n\n",
    "\r\n",
    "\r\n\r\n",
    "x",
    "\xff\0",
    "A: 1\n",
    "From - \nA: 1\n",
  ];
  for (let seed = 1; seed <= 12; seed++)
    test(`comes back byte for byte, seed ${seed}`, async () => {
      const random = chance(seed * 7919);
      const messages: string[] = [];
      const parts: Buffer[] = [];
      for (let n = 1 + random(30); n > 0; n--) {
        let text = random(4) === 0 ? "" : "Subject: x\n\n";
        for (let k = random(60); k > 0; k--)
          text += random(20) === 0 ? "y".repeat(random(1500)) : (PIECES[random(PIECES.length)] ?? "");
        if (text !== "" && !text.endsWith("\n")) text += "\n";
        messages.push(text);
        parts.push(bytes(fromLine("a@b", { epochSeconds: random(2 ** 31) })));
        parts.push(await join(quoteFrom(memoryChunks(bytes(text), 1 + random(50)))), bytes("\n"));
      }
      const file = Buffer.concat(parts);
      expect(await texts(file, { dialect: "rd" })).toEqual(messages);
      expect(await texts(file, { dialect: "auto" })).toEqual(messages);
      expect(await texts(file, { dialect: "auto", ...SMALL, most: 1 + random(300) })).toEqual(messages);
    });
});

async function* memoryChunks(content: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

describe("memory", () => {
  test("does not grow with the message", async () => {
    // 512 MB of one message that is made while it is read.
    const head = bytes(`${FROM}A: 1\n\n`);
    const size = 512 * 1024 * 1024;
    const file = {
      size,
      async read(target: Buffer, position: number) {
        const length = Math.min(target.length, size - position);
        target.fill("0123456789abcde\n", 0, length);
        if (position < head.length) head.copy(target, 0, position);
        return length;
      },
    };
    const before = process.memoryUsage().rss;
    let total = 0;
    let most = 0;
    for await (const message of splitMbox(file, { dialect: "auto", name: "large" }))
      for await (const piece of message.content()) {
        total += piece.length;
        most = Math.max(most, process.memoryUsage.rss());
      }
    expect(total).toBe(size - FROM.length);
    expect(most - before).toBeLessThan(128 * 1024 * 1024);
  });
});

test("without a first From_ line, behind blank lines, and with a header beyond the window: read to its end", async () => {
  const header = `Subject: x\nFrom: a@b\nX-Long: ${"From the start ".repeat(300)}\nMessage-ID: <a@b>\n\n`;
  const file = `\n\n${header}${"text\n".repeat(900)}\nFrom a@b Thu Jan  1 00:00:00 1970\nSubject: y\nFrom: a@b\n\ntext\n`;
  for (const windowSize of [2_000, 2_100, 3_000])
    for (const dialect of ["auto", "cl", "o"] as const)
      expect((await split(file, { dialect, windowSize })).length, `${dialect} ${windowSize}`).toBe(2);
});
