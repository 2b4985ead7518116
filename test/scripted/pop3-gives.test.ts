// What a POP3 server gives and does not give: limits of a session or a day, single bad messages, parts at a time, hang-ups.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exitCodeOf } from "../../src/cli/exit.ts";
import { MailError } from "../../src/mail/errors.ts";
import type { Entry } from "../../src/mail/model.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { Source } from "../../src/sources/source.ts";
import {
  type Act,
  never,
  type ScriptedMessage,
  type ScriptedServer,
  scriptedServer,
  USUAL,
} from "../protocol/pop3/scripted-server.ts";
import { type Bench, intoMaildir, type Job, keysIn, once, openBench, type Ran, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const TIMING = { connectMs: 20_000, inactivityMs: 20_000 };
const DRAIN = { remove: {} };
const COUNT = 40;
const NO_PIPELINING = USUAL.filter((name) => name !== "PIPELINING");

const drop = (count = COUNT): ScriptedMessage[] =>
  Array.from({ length: count }, (_, n) => ({
    uidl: `${n}-5b1f0c3a9e7d4422`,
    body: `Message-ID: <${n}@example.org>\r\nSubject: ${n}\r\n\r\n${"x".repeat(n)}\r\n`,
  }));

const numberIn = (line: string): number | undefined => {
  const number = /^RETR (\d+)$/.exec(line)?.[1];
  return number === undefined ? undefined : Number(number);
};

async function draining(server: ScriptedServer): Promise<Job> {
  const open = () => openPop3Source(server.options(), signal, TIMING);
  await using all = await scriptedServer({ messages: drop() });
  const wanted = await keysIn(openPop3Source(all.options(), signal, TIMING));
  return { ...intoMaildir(bench, open), wanted: async () => wanted };
}

const failed = ({ events }: Ran): string[] =>
  events
    .filter((event) => event.type === "message-settled" && event.as === "failed")
    .map((event) => ("entry" in event ? event.entry.origin.id : ""));

const retrs = ({ commands }: ScriptedServer): number => commands.filter((line) => line.startsWith("RETR")).length;

describe.each([
  ["with PIPELINING", USUAL],
  ["one command at a time", NO_PIPELINING],
])("a server that gives so much and no more, %s", (_, capabilities) => {
  it.each<readonly [string, Act]>([
    ["in words", { send: "-ERR Download exceed. msg=10\r\n" }],
    ["as a passing fault", { send: "-ERR [SYS/TEMP] come back later\r\n" }],
    ["in words, and hangs up", { send: "-ERR session limit reached\r\n", ending: "fin" }],
  ])("a session (%s): the next session gives the rest", async (__, act) => {
    const got = new Map<number, number>();
    await using server = await scriptedServer({
      messages: drop(),
      capabilities,
      on(line, session) {
        if (numberIn(line) === undefined) return undefined;
        got.set(session, (got.get(session) ?? 0) + 1);
        return (got.get(session) ?? 0) > 10 ? act : undefined;
      },
    });
    const job = await draining(server);
    const ran = await once(job, DRAIN);
    expect(failed(ran)).toEqual([]);
    expect(ran.summary).toMatchObject({ outcome: "complete", closes: true, removed: COUNT });
    expect(await job.arrived()).toEqual(await job.wanted());
    expect(server.messages).toEqual([]);
  });

  it.each<readonly [string, string]>([
    ["in words", "-ERR quota of today is used up"],
    ["without any", "-ERR no"],
  ])("a day (%s): exit 5, none of them failed, and another run goes on", async (__, words) => {
    let left = 10;
    await using server = await scriptedServer({
      messages: drop(),
      capabilities,
      on: (line) => (numberIn(line) === undefined || left-- > 0 ? undefined : { send: `${words}\r\n` }),
    });
    const job = await draining(server);
    const ran = await once(job, DRAIN);
    expect(failed(ran)).toEqual([]);
    expect(exitCodeOf(ran.failure)).toBe(5);
    expect(ran.failure?.message).toContain("gives no more messages just now");
    expect(server.messages).toHaveLength(COUNT);
    // What is under way is answered, and nothing else is asked for in vain.
    if (capabilities === NO_PIPELINING) expect(retrs(server)).toBeLessThanOrEqual(10 + 2 * 22);
    left = 1000;
    expect((await once(job, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: COUNT });
    expect(await job.arrived()).toEqual(await job.wanted());
  });
});

describe("a server that gives nothing at all", () => {
  const on = (words: string, ending?: "fin") => (line: string) =>
    numberIn(line) === undefined ? undefined : { send: `${words}\r\n`, ...(ending === undefined ? {} : { ending }) };

  it.each([
    ["in words", "-ERR quota of today is used up"],
    ["without any", "-ERR no"],
  ])("%s: exit 5, none of them failed, though none was ever had", async (_, words) => {
    await using server = await scriptedServer({ messages: drop(), on: on(words) });
    const ran = await once(await draining(server));
    expect(failed(ran)).toEqual([]);
    expect(ran.failure).toMatchObject({ code: "quota" });
    expect(exitCodeOf(ran.failure)).toBe(5);
  });

  it("and hangs up, where an earlier run was given some: what it gave then is the measure", async () => {
    let isUsedUp = false;
    await using server = await scriptedServer({
      messages: drop(5),
      on: (line) => (isUsedUp ? on("-ERR quota of today is used up", "fin")(line) : undefined),
    });
    const job = await draining(server);
    await once(job);
    server.messages = drop();
    isUsedUp = true;
    const ran = await once(job);
    expect(failed(ran)).toEqual([]);
    expect(ran.failure).toMatchObject({ code: "quota" });
  });
});

describe("messages that are refused, and others are not", () => {
  it("fail by themselves, also where only an earlier run was given any", async () => {
    await using server = await scriptedServer({
      messages: drop(5),
      on: (line) => ((numberIn(line) ?? 0) > 5 ? { send: "-ERR cannot open message file\r\n" } : undefined),
    });
    const job = await draining(server);
    await once(job);
    server.messages = drop();
    const ran = await once(job);
    expect(ran.failure).toBeUndefined();
    expect(failed(ran)).toHaveLength(COUNT - 5);
  });

  it.each([
    ["one", [7], "-ERR cannot open message file"],
    ["the last one", [COUNT], "-ERR cannot open message file"],
    ["one, in words of a limit", [7], "-ERR exceeds the limit of this server"],
    ["thirty in a row", Array.from({ length: 30 }, (_, n) => n + 5), "-ERR cannot open message file"],
    ["the last thirty", Array.from({ length: 30 }, (_, n) => n + 11), "-ERR cannot open message file"],
  ])("fail by themselves, and all else arrives: %s", async (_, bad, words) => {
    await using server = await scriptedServer({
      messages: drop(),
      on: (line) => (bad.includes(numberIn(line) ?? 0) ? { send: `${words}\r\n` } : undefined),
    });
    const job = await draining(server);
    const ran = await once(job);
    expect(failed(ran).sort()).toEqual(bad.map((number) => `${number - 1}-5b1f0c3a9e7d4422`).sort());
    expect(ran.summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: COUNT - bad.length } });
  });

  it("is so for a run that wants them alone too: what came earlier is the measure", async () => {
    let bad = [7, 8, 9];
    await using server = await scriptedServer({
      messages: drop(),
      on: (line) => (bad.includes(numberIn(line) ?? 0) ? { send: "-ERR cannot open message file\r\n" } : undefined),
    });
    const job = await draining(server);
    for (let run = 0; run < 2; run++) expect(failed(await once(job))).toHaveLength(3);
    bad = [];
    expect((await once(job)).summary).toMatchObject({ outcome: "complete", balance: { copied: 3 } });
  });
});

describe("a server that shows the oldest ten, and hides what was fetched from the next session", () => {
  async function showing(): Promise<ScriptedServer> {
    const all = drop();
    const popped = new Set<string>();
    let shown: readonly ScriptedMessage[] = [];
    let got: string[] = [];
    const server: ScriptedServer = await scriptedServer({
      on(line) {
        if (line === "CAPA") {
          shown = all.filter(({ uidl }) => !popped.has(uidl ?? "")).slice(0, 10);
          server.messages = shown;
          got = [];
        }
        const number = numberIn(line);
        if (number !== undefined) got.push(shown[number - 1]?.uidl ?? "");
        if (line === "QUIT") for (const uidl of got) popped.add(uidl);
        return undefined;
      },
    });
    return server;
  }

  it("is listed again until nothing new comes, and what is not shown any more is no error", async () => {
    await using server = await showing();
    const job = await draining(server);
    const ran = await once(job, DRAIN);
    expect(ran.summary).toMatchObject({
      outcome: "complete",
      closes: true,
      balance: { copied: COUNT },
      removed: 0,
      kept: 0,
    });
    expect(await job.arrived()).toEqual(await job.wanted());
    const why = ran.events.flatMap((event) => (event.type === "message-kept" ? [event.why] : []));
    expect(why).toEqual(Array.from({ length: COUNT }, () => "not-listed"));
  });

  it("is so in a run whose connection ended on the way", async () => {
    await using server = await showing();
    const job = await draining(server);
    const on = { broken: false };
    const open = async (): Promise<Source> => {
      const source = await openPop3Source(server.options(), signal, TIMING);
      return {
        ...source,
        async *read(slice, options) {
          let count = 0;
          for await (const one of source.read(slice, options)) {
            yield one;
            if (on.broken || ++count < 5) continue;
            on.broken = true;
            throw new MailError("connection", "cut", { scope: "account", remedy: "retry" });
          }
        },
        [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
      };
    };
    expect((await once({ ...job, source: open })).summary).toMatchObject({ outcome: "complete", listed: COUNT });
    expect(await job.arrived()).toEqual(await job.wanted());
  });
});

it("a maildrop that was shown whole is looked at once more where all was new, and that look is used for deleting", async () => {
  await using server = await scriptedServer({ messages: drop(5) });
  const job = intoMaildir(bench, () => openPop3Source(server.options(), signal, TIMING));
  expect((await once(job)).summary).toMatchObject({ outcome: "complete" });
  expect(server.sessions).toBe(2);
  expect((await once(job)).summary).toMatchObject({ outcome: "complete" });
  expect(server.sessions).toBe(3);
  await using other = await scriptedServer({ messages: drop(5) });
  const drain = intoMaildir(bench, () => openPop3Source(other.options(), signal, TIMING));
  expect((await once(drain, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: 5 });
  expect(other.sessions).toBe(2);
  await using slow = await scriptedServer({ messages: drop(5), capabilities: [...USUAL, "LOGIN-DELAY 300"] });
  await once(intoMaildir(bench, () => openPop3Source(slow.options(), signal, TIMING)));
  expect(slow.sessions).toBe(1);
});

describe("a message at which the server hangs up", () => {
  async function read(
    source: Source,
    wanted: (entry: Entry) => boolean,
    alone = false,
  ): Promise<MailError | undefined> {
    try {
      const options = { want: wanted, alone, signal: never };
      for await (const { content } of source.read({ folder: { path: ["INBOX"], selectable: true } }, options))
        for await (const _ of content);
      return undefined;
    } catch (error) {
      if (error instanceof MailError) return error;
      throw error;
    }
  }
  const ids = (error: MailError | undefined): string[] => (error?.details.suspects ?? []).map(({ id }) => id);

  it.each<readonly [string, Act]>([
    ["before it answers", { ending: "fin" }],
    ["in the middle", { send: "+OK\r\nSubject: x\r\n", ending: "reset" }],
  ])("is named with what was asked for behind it (%s); asked for alone, it is the only one", async (_, act) => {
    await using server = await scriptedServer({
      messages: drop(6),
      on: (line) => (line === "RETR 3" ? act : undefined),
    });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const id = (n: number) => `${n}-5b1f0c3a9e7d4422`;
    expect(ids(await read(source, () => true))).toEqual([2, 3, 4, 5].map(id));
    expect(ids(await read(source, () => true, true))).toEqual([id(2)]);
    expect(await read(source, ({ origin }) => origin.id !== id(2))).toBeUndefined();
  });

  it("is waited for with less patience when it is asked for alone", async () => {
    await using server = await scriptedServer({
      messages: drop(2),
      on: (line) => (line === "RETR 1" ? { ending: "silence" } : undefined),
    });
    await using source = await openPop3Source(server.options(), never, { ...TIMING, inactivityMs: 50 });
    expect(ids(await read(source, () => true, true))).toEqual(["0-5b1f0c3a9e7d4422"]);
  });

  it("is called unreadable after three ends, where no message has a name", async () => {
    const messages = drop(4).map(({ body }) => ({ body }));
    await using server = await scriptedServer({
      messages,
      on: (line) => (line === "RETR 3" ? { ending: "fin" } : undefined),
    });
    await using source = await openPop3Source(server.options(), never, TIMING);
    for (let time = 0; time < 3; time++) expect(ids(await read(source, () => true))).toEqual([]);
    expect(ids(await read(source, () => true, true))).toEqual(["unreadable:3"]);
    expect(await read(source, ({ origin }) => origin.id !== "unreadable:3")).toBeUndefined();
  });

  it("is described by its header, where the server gives that", async () => {
    const head = "Subject: the bad one\r\n\r\n";
    await using server = await scriptedServer({
      messages: drop(4),
      on(line) {
        if (line === "TOP 2 0") return { send: `+OK\r\n${head}.\r\n` };
        return line.startsWith("TOP") ? { send: "-ERR no\r\n" } : undefined;
      },
    });
    await using source = await openPop3Source(server.options(), never, TIMING);
    const origins = [1, 2].map((n) => ({ folder: ["INBOX"], generation: "maildrop", id: `${n}-5b1f0c3a9e7d4422` }));
    const described: (readonly [string, string])[] = [];
    for await (const one of source.describe?.(origins, never) ?? [])
      described.push([one.origin.id, Buffer.from(one.head).toString()]);
    expect(described).toEqual([["1-5b1f0c3a9e7d4422", head]]);
    expect(server.commands.filter((line) => line.startsWith("TOP"))).toEqual(["TOP 2 0", "TOP 3 0"]);
  });
});
