// Appending: every way of sending a literal, and each message's own fate when flags, messages or connections are refused.

import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { stage } from "../../../src/mail/body.ts";
import type { Message } from "../../../src/mail/message.ts";
import { NO_TRAITS, type Traits } from "../../../src/mail/model.ts";
import { Appender } from "../../../src/protocol/imap/append.ts";
import { Connection } from "../../../src/protocol/imap/connection.ts";
import { ConnectionPool } from "../../../src/protocol/imap/pool.ts";
import { SharedSession } from "../../../src/protocol/imap/shared-session.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command, type Heard, options } from "./wire.ts";

const { signal } = new AbortController();

async function message(text: string, traits: Partial<Traits> = {}): Promise<Message> {
  async function* once(): AsyncGenerator<Uint8Array> {
    if (text !== "") yield Buffer.from(text, "latin1");
  }
  const all: Traits = { ...NO_TRAITS, ...traits };
  const body = await stage(once(), join(tmpdir(), "mailferry-append-tests"));
  return { entry: { origin: { folder: ["x"], generation: "1", id: "1" }, traits: all }, traits: all, body };
}

interface Mailbox {
  /** What an APPEND is answered, without its tag; undefined: it is stored. */
  refuse?(append: Heard, talk: Conversation): string | undefined;
  /** What is made of the octets. */
  change?(bytes: Buffer): Buffer;
  readonly uidplus?: boolean;
  readonly forgets?: string;
}

interface Stored {
  readonly flags: Set<string>;
  readonly bytes: Buffer;
  readonly date: string;
}

interface Target extends AsyncDisposable {
  readonly appender: Appender;
  readonly stored: Stored[];
  readonly heard: readonly string[];
  readonly connections: () => number;
}

async function target(
  mailbox: Mailbox,
  capabilities: readonly string[] = ["LITERAL+"],
  limit?: number,
): Promise<Target> {
  const stored: Stored[] = [];
  const server = await startScripted(async (talk) => {
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
      const { tag, text, literals } = heard;
      const [bytes] = literals;
      if (text.startsWith("SELECT")) talk.send(`* 0 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n${tag} OK\r\n`);
      else if (text.startsWith("APPEND") && bytes !== undefined) {
        const refusal = mailbox.refuse?.(heard, talk);
        if (refusal !== undefined) {
          talk.send(`${tag} ${refusal}\r\n`);
          continue;
        }
        const flags = new Set((/\(([^)]*)\)/.exec(text)?.[1] ?? "").split(" ").filter(Boolean));
        flags.delete(mailbox.forgets ?? "");
        stored.push({ flags, bytes: mailbox.change?.(bytes) ?? bytes, date: /"(\d\d-[^"]*)"/.exec(text)?.[1] ?? "" });
        talk.send(`${tag} OK ${mailbox.uidplus === false ? "" : `[APPENDUID 9 ${stored.length}]`} done\r\n`);
      } else if (text.startsWith("UID FETCH")) {
        for (const uid of expandSet(text.split(" ")[2] ?? "", 1000) ?? []) {
          const one = stored[uid - 1];
          if (one === undefined) continue;
          const meta = `UID ${uid} FLAGS (${[...one.flags].join(" ")}) INTERNALDATE "${one.date}" RFC822.SIZE ${one.bytes.length}`;
          if (!text.includes("BODY")) talk.send(`* ${uid} FETCH (${meta})\r\n`);
          else
            talk.send(
              Buffer.concat([
                Buffer.from(`* ${uid} FETCH (${meta} BODY[] {${one.bytes.length}}\r\n`),
                one.bytes,
                Buffer.from(")\r\n"),
              ]),
            );
        }
        talk.send(`${tag} OK\r\n`);
      } else if (text.startsWith("UID STORE")) {
        const [, uid = "", flags = ""] = /^UID STORE (\d+) \+FLAGS \(([^)]*)\)/.exec(text) ?? [];
        const one = stored[Number(uid) - 1];
        const refused = flags.includes("Bad");
        if (one !== undefined && !refused) for (const flag of flags.split(" ")) one.flags.add(flag);
        if (one !== undefined) talk.send(`* ${uid} FETCH (UID ${uid} FLAGS (${[...one.flags].join(" ")}))\r\n`);
        talk.send(`${tag} ${refused ? "NO" : "OK"}\r\n`);
      } else talk.send(`${tag} OK\r\n`);
    }
  });
  const pool = new ConnectionPool(async () => {
    const socket = connect(server.port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const wire = { readSocket: socket, writeSocket: socket, socket };
    return new Connection(wire, { server: options(server.port), name: "t", capabilities: new Set(capabilities) });
  }, 1);
  return {
    appender: new Appender("Box", "9", new SharedSession(pool, "Box", "9"), limit),
    stored,
    heard: server.heard,
    connections: () => server.connections,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await server.close();
      expect(server.failures).toEqual([]);
    },
  };
}

it.each([[["LITERAL+"]], [["LITERAL-"]], [[]]])(
  "with %j every message arrives with its bytes, flags and date",
  async (capabilities) => {
    await using box = await target({}, capabilities);
    const received = { epochSeconds: 1_600_000_000, zoneMinutes: 120 };
    const texts = Array.from({ length: 40 }, (_, n) => `N: ${n}\n\n${"line\n".repeat(n * 100)}`);
    const messages = await Promise.all(
      texts.map((text) => message(text, { flags: new Set(["seen"]), keywords: new Set(["K"]), received })),
    );
    const appended = await Promise.all(messages.map((one) => box.appender.append(one, signal)));
    for (const [n, { uid = 0, losses, altered }] of appended.entries()) {
      expect(box.stored[uid - 1]?.bytes.toString()).toBe(texts[n]?.replaceAll("\n", "\r\n"));
      expect(losses).toEqual([]);
      expect(altered).toBeUndefined();
    }
    expect(box.stored[0]?.date).toBe("13-Sep-2020 14:26:40 +0200");
    expect(box.heard.filter((line) => line.includes("UID FETCH")).length).toBeLessThan(5);
  },
);

it("flags that are refused are left out, stored afterwards, and what cannot be stored is a loss", async () => {
  await using box = await target({
    refuse: ({ text }) => (text.includes("Bad") ? "NO [CANNOT] invalid keyword" : undefined),
  });
  const traits = { flags: new Set(["seen", "flagged"] as const), keywords: new Set(["Bad", "Good"]) };
  const { uid, losses } = await box.appender.append(await message("A: b\r\n\r\n", traits), signal);
  expect(uid).toBe(1);
  expect(losses).toEqual([{ kind: "keyword", name: "Bad" }]);
  expect(box.stored[0]?.flags).toEqual(new Set(["\\Seen", "\\Flagged", "Good"]));
});

it("a flag that APPEND forgets is stored afterwards", async () => {
  await using box = await target({ forgets: "\\Flagged" });
  const { losses } = await box.appender.append(await message("A: b\r\n\r\n", { flags: new Set(["flagged"]) }), signal);
  expect(losses).toEqual([]);
  expect(box.stored[0]?.flags).toEqual(new Set(["\\Flagged"]));
});

it("without UIDPLUS it is stored and has no name; a NUL is told all the same", async () => {
  await using box = await target({ uidplus: false });
  expect(await box.appender.append(await message("A: b\r\n\r\n"), signal)).toEqual({ losses: [] });
  expect(await box.appender.append(await message("A: b\r\n\r\n\0"), signal)).toMatchObject({
    altered: expect.stringContaining("NUL"),
  });
});

it("what the server changed is told; another count of octets alone is no change", async () => {
  await using rewriting = await target({ change: (bytes) => Buffer.concat([Buffer.from("X-Added: 1\r\n"), bytes]) });
  expect(await rewriting.appender.append(await message("A: b\r\n\r\nc\r\n"), signal)).toMatchObject({
    altered: expect.stringContaining("changed"),
    uid: 1,
  });
  await using folding = await target({
    change: (bytes) => Buffer.from(bytes.toString("latin1").replaceAll("\r\r\n", "\r\n"), "latin1"),
  });
  expect(await folding.appender.append(await message("A: b\r\n\r\nc\r\r\n"), signal)).toEqual({ uid: 1, losses: [] });
});

it("one message that is refused fails by itself, with the server's words", async () => {
  await using box = await target({
    refuse: ({ literals }) => (literals[0]?.includes("poison") ? "NO [CANNOT] no poison here" : undefined),
  });
  const messages = await Promise.all(["a", "poison", "b"].map((text) => message(`S: ${text}\r\n\r\n`)));
  const [a, poison, b] = await Promise.allSettled(messages.map((one) => box.appender.append(one, signal)));
  expect(a?.status).toBe("fulfilled");
  expect(b?.status).toBe("fulfilled");
  expect(poison).toMatchObject({
    reason: {
      message: expect.stringContaining("no poison here"),
      details: { scope: "message", remedy: "give-up", outcome: "none" },
    },
  });
});

it.each([
  ["NO [OVERQUOTA] mailbox full", { code: "quota", details: { scope: "message", remedy: "give-up" } }],
  ["NO [TOOBIG] too big", { code: "too-large", details: { scope: "message", remedy: "give-up" } }],
  ["NO [TRYCREATE] gone", { code: "not-found", details: { scope: "folder", remedy: "retry" } }],
  ["NO [UNAVAILABLE] later", { details: { scope: "message", remedy: "retry" } }],
  [
    "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds",
    { details: { scope: "account", remedy: "wait", waitMs: 1000 } },
  ],
])("%s", async (words, error) => {
  await using box = await target({ refuse: () => words });
  await expect(box.appender.append(await message("A: b\r\n\r\n"), signal)).rejects.toMatchObject(error);
});

it("a message over the server's limit is not sent", async () => {
  await using box = await target({}, ["LITERAL+"], 10);
  await expect(box.appender.append(await message("A: 1234567890\r\n"), signal)).rejects.toMatchObject({
    code: "too-large",
  });
  expect(box.heard).toEqual([]);
});

it("when the connection dies what was sent is unknown, and the next append goes over a new one", async () => {
  let dead = false;
  await using box = await target({
    refuse: ({ literals }, talk) => {
      if (dead || !literals[0]?.includes("two")) return undefined;
      dead = true;
      talk.reset();
      return undefined;
    },
  });
  const messages = await Promise.all(["one", "two", "three"].map((text) => message(`S: ${text}\r\n\r\n`)));
  const fates = await Promise.allSettled(messages.map((one) => box.appender.append(one, signal)));
  for (const fate of fates)
    expect(fate).toMatchObject({ reason: { code: "connection", details: { remedy: "retry", outcome: "unknown" } } });
  expect(await box.appender.append(await message("S: four\r\n\r\n"), signal)).toMatchObject({ losses: [] });
  expect(box.connections()).toBe(2);
});

it("not now, no room and too large are no words about flags: it is sent once", async () => {
  for (const words of [
    "NO [UNAVAILABLE] later",
    "NO [LIMIT] x",
    "NO [OVERQUOTA] full",
    "NO message too large",
    "BAD try again later",
  ]) {
    await using box = await target({ refuse: () => words });
    await expect(box.appender.append(await message("x", { flags: new Set(["seen"]) }), signal)).rejects.toThrow();
    expect(box.heard.filter((line) => line.includes("APPEND"))).toHaveLength(1);
  }
});
