// A session against a scripted server: what it carries, what it refuses, and how it ends.

import { describe, expect, it, vi } from "vitest";
import { MailError } from "../../../src/mail/errors.ts";
import { PIPELINE_OCTETS, WHOLE_OCTETS } from "../../../src/protocol/pop3/limits.ts";
import { openPop3Session, type Pop3Session } from "../../../src/protocol/pop3/session.ts";
import { type Act, never, type Script, type ScriptedServer, scriptedServer, USUAL } from "./scripted-server.ts";

const NO_PIPELINING = USUAL.filter((name) => name !== "PIPELINING");

async function open(server: ScriptedServer, inactivityMs = 5_000): Promise<Pop3Session> {
  return openPop3Session(server.options(), never, { inactivityMs });
}

async function bytes(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

async function failure(work: Promise<unknown>): Promise<MailError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MailError)) throw new Error(`no MailError: ${String(error)}`);
  return error;
}

async function readAll(session: Pop3Session, count: number): Promise<string[]> {
  const all: string[] = [];
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  for await (const { content } of session.retrieve(numbers)) all.push(await bytes(content));
  return all;
}

/** Answers one command in its own way. */
function once(command: string, act: Act): Script["on"] {
  return (line) => (line === command ? act : undefined);
}

const BODIES = [
  "",
  "\r\n",
  "Subject: dots\r\n\r\n.\r\n..\r\n...x\r\n.end\r\n",
  "Subject: 8-bit\r\n\r\n\xe4\xf6\xfc \xff\x80\x00\r\n",
  "lone \r and \n and \r\r\n.\rx\r\n",
  `long: ${"x".repeat(600_000)}\r\n`,
];
const MESSAGES = BODIES.map((body, i) => ({ uidl: `u${i}`, body: Buffer.from(body, "latin1") }));

describe("every octet arrives", () => {
  it.each([
    ["with pipelining", USUAL],
    ["one command at a time", NO_PIPELINING],
    ["from a server without CAPA", null],
  ])("%s", async (_name, capabilities) => {
    await using server = await scriptedServer({ messages: MESSAGES, capabilities });
    await using session = await open(server);
    expect(await readAll(session, BODIES.length)).toEqual(BODIES);
  });

  it.each([1, 2, 3, 7])("in chunks of %i octets", async (chunk) => {
    const messages = MESSAGES.filter(({ body }) => body.length < 1_000);
    await using server = await scriptedServer({ messages, chunk });
    await using session = await open(server);
    const listing = await session.list();
    expect([...listing.numbers()].map((number) => listing.uniqueId(number))).toEqual(messages.map(({ uidl }) => uidl));
    expect(await readAll(session, messages.length)).toEqual(messages.map(({ body }) => body.toString("latin1")));
  });

  it("with a last line that has no CRLF at the source: the server adds it", async () => {
    await using server = await scriptedServer({ messages: [{ uidl: "a", body: "no end" }] });
    await using session = await open(server);
    expect(await readAll(session, 1)).toEqual(["no end\r\n"]);
  });

  it("of the messages that are read, when others are skipped or left half read", async () => {
    const body = (n: number) => `${n}${"y".repeat(300_000)}\r\n.z\r\n`;
    const messages = [1, 2, 3, 4].map((n) => ({ uidl: `u${n}`, body: body(n) }));
    await using server = await scriptedServer({ messages });
    await using session = await open(server);
    const seen: string[] = [];
    for await (const { number, content } of session.retrieve([1, 2, 3, 4])) {
      if (number === 1) for await (const _chunk of content) break;
      if (number === 2 || number === 4) seen.push(await bytes(content));
    }
    expect(seen).toEqual([body(2), body(4)]);
  });
});

describe("pipelining", () => {
  it("sends the next RETRs before the first answer is read, but no more than the announced octets allow", async () => {
    const messages = Array.from({ length: 20 }, (_, i) => ({ uidl: `u${i}`, body: "x\r\n", size: 1 << 20 }));
    await using server = await scriptedServer({ messages, on: (line) => (line.startsWith("RETR") ? {} : undefined) });
    const session = await open(server, 50);
    const listing = await session.list();
    const read = async () => {
      for await (const { content } of session.retrieve(listing.numbers(), (number) => listing.size(number)))
        await bytes(content);
    };
    // The first answer never comes.
    expect((await failure(read())).message).toContain("no answer");
    expect(server.commands.filter((line) => line.startsWith("RETR")).length).toBe(PIPELINE_OCTETS / (1 << 20));
  });

  it("takes one round trip for the whole look at a maildrop", async () => {
    const on: Script["on"] = (line) =>
      line === "UIDL" ? undefined : line === "STAT" || line === "LIST" ? {} : undefined;
    await using server = await scriptedServer({ messages: MESSAGES, on });
    const session = await open(server, 50);
    // The first answer never comes.
    await failure(session.list());
    expect(server.commands.slice(-3)).toEqual(["STAT", "LIST", "UIDL"]);
  });

  it("asks for the count once, until something is marked", async () => {
    await using server = await scriptedServer({ messages: MESSAGES });
    await using session = await open(server);
    const asked = () => server.commands.filter((line) => line === "STAT").length;
    await session.stat();
    expect((await session.list()).count).toBe(MESSAGES.length);
    expect(asked()).toBe(1);
    for await (const _number of session.delete([1]));
    await session.reset();
    await session.list();
    expect(asked()).toBe(2);
  });

  it("is not done where the server does not announce it", async () => {
    let open_ = 0;
    let most = 0;
    const messages = MESSAGES.slice(0, 4);
    await using server = await scriptedServer({
      messages,
      capabilities: NO_PIPELINING,
      on: (line) => {
        if (line.startsWith("RETR")) most = Math.max(most, ++open_);
        return undefined;
      },
    });
    await using session = await open(server);
    for await (const { content } of session.retrieve([1, 2, 3, 4])) {
      await bytes(content);
      open_--;
    }
    expect(most).toBe(1);
  });
});

describe("a message", () => {
  it("that is small comes whole, and its content is the same", async () => {
    await using server = await scriptedServer({ messages: MESSAGES });
    await using session = await open(server);
    const listing = await session.list();
    const whole: (string | undefined)[] = [];
    for await (const { content, bytes: all } of session.retrieve(listing.numbers(), (each) => listing.size(each))) {
      whole.push(all === undefined ? undefined : Buffer.from(all).toString("latin1"));
      expect(await bytes(content)).toBe(BODIES[whole.length - 1]);
    }
    expect(whole).toEqual(BODIES.map((body) => (body.length <= WHOLE_OCTETS ? body : undefined)));
  });

  it("that is larger than LIST says is streamed, and none of it is lost or held", async () => {
    const body = `Subject: x\r\n\r\n${"0123456789\r\n.dots\r\n".repeat(200_000)}`;
    await using server = await scriptedServer({ messages: [{ body, size: 10 }, ...MESSAGES] });
    await using session = await open(server);
    const sizes: number[] = [];
    for await (const { number, content, bytes: all } of session.retrieve([1, 2, 3], () => 10)) {
      if (number > 1) continue;
      expect(all).toBeUndefined();
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) {
        sizes.push(chunk.length);
        chunks.push(chunk);
      }
      expect(Buffer.concat(chunks).toString("latin1")).toBe(body);
    }
    expect(Math.max(...sizes)).toBeLessThanOrEqual(2 * WHOLE_OCTETS);
  });

  it("that is larger than LIST says can be skipped, and the next is still itself", async () => {
    const body = `${"z".repeat(2 * WHOLE_OCTETS)}\r\n`;
    await using server = await scriptedServer({ messages: [{ body }, { body: "next\r\n" }] });
    await using session = await open(server);
    const read: string[] = [];
    for await (const { number, content } of session.retrieve([1, 2], () => 10))
      if (number === 2) read.push(await bytes(content));
    expect(read).toEqual(["next\r\n"]);
  });
});

describe("a broken conversation", () => {
  const cuts = [0, 1, 5, 6, 10, 17, 18, 19, 20, 21];
  const whole = "+OK\r\nSubject: x\r\n\r\nhello\r\n.\r\n";

  it.each(cuts.map((cut) => whole.length - 1 - cut).filter((at) => at >= 0))(
    "FIN after %i octets of a message is a lost connection, never a short message",
    async (at) => {
      const on = once("RETR 1", { send: whole.slice(0, at), ending: "fin" });
      await using server = await scriptedServer({ messages: MESSAGES, on });
      const session = await open(server);
      const { code, details } = await failure(readAll(session, 1));
      expect({ code, remedy: details.remedy, scope: details.scope }).toEqual({
        code: "connection",
        remedy: "retry",
        scope: "account",
      });
    },
  );

  it("a reset in the middle of a message is a lost connection", async () => {
    const on = once("RETR 1", { send: whole.slice(0, 12), ending: "reset" });
    await using server = await scriptedServer({ messages: MESSAGES, on });
    const error = await failure(readAll(await open(server), 1));
    expect([error.code, error.details.remedy]).toEqual(["connection", "retry"]);
  });

  it("silence in the middle of a message ends after the patience", async () => {
    const on = once("RETR 1", { send: whole.slice(0, 12), ending: "silence" });
    await using server = await scriptedServer({ messages: MESSAGES, on });
    const error = await failure(readAll(await open(server, 40), 1));
    expect([error.code, error.details.remedy]).toEqual(["connection", "retry"]);
    expect(error.message).toContain("no answer");
  });

  it("a slow reader is not taken for a silent server", async () => {
    await using server = await scriptedServer({ messages: MESSAGES });
    await using session = await open(server);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      for await (const { content } of session.retrieve([6])) {
        let size = 0;
        for await (const chunk of content) {
          size += chunk.length;
          vi.advanceTimersByTime(3_600_000);
        }
        expect(size).toBe(MESSAGES[5]?.body.length);
      }
    } finally {
      vi.useRealTimers();
    }
  });

  it("-ERR to one RETR fails that message alone, in the server's words", async () => {
    const on = once("RETR 2", { send: "-ERR mailbox block unreadable \x1b[31m\r\n" });
    await using server = await scriptedServer({ messages: MESSAGES, on });
    await using session = await open(server);
    const seen: (string | MailError)[] = [];
    for await (const { content } of session.retrieve([1, 2, 3]))
      seen.push(await bytes(content).catch((error: MailError) => error));
    expect(seen[0]).toBe(BODIES[0]);
    expect(seen[2]).toBe(BODIES[2]);
    const error = seen[1];
    if (!(error instanceof MailError)) throw new Error("no error");
    expect([error.code, error.details.scope, error.details.remedy]).toEqual(["protocol", "message", "give-up"]);
    expect(error.message).toContain("mailbox block unreadable");
    expect(error.message).not.toContain("\x1b");
  });

  it("an answer that is none, a line without end, a row that makes no sense: refused", async () => {
    for (const [command, send] of [
      ["STAT", "HTTP/1.1 400 Bad Request\r\n"],
      ["STAT", `+OK ${"9".repeat(20_000)}`],
      ["STAT", "+OK many\r\n"],
      ["LIST", "+OK\r\nfoo bar\r\n.\r\n"],
      ["LIST", "+OK\r\n4294967296 1\r\n.\r\n"],
      ["LIST", "+OK\r\n0 1\r\n.\r\n"],
      ["UIDL", `+OK\r\n1 ${"u".repeat(9_000)}\r\n.\r\n`],
      ["LIST", "+OK\r\n1 1\r\n.\r\n"],
    ] as const) {
      // UIDL alone names all there are where LIST is the one to be tested for what it leaves out.
      const on: Script["on"] = (line) => {
        if (line === command) return { send };
        if (line === "UIDL" && send.endsWith("\n1 1\r\n.\r\n")) return { send: "+OK\r\n.\r\n" };
        return undefined;
      };
      await using server = await scriptedServer({ messages: MESSAGES, on });
      const session = await open(server);
      const error = await failure((async () => session.list())());
      expect([command, error.code]).toEqual([command, "protocol"]);
      expect(error.message.length).toBeLessThan(600);
      session.close();
    }
  });
});

describe("deletion", () => {
  it("is done when QUIT is answered, and only then", async () => {
    await using server = await scriptedServer({ messages: MESSAGES });
    const session = await open(server);
    const taken: number[] = [];
    for await (const number of session.delete([2, 4])) taken.push(number);
    expect(server.messages.length).toBe(6);
    await session.quit();
    expect(taken).toEqual([2, 4]);
    expect(server.messages.map(({ uidl }) => uidl)).toEqual(["u0", "u2", "u4", "u5"]);
  });

  it("is taken back by RSET, by close and by disposal", async () => {
    for (const end of ["reset", "close", "dispose"] as const) {
      await using server = await scriptedServer({ messages: MESSAGES });
      const session = await open(server);
      for await (const _number of session.delete([1, 2, 3]));
      if (end === "reset") {
        await session.reset();
        await session.quit();
      } else if (end === "close") session.close();
      else await session[Symbol.asyncDispose]();
      expect([end, server.messages.length]).toEqual([end, 6]);
      if (end !== "reset") expect(server.commands).not.toContain("QUIT");
    }
  });

  it.each([
    ["no answer", { ending: "silence" }],
    ["a FIN", { ending: "fin" }],
    ["a reset", { ending: "reset" }],
    ["-ERR", { send: "-ERR some deleted messages not removed\r\n" }],
  ] as const)("is unknown when QUIT gets %s", async (_name, act) => {
    await using server = await scriptedServer({ messages: MESSAGES, on: once("QUIT", act) });
    const session = await open(server, 50);
    for await (const _number of session.delete([1]));
    expect((await failure(session.quit())).details.outcome).toBe("unknown");
  });

  it("skips what the server refuses to mark", async () => {
    const on = once("DELE 2", { send: "-ERR no\r\n" });
    await using server = await scriptedServer({ messages: MESSAGES, on });
    const session = await open(server);
    const taken: number[] = [];
    for await (const number of session.delete([1, 2, 3])) taken.push(number);
    await session.quit();
    expect(taken).toEqual([1, 3]);
  });

  it("that never reached QUIT has no effect: outcome none", async () => {
    const on = once("DELE 2", { ending: "fin" });
    await using server = await scriptedServer({ messages: MESSAGES, on });
    const session = await open(server);
    const error = await failure(
      (async () => {
        for await (const _number of session.delete([1, 2, 3]));
      })(),
    );
    expect([error.code, error.details.outcome]).toEqual(["connection", "none"]);
  });
});
