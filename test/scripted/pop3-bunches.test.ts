// Deleting where a server limits what it gives: what was looked at goes before more is asked for, and nothing else goes.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exitCodeOf } from "../../src/cli/exit.ts";
import { MailError } from "../../src/mail/errors.ts";
import { keyOf } from "../../src/mail/key.ts";
import type { Origin } from "../../src/mail/model.ts";
import type { Removal } from "../../src/mail/removal.ts";
import { run } from "../../src/migrate/run.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import {
  type Act,
  never,
  type ScriptedMessage,
  type ScriptedServer,
  scriptedServer,
  stuff,
  USUAL,
} from "../protocol/pop3/scripted-server.ts";
import { type Bench, impatient, intoMaildir, type Job, keysIn, once, openBench, type Ran, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const TIMING = { connectMs: 20_000, inactivityMs: 20_000 };
const DRAIN = { remove: {} };
const COUNT = 35;
const LIMIT = 10;

/** Of three sizes. */
const textOf = (n: number): string =>
  `Message-ID: <${100 + n}@example.org>\r\nSubject: ${100 + n}\r\n\r\n${"x".repeat(n % 3)}\r\n`;

/** What a session does at a RETR: how many it was asked for by now, the message, and which session it is. */
type Limit = (count: number, message: ScriptedMessage, session: number) => Act | undefined;

interface Drop extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly job: Job;
  wanted(): Promise<Map<string, string[]>>;
  /** Messages asked for, by session. */
  readonly asked: ReadonlyMap<number, number>;
  limit: Limit | undefined;
  /** Called as each session begins. */
  begins?: (session: number) => void;
}

/** UIDLs are what `name` makes of the place that a message has in each session, and of its number. */
async function limited(name: (place: number, n: number) => string, capabilities = USUAL): Promise<Drop> {
  const asked = new Map<number, number>();
  const numberOf = ({ body }: ScriptedMessage): number => Number(/<(\d+)@/.exec(String(body))?.[1]) - 100;
  const named = (messages: readonly ScriptedMessage[]): ScriptedMessage[] =>
    messages.map((one, at) => ({ ...one, uidl: name(at + 1, numberOf(one)) }));
  const all = Array.from({ length: COUNT }, (_, n) => ({ body: textOf(n) }));
  const server = await scriptedServer({
    messages: named(all),
    capabilities,
    on(line, session) {
      if (line === "CAPA") {
        drop.begins?.(session);
        server.messages = named(server.messages);
      }
      const number = /^RETR (\d+)$/.exec(line)?.[1];
      const message = server.messages[Number(number) - 1];
      if (message === undefined) return undefined;
      const count = (asked.get(session) ?? 0) + 1;
      asked.set(session, count);
      return drop.limit?.(count, message, session);
    },
  });
  const drop: Drop = {
    server,
    job: intoMaildir(bench, () => openPop3Source(server.options(), signal, TIMING)),
    async wanted() {
      await using whole = await scriptedServer({ messages: all.map((one, n) => ({ ...one, uidl: `whole-${n}` })) });
      return await keysIn(openPop3Source(whole.options(), signal, TIMING));
    },
    asked,
    limit: undefined,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return drop;
}

const beyond =
  (act: Act): Limit =>
  (count) =>
    count > LIMIT ? act : undefined;

const NAMES: readonly (readonly [string, (place: number, n: number) => string])[] = [
  ["places", String],
  ["short", (_, n) => `u${n}`],
  ["places behind words", (place) => `mbox-7f3a9c17b2e8-${place}`],
];

const LIMITS: readonly (readonly [string, Limit])[] = [
  ["refuses in words", beyond({ send: "-ERR Download exceed. msg=10\r\n" })],
  ["refuses as a passing fault", beyond({ send: "-ERR [SYS/TEMP] come back later\r\n" })],
  ["refuses without words", beyond({ send: "-ERR no\r\n" })],
  ["says so and hangs up", beyond({ send: "-ERR session limit reached\r\n", ending: "fin" })],
  ["hangs up", beyond({ ending: "fin" })],
  [
    "hangs up behind the last that it gives",
    (count, { body }) =>
      count === LIMIT ? { send: Buffer.concat([Buffer.from("+OK\r\n"), stuff(body)]), ending: "fin" } : undefined,
  ],
];

const retries = ({ events }: Ran): number =>
  events.filter((event) => event.type === "retry-scheduled" && event.what.startsWith("deleting")).length;

describe.each(NAMES)("with UIDLs that may move (%s), a server that gives ten a session and then", (_, name) => {
  it.each(LIMITS)("%s: all are deleted, so many a session", async (__, limit) => {
    await using drop = await limited(name);
    drop.limit = limit;
    const ran = await once(drop.job, DRAIN);
    expect(ran.failure).toBeUndefined();
    expect(ran.summary).toMatchObject({ outcome: "complete", closes: true, removed: COUNT, kept: 0 });
    expect(ran.events.filter(({ type }) => type === "message-kept")).toEqual([]);
    expect(retries(ran)).toBe(0);
    expect(drop.server.messages).toEqual([]);
    expect(await drop.job.arrived()).toEqual(await drop.wanted());
  });

  it.each(LIMITS)("%s: so it is for what an earlier run copied, and one was deleted alone", async (__, limit) => {
    await using drop = await limited(name);
    expect((await once(drop.job)).summary).toMatchObject({ outcome: "complete" });
    drop.limit = limit;
    const ran = await once(drop.job, DRAIN);
    expect(ran.summary).toMatchObject({ outcome: "complete", closes: true, removed: COUNT, kept: 0 });
    expect(drop.server.messages).toEqual([]);
    expect(await drop.job.arrived()).toEqual(await drop.wanted());
  });

  it("is given up for the day: each run deletes what it was let look at", async () => {
    await using drop = await limited(name);
    expect((await once(drop.job)).summary).toMatchObject({ outcome: "complete" });
    let left = 0;
    drop.limit = () => (left-- > 0 ? undefined : { send: "-ERR quota of today is used up\r\n" });
    let before = COUNT;
    for (let runs = 0; runs < 12 && before > 0; runs++) {
      left = 3 * LIMIT;
      const ran = await once(drop.job, DRAIN);
      if (ran.failure !== undefined) expect(exitCodeOf(ran.failure)).toBe(5);
      const now = drop.server.messages.length;
      expect(now).toBeLessThan(before);
      before = now;
    }
    expect(drop.server.messages).toEqual([]);
    expect(await drop.job.arrived()).toEqual(await drop.wanted());
  });

  it("lets another message of the same size in between two sessions: that stays, and the next run copies it", async () => {
    await using drop = await limited(name);
    drop.limit = beyond({ ending: "fin" });
    const other = textOf(30).replace("Subject: 130", "Subject: new");
    drop.begins = () => {
      // Once the first were deleted.
      if (drop.server.messages.length < COUNT)
        drop.server.messages = drop.server.messages.map((one) => (one.body === textOf(30) ? { body: other } : one));
    };
    const ran = await once(drop.job, DRAIN);
    expect(ran.summary).toMatchObject({ outcome: "partial", removed: COUNT - 1, kept: 1 });
    expect(drop.server.messages.map(({ body }) => body)).toEqual([other]);
    expect((await once(drop.job, DRAIN)).summary).toMatchObject({ balance: { copied: 1 }, removed: 1 });
    expect(drop.server.messages).toEqual([]);
    expect([...(await drop.job.arrived()).values()].flat()).toHaveLength(COUNT + 1);
  });
});

it("a run that is to stop ends with the session that deletes just then", async () => {
  await using drop = await limited(String);
  drop.limit = beyond({ send: "-ERR Download exceed. msg=10\r\n" });
  await using source = await drop.job.source();
  await using sink = await drop.job.sink();
  const going = run(source, sink, { stateDirectory: drop.job.state, ...impatient(), ...DRAIN }, signal);
  drop.begins = () => {
    if (drop.server.messages.length < COUNT) going.stop();
  };
  let removed = 0;
  for await (const event of going) if (event.type === "message-removed") removed++;
  await going.finished;
  expect(removed).toBe(2 * LIMIT);
  expect(drop.server.messages).toHaveLength(COUNT - 2 * LIMIT);
});

describe("the source alone", () => {
  const generation = "maildrop";
  const short = (_: number, n: number): string => `u${n}`;

  async function removing(
    drop: Drop,
    more: Partial<Removal> = {},
  ): Promise<{ gone: string[]; error: MailError | undefined }> {
    await using source = await openPop3Source(drop.server.options(), never, TIMING);
    async function* origins(): AsyncGenerator<Origin> {
      for (let n = 0; n < COUNT; n++) yield { folder: ["INBOX"], generation, id: short(0, n) };
    }
    async function* content(id: string): AsyncGenerator<Uint8Array> {
      yield Buffer.from(textOf(Number(id.slice(1))));
    }
    const removal: Removal = {
      recorded: ({ id }) => keyOf(content(id)),
      changed: async ({ id }) => expect.unreachable(`${id} changed`),
      absent: async ({ id }) => expect.unreachable(`${id} absent`),
      ...more,
    };
    const gone: string[] = [];
    try {
      for await (const { id } of source.remove?.(origins(), never, undefined, removal) ?? []) gone.push(id);
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      return { gone, error };
    }
    return { gone, error: undefined };
  }

  it("asks for what was refused after all else, so that it stands in nobody's way", async () => {
    await using drop = await limited(short);
    const bad = Array.from({ length: LIMIT }, (_, n) => textOf(n));
    const given = new Map<number, number>();
    drop.limit = (_, { body }, session) => {
      if (bad.includes(String(body))) return { send: "-ERR cannot open message file\r\n" };
      given.set(session, (given.get(session) ?? 0) + 1);
      return (given.get(session) ?? 0) > LIMIT ? { ending: "fin" } : undefined;
    };
    expect((await removing(drop)).gone).toHaveLength(COUNT - bad.length);
    expect(drop.server.messages.map(({ body }) => body)).toEqual(bad);
  });

  it("asks for no more in a session that refuses one after the other in words of a limit", async () => {
    await using drop = await limited(
      short,
      USUAL.filter((one) => one !== "PIPELINING"),
    );
    drop.limit = beyond({ send: "-ERR Download exceed. msg=10\r\n" });
    expect((await removing(drop)).gone).toHaveLength(COUNT);
    // The first that is refused, and the one that was under way with it.
    expect(Math.max(...drop.asked.values())).toBeLessThanOrEqual(LIMIT + 2);
  });

  it("asks for ten at a time once the server hung up twice behind ten, and for ever more after a cut of the line", async () => {
    await using drop = await limited(short);
    drop.limit = beyond({ ending: "fin" });
    expect((await removing(drop)).gone).toHaveLength(COUNT);
    // Cut, ten, cut, ten, ten, five.
    expect(drop.server.sessions).toBe(6);
    await using line = await limited(short);
    line.limit = (count, _, session) => (session === 1 && count > 1 ? { ending: "fin" } : undefined);
    expect((await removing(line)).gone).toHaveLength(COUNT);
    // Cut, and 1, 2, 4, 8, 16, 4.
    expect(line.server.sessions).toBe(7);
  });

  it("gives up after three sessions that were cut, and deleted nothing", async () => {
    await using drop = await limited(short);
    const { server } = drop;
    drop.limit = (_, { body }) => ({ send: Buffer.concat([Buffer.from("+OK\r\n"), stuff(body)]), ending: "fin" });
    const { gone, error } = await removing(drop);
    expect([gone, error?.code]).toEqual([[], "connection"]);
    expect(server.sessions).toBe(3);
    expect(server.messages).toHaveLength(COUNT);
  });

  it("begins no further session once it is to stop", async () => {
    await using drop = await limited(short);
    drop.limit = beyond({ send: "-ERR Download exceed. msg=10\r\n" });
    const stop = new AbortController();
    drop.begins = (session) => {
      if (session === 2) stop.abort();
    };
    expect((await removing(drop, { stop: stop.signal })).gone).toHaveLength(2 * LIMIT);
    expect(drop.server.messages).toHaveLength(COUNT - 2 * LIMIT);
  });
});
