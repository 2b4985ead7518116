// UIDLs that come to name other messages: nothing is left out for a known name, and nothing is deleted that was not copied.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPop3Source } from "../../src/sources/pop3.ts";
import {
  type Act,
  type ScriptedMessage,
  type ScriptedServer,
  scriptedServer,
} from "../protocol/pop3/scripted-server.ts";
import { type Bench, intoMaildir, type Job, keysIn, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const TIMING = { connectMs: 20_000, inactivityMs: 20_000 };
const DRAIN = { remove: {} };

/** Of the same size where the words are. */
const mail = (word: string): string => `Message-ID: <${word}@example.org>\r\nSubject: ${word}\r\n\r\n${word}\r\n`;

interface Drop {
  readonly server: ScriptedServer;
  readonly job: Job;
  /** What lies in it from now on. */
  holds(words: readonly string[]): void;
  /** The subjects that lie in it. */
  left(): string[];
  /** The subjects that were given out, since the last call. */
  fetched(): string[];
}

/** Its UIDLs are what `name` makes of the places of the messages, as often as it is asked. */
async function counting(
  name: (place: number, word: string) => string,
  on: (line: string, messages: readonly ScriptedMessage[]) => Act | undefined = () => undefined,
): Promise<Drop & AsyncDisposable> {
  let words: readonly string[] = [];
  const given: string[] = [];
  const made = (): ScriptedMessage[] => words.map((word, n) => ({ uidl: name(n + 1, word), body: mail(word) }));
  const wordsOf = (messages: readonly ScriptedMessage[]): string[] =>
    messages.map(({ body }) => /Subject: (.*)\r\n/.exec(String(body))?.[1] ?? "");
  const server: ScriptedServer = await scriptedServer({
    on(line) {
      // Each session names what is there by then.
      if (line === "CAPA") {
        words = wordsOf(server.messages);
        server.messages = made();
      }
      const number = /^RETR (\d+)$/.exec(line)?.[1];
      if (number !== undefined) given.push(wordsOf(server.messages)[Number(number) - 1] ?? "");
      return on(line, server.messages);
    },
  });
  const open = () => openPop3Source(server.options(), signal, TIMING);
  return {
    server,
    job: intoMaildir(bench, open),
    holds(all) {
      words = all;
      server.messages = made();
    },
    left: () => wordsOf(server.messages),
    fetched: () => given.splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function archived(job: Job): Promise<number> {
  return [...(await job.arrived()).values()].flat().length;
}

/** Whether each of these is in the archive, as often as it is said here. */
async function holdsAll(job: Job, words: readonly string[]): Promise<void> {
  await using all = await scriptedServer({ messages: words.map((word, n) => ({ uidl: `x${n}`, body: mail(word) })) });
  const wanted = await keysIn(openPop3Source(all.options(), signal, TIMING));
  expect(await job.arrived()).toEqual(wanted);
}

const NAMES: readonly (readonly [string, (place: number) => string])[] = [
  ["1, 2, 3", String],
  ["0, 1, 2", (place) => String(place - 1)],
  ["msg-000000001", (place) => `msg-${String(place).padStart(9, "0")}`],
];

describe.each(NAMES)("UIDLs that are places (%s)", (_, name) => {
  it("after another program's deletion: what is new under an old name is copied, and only then deleted", async () => {
    await using drop = await counting(name);
    drop.holds(["one", "two", "six"]);
    expect((await once(drop.job)).summary).toMatchObject({ outcome: "complete", balance: { copied: 3 } });
    drop.holds(["two", "six", "longer"]);
    const { summary } = await once(drop.job, DRAIN);
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 1, "already-copied": 2 }, removed: 3 });
    expect(drop.left()).toEqual([]);
    await holdsAll(drop.job, ["one", "two", "six", "longer"]);
  });

  it("with a new message of the same size: it is not deleted, and the next run copies it", async () => {
    await using drop = await counting(name);
    drop.holds(["one", "two", "six"]);
    await once(drop.job);
    drop.holds(["two", "six", "new"]);
    const first = await once(drop.job, DRAIN);
    expect(first.summary).toMatchObject({ outcome: "partial", removed: 0, kept: 3 });
    expect(first.events.filter((event) => event.type === "message-kept").map((event) => event.why)).toEqual([
      "changed",
      "changed",
      "changed",
    ]);
    expect(drop.left()).toEqual(["two", "six", "new"]);
    const second = await once(drop.job, DRAIN);
    expect(second.summary).toMatchObject({
      outcome: "complete",
      balance: { copied: 1, "already-copied": 2 },
      removed: 3,
    });
    expect(drop.left()).toEqual([]);
    await holdsAll(drop.job, ["one", "two", "six", "new"]);
  });

  it("with one before the others: each keeps its copy, and there is one more", async () => {
    await using drop = await counting(name);
    drop.holds(["one", "three", "seventh"]);
    await once(drop.job);
    drop.holds(["the newest", "one", "three", "seventh"]);
    const { summary } = await once(drop.job);
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 1, "already-copied": 3 } });
    await holdsAll(drop.job, ["the newest", "one", "three", "seventh"]);
    expect((await once(drop.job)).summary).toMatchObject({ balance: { "already-copied": 4 }, bytes: 0 });
  });

  it("that did not move cost nothing but a second look at what goes", async () => {
    await using drop = await counting(name);
    drop.holds(["one", "two", "six"]);
    await once(drop.job);
    expect(drop.fetched()).toHaveLength(3);
    await once(drop.job);
    expect(drop.fetched()).toEqual([]);
    expect((await once(drop.job, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: 3 });
    expect(drop.fetched()).toHaveLength(3);
    expect(await archived(drop.job)).toBe(3);
  });
});

describe("UIDLs that say enough", () => {
  const strong = (_place: number, word: string): string => `${word}-0f3a9c17b2e84d6`;

  it("are believed where LIST says what it said: what goes is not fetched again", async () => {
    await using drop = await counting(strong);
    drop.holds(["one", "two", "six"]);
    expect((await once(drop.job, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: 3 });
    expect(drop.fetched()).toHaveLength(3);
    expect(drop.left()).toEqual([]);
  });

  it("and name a message of another size: it is another, and the old copy stays", async () => {
    await using drop = await counting((place) => `${place === 1 ? "first" : "other"}-0f3a9c17b2e84d6`);
    drop.holds(["one", "two"]);
    await once(drop.job);
    drop.holds(["something else", "two"]);
    expect((await once(drop.job, DRAIN)).summary).toMatchObject({
      balance: { copied: 1, "already-copied": 1 },
      removed: 2,
    });
    await holdsAll(drop.job, ["one", "two", "something else"]);
  });

  it("and what changed its size between copying and deleting: its bytes say whether it goes", async () => {
    await using drop = await counting(strong, (line, messages) => {
      if (line !== "LIST" || ++lists < 3) return undefined;
      return { send: `+OK\r\n${messages.map(({ body }, n) => `${n + 1} ${body.length + 40}\r\n`).join("")}.\r\n` };
    });
    let lists = 0;
    drop.holds(["one", "two"]);
    expect((await once(drop.job, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: 2 });
  });
});

describe("a server that writes its UIDL into the header between two sessions", () => {
  const noting = async (): Promise<Drop & AsyncDisposable> => {
    const drop = await counting((_, word) => `${word}-0f3a9c17b2e84d6`);
    return drop;
  };

  it("has no message twice, and loses none", async () => {
    await using drop = await noting();
    drop.holds(["one", "two"]);
    await once(drop.job);
    // From the second session on they have it.
    await using later = await scriptedServer({
      messages: ["one", "two"].map((word) => ({
        uidl: `${word}-0f3a9c17b2e84d6`,
        body: mail(word).replace("Subject:", `X-UIDL: ${word}-0f3a9c17b2e84d6\r\nStatus: RO\r\nSubject:`),
      })),
    });
    const source = () => openPop3Source({ ...later.options(), port: later.port }, signal, TIMING);
    const job: Job = {
      ...drop.job,
      source: async () => Object.assign(await source(), { identity: (await drop.job.source()).identity }),
    };
    expect((await once(job)).summary).toMatchObject({
      outcome: "complete",
      balance: { copied: 0, "already-copied": 2 },
    });
    expect((await once(job, DRAIN)).summary).toMatchObject({
      outcome: "complete",
      balance: { "already-copied": 2 },
      removed: 2,
    });
    expect(later.messages).toEqual([]);
    await holdsAll(drop.job, ["one", "two"]);
  });
});
