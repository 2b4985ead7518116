// Contents that are not what a POP3 server announced: asked for again, then failed, never deleted; and servers that always count so.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPop3Source } from "../../src/sources/pop3.ts";
import {
  type Act,
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

const text = (n: number): string =>
  `Message-ID: <${n}@example.org>\r\nX-Name: Gr\u00fc\u00dfe\r\nSubject: ${n}\r\n\r\n${"a line of it\r\n".repeat(30 * n)}`;
const idOf = (n: number): string => `${n}-5b1f0c3a9e7d4422`;

/** `announced`: what LIST says of each. */
function drop(announced: (size: number) => number = (size) => size, from = 1, to = 6): ScriptedMessage[] {
  const all: ScriptedMessage[] = [];
  for (let n = from; n <= to; n++)
    all.push({ uidl: idOf(n), body: text(n), size: announced(Buffer.byteLength(text(n))) });
  return all;
}

const failed = ({ events }: Ran): (readonly [string, string])[] =>
  events.flatMap((event) =>
    event.type === "message-settled" && event.as === "failed"
      ? [[event.entry.origin.id, event.error?.message ?? ""]]
      : [],
  );

const jobOf = (server: ScriptedServer): Job =>
  intoMaildir(bench, () => openPop3Source(server.options(), signal, TIMING));

async function holdsAll(job: Job, messages: readonly ScriptedMessage[]): Promise<void> {
  await using all = await scriptedServer({ messages: messages.map(({ uidl = "", body }) => ({ uidl, body })) });
  expect(await job.arrived()).toEqual(await keysIn(openPop3Source(all.options(), signal, TIMING)));
}

const CUTS: readonly (readonly [string, (whole: string) => string])[] = [
  ["nothing", () => ""],
  ["a header", (whole) => whole.slice(0, whole.indexOf("\r\n\r\n") + 4)],
  ["half", (whole) => whole.slice(0, whole.indexOf("\r\n", whole.length / 2) + 2)],
  [
    "what Exchange says",
    () =>
      "Subject: Retrieval using the POP3 protocol failed for the following message: 3\r\n\r\nThe server couldn't retrieve the following message:\r\n\r\n",
  ],
];

describe.each(CUTS)("of one message %s comes", (_, cut) => {
  const act = (n: number): Act => ({ send: Buffer.from(`+OK\r\n${cut(text(n))}.\r\n`) });

  it("each time: it fails by name, the others arrive, and it stays at the source for the next run", async () => {
    let bad = true;
    await using server = await scriptedServer({
      messages: drop(),
      on: (line) => (bad && line === "RETR 3" ? act(3) : undefined),
    });
    const job = jobOf(server);
    const ran = await once(job, DRAIN);
    expect(failed(ran)).toEqual([[idOf(3), expect.stringMatching(/announced|in place/)]]);
    expect(ran.summary).toMatchObject({
      outcome: "partial",
      closes: true,
      balance: { copied: 5, failed: 1 },
      removed: 5,
    });
    expect(server.messages.map(({ uidl }) => uidl)).toEqual([idOf(3)]);
    // The only one that is left says nothing of how the server counts.
    const on = ran.summary?.outcome;
    expect(on).toBe("partial");
    bad = false;
    expect((await once(job, DRAIN)).summary).toMatchObject({ outcome: "complete", balance: { copied: 1 }, removed: 1 });
    await holdsAll(job, drop());
  });

  it("once: asked for again it comes whole", async () => {
    let times = 0;
    await using server = await scriptedServer({
      messages: drop(),
      on: (line) => (line === "RETR 3" && times++ === 0 ? act(3) : undefined),
    });
    const job = jobOf(server);
    expect((await once(job, DRAIN)).summary).toMatchObject({ outcome: "complete", balance: { copied: 6 }, removed: 6 });
    await holdsAll(job, drop());
  });
});

describe("a server that wraps what is not ASCII", () => {
  const wrapping = (capabilities: readonly string[], subject: string) => {
    let utf8 = false;
    return scriptedServer({
      messages: drop(),
      capabilities,
      on(line) {
        if (line === "CAPA") utf8 = false;
        if (line === "UTF8") utf8 = true;
        const number = Number(/^RETR (\d+)$/.exec(line)?.[1] ?? 0);
        if (number % 2 === 0 || utf8) return undefined;
        const around = `From: postmaster\r\nSubject: ${subject}\r\nMime-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_${Math.random()}"\r\n\r\n\r\n--=_x\r\nContent-Type: message/global\r\n\r\n`;
        return { send: `+OK\r\n${around}${text(number)}\r\n--=_x--\r\n.\r\n` };
      },
    });
  };

  it("until it is told UTF8: the original comes", async () => {
    await using server = await wrapping([...USUAL, "UTF8"], "Cannot display Unicode content");
    const job = jobOf(server);
    expect((await once(job, DRAIN)).summary).toMatchObject({ outcome: "complete", removed: 6 });
    await holdsAll(job, drop());
  });

  it.each(["Cannot display Unicode content", "in its own words"])(
    "and offers no UTF8 (%s): the wrapping is not taken for the message",
    async (subject) => {
      await using server = await wrapping(USUAL, subject);
      const job = jobOf(server);
      const ran = await once(job, DRAIN);
      const [first] = failed(ran);
      expect(first?.[0]).toBe(idOf(1));
      expect(server.messages.map(({ uidl }) => uidl)).toContain(idOf(1));
      if (subject.startsWith("Cannot"))
        expect(ran.summary).toMatchObject({ balance: { copied: 3, failed: 3 }, removed: 3 });
    },
  );
});

describe("sizes that a server always has", () => {
  it.each<readonly [string, (size: number) => number]>([
    ["LF counted as one", (size) => size - Math.round(size / 16)],
    ["too few by one number", (size) => Math.max(1, size - 300)],
    ["rounded up to kilobytes", (size) => Math.ceil(size / 1024) * 1024],
  ])("are no failure: %s", async (_, announced) => {
    await using server = await scriptedServer({ messages: drop(announced, 1, 9) });
    const job = jobOf(server);
    expect((await once(job, DRAIN)).summary).toMatchObject({ outcome: "complete", balance: { copied: 9 }, removed: 9 });
    await holdsAll(job, drop(announced, 1, 9));
    expect(server.messages).toEqual([]);
  });

  // Nobody can tell a server that counts 700 octets too many from one that keeps the last 700 back.
  it.each<readonly [string, (size: number) => number, number]>([
    ["too many by one number", (size) => size + 700, 9],
    ["that mean nothing", (size) => ((size / 420) % 2 < 1 ? 0 : 1_000_000_000), 5],
  ])("are no failure, and what is shorter than they say stays at the source: %s", async (_, announced, short) => {
    await using server = await scriptedServer({ messages: drop(announced, 1, 9) });
    const job = jobOf(server);
    const { summary, events } = await once(job, DRAIN);
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 9, failed: 0 }, removed: 9 - short });
    await holdsAll(job, drop(announced, 1, 9));
    expect(server.messages.length).toBe(short);
    const kept = events.filter((event) => event.type === "message-kept");
    expect(kept.map((event) => event.why)).toEqual(Array.from({ length: short }, () => "short"));
    const said = events.filter(
      (event) => event.type === "notice" && event.insist === true && /announced more octets/.test(event.text),
    );
    expect(said.length).toBeGreaterThan(0);
  });

  it("are remembered from earlier runs: one more message that is alone", async () => {
    const announced = (size: number): number => size + 700;
    await using server = await scriptedServer({ messages: drop(announced) });
    const job = jobOf(server);
    await once(job, DRAIN);
    server.messages = drop(announced, 7, 7);
    expect((await once(job, DRAIN)).summary).toMatchObject({ balance: { copied: 1, failed: 0 }, removed: 0 });
  });
});
