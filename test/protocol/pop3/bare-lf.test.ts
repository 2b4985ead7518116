// Servers whose lines end in LF alone are read; on all others an LF is content, and no message can end its own answer with it.

import { describe, expect, it } from "vitest";
import { DotUnstuffer } from "../../../src/protocol/pop3/dots.ts";
import { openPop3Session } from "../../../src/protocol/pop3/session.ts";
import { never, type Script, scriptedServer } from "./scripted-server.ts";

const BODIES = ["Subject: a\n\n.dot\n\n..\nend\n", "", "Subject: cr\n\nlone \r and \r\n.\r\n\n.\rx\n", "last\n"];

const stuffed = (body: string) => `${body.replace(/(^|\n)\./g, "$1..")}.\n`;

/** `all`: its status lines and lists too; else only what RETR and TOP give. */
const lfServer =
  (all: boolean): Script["on"] =>
  (line) => {
    const [verb = "", number = ""] = line.split(" ");
    const rows = (row: (n: number) => string) => `+OK\n${BODIES.map((_, i) => `${i + 1} ${row(i)}\n`).join("")}.\n`;
    if (verb === "RETR") return { send: Buffer.from(`+OK\n${stuffed(BODIES[Number(number) - 1] ?? "")}`, "latin1") };
    if (!all) return undefined;
    if (verb === "CAPA") return { send: "+OK\nUIDL\nPIPELINING\n.\n" };
    if (verb === "LIST") return { send: rows((i) => `${BODIES[i]?.length}`) };
    if (verb === "UIDL") return { send: rows((i) => `u${i}`) };
    return { send: "+OK 4 99\n", ...(verb === "QUIT" ? { ending: "fin" } : {}) };
  };

async function read(script: Script): Promise<string[]> {
  await using server = await scriptedServer(script);
  const session = await openPop3Session(server.options(), never, { inactivityMs: 5_000 });
  const listing = await session.list();
  const got: string[] = [];
  for await (const { content } of session.retrieve(listing.numbers(), (n) => listing.size(n))) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    got.push(Buffer.concat(chunks).toString("latin1"));
  }
  await session.quit();
  return got;
}

describe("a server whose lines end in LF alone", () => {
  it.each([undefined, 1, 2, 3])("is read from its greeting to its goodbye (chunk %s)", async (chunk) => {
    expect(
      await read({ greeting: "+OK ready\n", on: lfServer(true), ...(chunk === undefined ? {} : { chunk }) }),
    ).toEqual(BODIES);
  });

  it("is read where its messages alone are so", async () => {
    const messages = BODIES.map((body, i) => ({ uidl: `u${i}`, body }));
    expect(await read({ messages, on: lfServer(false) })).toEqual(BODIES);
  });

  it("ends a list so, whatever its status line ended in", async () => {
    const messages = [{ uidl: "u", body: "x\r\n" }];
    const on: Script["on"] = (line) => (line === "UIDL" ? { send: "+OK\r\n1 u\n.\n" } : undefined);
    expect(await read({ messages, on })).toEqual(["x\r\n"]);
  });
});

describe("a server whose status line ended in CRLF", () => {
  const smuggled = "Subject: x\r\n\r\na\n.\n+OK\r\nfalse\n.\r\n+OK\nfalse\r\n";

  it.each([undefined, 1, 2, 3, 5])("has no message that ends itself (chunk %s)", async (chunk) => {
    const messages = [smuggled, "next\r\n"].map((body, i) => ({ uidl: `u${i}`, body }));
    expect(await read({ messages, ...(chunk === undefined ? {} : { chunk }) })).toEqual([smuggled, "next\r\n"]);
  });
});

it("what is unstuffed is the same wherever the chunks are cut", () => {
  for (const body of BODIES) {
    const whole = Buffer.from(`${stuffed(body)}rest`, "latin1");
    for (let cut = 0; cut <= whole.length - 4; cut++) {
      const answer = new DotUnstuffer(true);
      const got: string[] = [];
      let used = 0;
      for (const part of [whole.subarray(0, cut), whole.subarray(cut)]) {
        if (answer.ended) break;
        const fed = answer.feed(Buffer.from(part));
        got.push(Buffer.concat(fed.pieces).toString("latin1"));
        used += fed.used;
      }
      expect([cut, got.join(""), used]).toEqual([cut, body, whole.length - 4]);
    }
  }
});

it("a dot and an LF behind a CRLF do not end what ends in CRLF", () => {
  const answer = new DotUnstuffer();
  const { pieces, used } = answer.feed(Buffer.from("a\r\n.\nb\r\n.\r\n"));
  expect([Buffer.concat(pieces).toString(), used, answer.ended]).toEqual(["a\r\n\nb\r\n", 11, true]);
});
