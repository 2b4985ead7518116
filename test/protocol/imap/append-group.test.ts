// MULTIAPPEND: messages that go together, and what becomes of each when the server refuses them, dies, or answers oddly.

import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stage } from "../../../src/mail/body.ts";
import type { Message } from "../../../src/mail/message.ts";
import { NO_TRAITS, type Traits } from "../../../src/mail/model.ts";
import { Appender } from "../../../src/protocol/imap/append.ts";
import { Connection } from "../../../src/protocol/imap/connection.ts";
import { Grouping } from "../../../src/protocol/imap/grouping.ts";
import { ConnectionPool } from "../../../src/protocol/imap/pool.ts";
import { SharedSession } from "../../../src/protocol/imap/shared-session.ts";
import { expandSet } from "../../../src/protocol/imap/syntax.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command, options } from "./wire.ts";

const { signal } = new AbortController();
const ALL = ["MULTIAPPEND", "UIDPLUS", "LITERAL+"];

async function message(text: string, traits: Partial<Traits> = {}): Promise<Message> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text, "latin1");
  }
  const all: Traits = { ...NO_TRAITS, ...traits };
  const body = await stage(once(), join(tmpdir(), "mailferry-append-tests"));
  return { entry: { origin: { folder: ["x"], generation: "1", id: "1" }, traits: all }, traits: all, body };
}

const messagesOf = (count: number): Promise<Message[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => message(`N: ${n}\r\n\r\n`)));

interface Part {
  readonly flags: string;
  readonly text: string;
}

interface Server {
  /** What an APPEND of these is answered, without its tag, nothing of it being stored; undefined: all are stored. */
  refuse?(parts: readonly Part[], box: Box, talk: Conversation): string | undefined;
  /** The APPENDUID of the answer; "" for none. */
  name?(uids: readonly number[]): string;
  readonly capabilities?: readonly string[];
  readonly uidNext?: false;
  readonly limit?: number;
}

/** What the server holds, by UID. */
type Box = Map<number, string>;

interface Target extends AsyncDisposable {
  readonly box: Box;
  readonly appender: Appender;
  /** Messages a command, in order. */
  readonly commands: number[];
  readonly heard: readonly string[];
  connections(): number;
  /** Another pass over the same folder, after what this account taught. */
  again(): Appender;
}

async function target(script: Server = {}): Promise<Target> {
  const box: Box = new Map();
  const commands: number[] = [];
  const next = (): number => Math.max(0, ...box.keys()) + 1;
  const server = await startScripted(async (talk) => {
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
      const { tag, text, literals } = heard;
      if (text.startsWith("SELECT")) {
        const told = script.uidNext === false ? "" : `* OK [UIDNEXT ${next()}] x\r\n`;
        talk.send(`* ${box.size} EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n${told}${tag} OK\r\n`);
      } else if (text.startsWith("APPEND")) {
        const flags = text.split(/\{\d+\+?\}/).map((options) => /\(([^)]*)\)/.exec(options)?.[1] ?? "");
        const parts = literals.map((bytes, at) => ({ flags: flags[at] ?? "", text: bytes.toString("latin1") }));
        commands.push(parts.length);
        const refusal = script.refuse?.(parts, box, talk);
        if (refusal !== undefined) {
          talk.send(`${tag} ${refusal}\r\n`);
          continue;
        }
        const uids = parts.map((part) => {
          const uid = next();
          box.set(uid, part.text);
          return uid;
        });
        const [first, last] = [uids[0], uids.at(-1)];
        const named = script.name?.(uids) ?? `[APPENDUID 9 ${first === last ? first : `${first}:${last}`}] `;
        talk.send(`${tag} OK ${named}done\r\n`);
      } else if (text.startsWith("UID FETCH")) {
        const set = text.split(" ")[2] ?? "";
        const from = /^(\d+):\*$/.exec(set)?.[1];
        const uids = from === undefined ? (expandSet(set, 10_000) ?? []) : [...box.keys()];
        for (const uid of uids) {
          const one = box.get(uid);
          // "n:*" always names the last one (RFC 3501 6.4.8).
          if (one === undefined || (from !== undefined && uid < Number(from) && uid < next() - 1)) continue;
          talk.send(`* 1 FETCH (UID ${uid} FLAGS () RFC822.SIZE ${one.length})\r\n`);
        }
        talk.send(`${tag} OK\r\n`);
      } else talk.send(`${tag} OK\r\n`);
    }
  });
  const pool = new ConnectionPool(async () => {
    const socket = connect(server.port, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const wire = { readSocket: socket, writeSocket: socket, socket };
    return new Connection(wire, {
      server: options(server.port),
      name: "t",
      capabilities: new Set(script.capabilities ?? ALL),
    });
  }, 1);
  const grouping = new Grouping();
  const open = (): Appender => new Appender("Box", "9", new SharedSession(pool, "Box", "9"), script.limit, grouping);
  return {
    box,
    appender: open(),
    commands,
    heard: server.heard,
    connections: () => server.connections,
    again: open,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      await server.close();
      expect(server.failures).toEqual([]);
    },
  };
}

function appendAll(appender: Appender, messages: readonly Message[]) {
  return Promise.allSettled(messages.map((one) => appender.append(one, signal)));
}

describe.each([[ALL], [["MULTIAPPEND", "UIDPLUS", "LITERAL-"]], [["MULTIAPPEND", "UIDPLUS"]]])(
  "with %j",
  (capabilities) => {
    it("each of many messages learns its own UID, and few commands carry them", async () => {
      await using one = await target({ capabilities });
      const texts = Array.from({ length: 1000 }, (_, n) => `N: ${n}\r\n\r\n${"line\r\n".repeat(n)}`);
      const messages = await Promise.all(texts.map((text) => message(text)));
      const appended = await Promise.all(messages.map((each) => one.appender.append(each, signal)));
      expect(appended.map(({ uid = 0 }) => one.box.get(uid))).toEqual(texts);
      expect(appended.every(({ losses, altered }) => losses.length === 0 && altered === undefined)).toBe(true);
      expect(Math.max(...one.commands)).toBe(128);
      expect(one.commands.length).toBeLessThan(20);
      expect(one.heard.filter((line) => line.includes("UID FETCH")).length).toBeLessThan(20);
    });

    it("of a refused group each message has its own answer", async () => {
      await using one = await target({
        capabilities,
        refuse: (parts) => (parts.some(({ text }) => text.includes("poison")) ? "NO [CANNOT] no poison" : undefined),
      });
      const messages = await Promise.all(["a", "poison", "b", "c"].map((text) => message(`S: ${text}\r\n\r\n`)));
      const fates = await appendAll(one.appender, messages);
      expect(fates.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
      expect(fates[1]).toMatchObject({
        reason: {
          message: expect.stringContaining("no poison"),
          details: { scope: "message", remedy: "give-up", outcome: "none" },
        },
      });
      expect([...one.box.values()]).toEqual(["S: a\r\n\r\n", "S: b\r\n\r\n", "S: c\r\n\r\n"]);
    });
  },
);

it("a server without MULTIAPPEND gets one message a command, still without a round trip each", async () => {
  await using one = await target({ capabilities: ["UIDPLUS", "LITERAL+"] });
  const fates = await appendAll(one.appender, await messagesOf(300));
  expect(fates.every(({ status }) => status === "fulfilled")).toBe(true);
  expect(new Set(one.commands)).toEqual(new Set([1]));
  expect(one.heard.filter((line) => line.includes("UID FETCH")).length).toBeLessThan(10);
});

it("a flag that the server refuses costs the group, and then only its own message", async () => {
  await using one = await target({
    refuse: (parts) => (parts.some(({ flags }) => flags.includes("Bad")) ? "BAD invalid keyword" : undefined),
  });
  const messages = [await message("A: a\r\n\r\n"), await message("B: b\r\n\r\n", { keywords: new Set(["Bad"]) })];
  const fates = await appendAll(one.appender, messages);
  expect(fates).toMatchObject([
    { value: { uid: 1, losses: [] } },
    { value: { uid: 2, losses: [{ kind: "keyword", name: "Bad" }] } },
  ]);
  expect(one.box.size).toBe(2);
});

it("where there is no room for all, those that fit are taken", async () => {
  await using one = await target({
    refuse: (parts, box) => (box.size + parts.length > 3 ? "NO [OVERQUOTA] mailbox full" : undefined),
  });
  const fates = await appendAll(one.appender, await messagesOf(5));
  expect(fates.map((fate) => (fate.status === "fulfilled" ? "there" : fate.reason.code))).toEqual([
    "there",
    "there",
    "there",
    "quota",
    "quota",
  ]);
  expect(one.box.size).toBe(3);
});

it.each([
  ["NO [TRYCREATE] gone", "not-found", { scope: "folder", remedy: "retry", outcome: "none" }],
  [
    "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds",
    "connection",
    { scope: "account", remedy: "wait", waitMs: 1000, outcome: "none" },
  ],
])("%s is for all of them: nothing is sent again", async (words, code, details) => {
  await using one = await target({ refuse: () => words });
  for (const fate of await appendAll(one.appender, await messagesOf(5)))
    expect(fate).toMatchObject({ reason: { code, details } });
  expect(one.commands).toEqual([5]);
});

it("when the connection dies in the middle, the fate of every one is unknown, and the next ones go one by one at first", async () => {
  let deaths = 0;
  await using one = await target({
    refuse: (parts, _box, talk) => {
      if (parts.length > 1 && deaths++ === 0) talk.reset();
      return undefined;
    },
  });
  for (const fate of await appendAll(one.appender, await messagesOf(5)))
    expect(fate).toMatchObject({ reason: { code: "connection", details: { remedy: "retry", outcome: "unknown" } } });
  one.commands.length = 0;
  const fates = await appendAll(one.again(), await messagesOf(20));
  expect(fates.every(({ status }) => status === "fulfilled")).toBe(true);
  expect(one.commands[0]).toBe(1);
  expect(one.connections()).toBe(2);
});

it("a message that ends the connection lets those before it through, a pass at a time", async () => {
  await using one = await target({
    refuse: (parts, _box, talk) => {
      if (!parts.some(({ text }) => text.includes("poison"))) return undefined;
      talk.reset();
      return "";
    },
  });
  const texts = Array.from({ length: 60 }, (_, n) => (n === 50 ? "S: poison\r\n\r\n" : `S: ${n}\r\n\r\n`));
  let left = await Promise.all(texts.map((text) => message(text)));
  let passes = 0;
  for (; passes < 60 && one.box.size < 50; passes++) {
    await appendAll(passes === 0 ? one.appender : one.again(), left);
    // As the engine does: what is there is not sent again.
    const there = new Set(one.box.values());
    left = left.filter(({ body }) => !there.has(Buffer.from(body.head).toString("latin1")));
  }
  expect(one.box.size).toBeGreaterThanOrEqual(50);
  expect([...one.box.values()].sort()).toEqual([...new Set(one.box.values())].sort());
});

describe("an APPENDUID that cannot be matched leaves all of them stored without a name", () => {
  it.each([
    ["too few", (uids: readonly number[]) => `[APPENDUID 9 ${uids[0]}] `],
    ["too many", (uids: readonly number[]) => `[APPENDUID 9 ${uids[0]}:${(uids.at(-1) ?? 0) + 1}] `],
    ["out of order", (uids: readonly number[]) => `[APPENDUID 9 ${[...uids].reverse().join(",")}] `],
    ["the same twice", (uids: readonly number[]) => `[APPENDUID 9 ${uids.map(() => uids[0]).join(",")}] `],
    ["no numbers", () => "[APPENDUID 9 *] "],
    ["nothing", () => ""],
  ])("%s", async (_, name) => {
    await using one = await target({ name });
    for (const fate of await appendAll(one.appender, await messagesOf(4)))
      expect(fate).toMatchObject({ value: { losses: [] } });
    for (const fate of await appendAll(one.appender, await messagesOf(4)))
      expect(fate.status === "fulfilled" && fate.value.uid).toBe(undefined);
    expect(one.box.size).toBe(8);
  });
});

it.each([
  ["a range written backwards", (uids: readonly number[]) => `[APPENDUID 9 ${uids.at(-1)}:${uids[0]}] `],
  ["numbers and ranges", (uids: readonly number[]) => `[APPENDUID 9 ${uids[0]},${uids[1]}:${uids.at(-1)}] `],
])("%s names each (RFC 4315)", async (_, name) => {
  await using one = await target({ name });
  const fates = await appendAll(one.appender, await messagesOf(4));
  expect(fates.map((fate) => fate.status === "fulfilled" && fate.value.uid)).toEqual([1, 2, 3, 4]);
});

it("without UIDPLUS all are stored, none has a name, and nothing is asked", async () => {
  await using one = await target({ capabilities: ["MULTIAPPEND", "LITERAL+"], name: () => "" });
  const fates = await appendAll(one.appender, await messagesOf(200));
  expect(fates.every((fate) => fate.status === "fulfilled" && fate.value.uid === undefined)).toBe(true);
  expect(one.commands.length).toBeLessThan(10);
  expect(one.heard.filter((line) => line.includes("UID FETCH"))).toEqual([]);
});

it("a server that says NO and stored a part of the group leaves the fate of all unknown, and nothing is sent twice", async () => {
  await using one = await target({
    refuse: (parts, box) => {
      if (parts.length === 1) return undefined;
      box.set(Math.max(0, ...box.keys()) + 1, parts[0]?.text ?? "");
      return "NO [SERVERBUG] oops";
    },
  });
  for (const fate of await appendAll(one.appender, await messagesOf(3)))
    expect(fate).toMatchObject({ reason: { details: { scope: "folder", remedy: "retry", outcome: "unknown" } } });
  expect(one.commands).toEqual([3]);
});

it("where UIDNEXT is not told, a refused group could not be judged, and so there are no groups", async () => {
  await using one = await target({ uidNext: false });
  const fates = await appendAll(one.appender, await messagesOf(20));
  expect(fates.map((fate) => fate.status === "fulfilled" && fate.value.uid)).toEqual(
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
  expect(new Set(one.commands)).toEqual(new Set([1]));
});

it("a server that offers MULTIAPPEND and never takes one is asked three times", async () => {
  await using one = await target({ refuse: (parts) => (parts.length > 1 ? "BAD too many arguments" : undefined) });
  for (let round = 0; round < 8; round++) {
    const fates = await appendAll(one.appender, await messagesOf(20));
    expect(fates.every(({ status }) => status === "fulfilled")).toBe(true);
  }
  expect(one.box.size).toBe(160);
  expect(one.commands.filter((count) => count > 1)).toHaveLength(3);
});

it("mail that others deliver meanwhile is nobody's of ours", async () => {
  let delivered = 0;
  await using one = await target({
    refuse: (_, box) => {
      box.set(Math.max(0, ...box.keys()) + 1, `foreign ${delivered++}`);
      return undefined;
    },
  });
  const messages = await messagesOf(600);
  const appended = await Promise.all(messages.map((each) => one.appender.append(each, signal)));
  expect(appended.map(({ uid = 0 }) => one.box.get(uid))).toEqual(messages.map((_, n) => `N: ${n}\r\n\r\n`));
});

it("a refused group between others does not confuse whose UID is whose", async () => {
  await using one = await target({
    refuse: (parts) =>
      parts.length > 1 && parts.some(({ text }) => text.startsWith("N: 200\r")) ? "NO no" : undefined,
  });
  const messages = await messagesOf(1500);
  const appended = await Promise.all(messages.map((each) => one.appender.append(each, signal)));
  expect(appended.map(({ uid = 0 }) => one.box.get(uid))).toEqual(messages.map((_, n) => `N: ${n}\r\n\r\n`));
  expect(one.box.size).toBe(1500);
});

it("a message over the server's limit is not sent, and takes no other with it", async () => {
  await using one = await target({ limit: 20 });
  const messages = [await message("A: a\r\n\r\n"), await message(`A: ${"b".repeat(40)}\r\n\r\n`)];
  const [a, b] = await appendAll(one.appender, messages);
  expect(a).toMatchObject({ value: { uid: 1 } });
  expect(b).toMatchObject({ reason: { code: "too-large", details: { scope: "message" } } });
});
