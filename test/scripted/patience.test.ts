// How long a run waits for a server that is away, busy or full, and what it says when it gives up: by a clock that costs no time.

import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { DEFAULT_PATIENCE } from "../../src/core/retry.ts";
import { REFUSALS_IN_A_ROW } from "../../src/migrate/room.ts";
import { run } from "../../src/migrate/run.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count } from "../kit/counts.ts";
import { startScripted } from "../kit/scripted.ts";
import { options } from "../protocol/imap/wire.ts";
import { type Manners, startAccount } from "./imap-account.ts";
import { type Bench, carry, impatient, intoAccount, intoMaildir, MAIL, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const { attempts } = DEFAULT_PATIENCE;
/** Without jitter, doubling from a second on; but what was asked for may still happen, and has three seconds for that. */
const DELAYS = [3000, 3000, 4000, 8000, 16_000, 32_000, 60_000];
const THROTTLE = "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds";

describe("a command that is never answered", () => {
  it.each([
    ["a target's APPEND", "APPEND", false],
    ["a target's CREATE or SELECT", "SELECT", false],
    ["a source's FETCH", "UID FETCH", true],
    ["a source's LIST", "LIST", true],
  ] as const)("%s: tried as often as declared, with growing waits, then exit 5", async (_, verb, isSource) => {
    count("scripted cases");
    await using account = await startAccount();
    for (const text of isSource ? MAIL : []) account.add("INBOX", text);
    const hang: Manners["before"] = ({ text }, talk) => {
      if (!text.startsWith(verb)) return undefined;
      talk.end();
      return "done";
    };
    const job = isSource ? intoMaildir(bench, account) : intoAccount(bench, account);
    const { patience, waits } = impatient(attempts);
    // Opened while all is well; the inbox is looked at then.
    const opening = { source: await job.source(), sink: await job.sink() };
    account.manners = { before: hang };
    const { failure } = await once(
      { ...job, source: async () => opening.source, sink: async () => opening.sink },
      { patience },
    );
    // A list that was asked for changes nothing.
    expect(waits).toEqual(verb === "LIST" ? [1000, 2000, ...DELAYS.slice(2)] : DELAYS);
    expect(failure).toMatchObject({ code: "connection" });
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    account.manners = {};
    if (isSource) await carry(job);
  });
});

it("a list that is asked for with the login and breaks off is asked for again, with all patience", async () => {
  count("scripted cases");
  await using account = await startAccount();
  for (const text of MAIL) account.add("INBOX", text);
  let left = 3;
  account.manners = {
    before({ text }, talk) {
      if (!text.startsWith("LIST") || left-- <= 0) return undefined;
      talk.end();
      return "done";
    },
  };
  const { patience, waits } = impatient(attempts);
  const job = intoMaildir(bench, account);
  const source = () => openImapSource(account.server(), signal, { toRead: true });
  const { failure, summary } = await once({ ...job, source }, { patience });
  expect(failure).toBeUndefined();
  expect(summary).toMatchObject({ outcome: "complete", balance: { copied: MAIL.length } });
  expect(waits).toEqual([1000, 2000, 4000]);
});

it("a list that is asked for with the login, and hangs, holds up nobody who stops the run", async () => {
  await using account = await startAccount({ before: ({ text }) => (text.startsWith("LIST") ? "done" : undefined) });
  account.manners = { ...account.manners, capabilities: ["IMAP4rev1", "UIDPLUS"] };
  await using source = await openImapSource(account.server(), signal, { toRead: true });
  await using sink = await intoMaildir(bench, account).sink();
  const going = run(source, sink, { stateDirectory: bench.place("state"), remove: {}, ...impatient() }, signal);
  setTimeout(() => going.stop(), 100);
  const started = performance.now();
  expect(await going.finished).toMatchObject({ outcome: "stopped" });
  expect(performance.now() - started).toBeLessThan(5000);
});

it("whoever gets on with it, however slowly, is never given up", async () => {
  count("scripted cases");
  await using account = await startAccount({ capabilities: ["IMAP4rev1"] });
  let left = 0;
  account.manners = {
    capabilities: ["IMAP4rev1", "UIDPLUS"],
    before({ text }, talk) {
      if (!text.startsWith("APPEND") || left-- > 0) return undefined;
      // One message a connection.
      left = 1;
      talk.end();
      return "done";
    },
  };
  const mail = Array.from({ length: 7 }, (_, n) => `Message-ID: <${n}@x>\r\n\r\n${n}\r\n`);
  const { patience, waits } = impatient(3);
  const { failure } = await once(intoAccount(bench, account, mail), { patience });
  expect(failure).toBeUndefined();
  expect(waits.length).toBeGreaterThan(4);
  expect((await account.keys()).get("INBOX")).toHaveLength(7);
});

describe("a server that asks for time gets it", () => {
  it.each([
    ["an APPEND", "APPEND", false],
    ["a SELECT", "SELECT", false],
    ["a FETCH", "UID FETCH", true],
    ["the list of folders", "LIST", true],
  ] as const)("at %s", async (_, verb, isSource) => {
    await using account = await startAccount();
    for (const text of isSource ? MAIL : []) account.add("INBOX", text);
    const job = isSource ? intoMaildir(bench, account) : intoAccount(bench, account);
    const { patience, waits } = impatient();
    const [source, sink] = [await job.source(), await job.sink()];
    let asked = 0;
    account.manners = {
      before({ text }, talk) {
        if (!text.startsWith(verb) || asked++ > 0) return undefined;
        // Exchange's own manner: the words, and then it hangs up.
        talk.send("* BYE Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n");
        if (asked === 1) return THROTTLE;
        return "done";
      },
    };
    const { failure, events } = await once(
      { ...job, source: async () => source, sink: async () => sink },
      { patience },
    );
    expect(failure).toBeUndefined();
    expect(Math.max(...waits)).toBe(299_961);
    expect(events.find(({ type }) => type === "retry-scheduled")).toMatchObject({ delayMs: 299_961 });
    account.manners = {};
    await carry(job);
  });
});

describe("a target without room", () => {
  const sized = (n: number, octets: number): string => `Message-ID: <${n}@x>\r\n\r\n${"x".repeat(octets)}\r\n`;

  it.each([
    ["in groups", ["IMAP4rev1", "UIDPLUS", "MULTIAPPEND", "LITERAL+"]],
    ["one by one", ["IMAP4rev1"]],
  ])("stores what fits, names what does not, waits for nothing, exit 5 (%s)", async (_, capabilities) => {
    await using account = await startAccount({ capabilities });
    let room = 9000;
    account.manners = {
      capabilities,
      before({ text, literals }) {
        const octets = literals.reduce((sum, { length }) => sum + length, 0);
        if (!text.startsWith("APPEND") || octets === 0) return undefined;
        if (octets > room) return "NO [OVERQUOTA] the mailbox is full";
        room -= octets;
        return undefined;
      },
    };
    const mail = [sized(0, 20_000), ...Array.from({ length: 6 }, (_, n) => sized(n + 1, 1000)), sized(9, 30_000)];
    const job = intoAccount(bench, account, mail);
    const { patience, waits } = impatient();
    const { failure, summary } = await once(job, { patience });
    expect(waits).toEqual([]);
    expect(failure).toMatchObject({ code: "quota", details: { remedy: "give-up" } });
    expect(failure?.details.hint).toContain("Make room");
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(summary?.balance).toMatchObject({ copied: 6, failed: 2 });
    expect(summary?.closes).toBe(true);
    room = 1_000_000;
    await carry(job);
  });

  it("is not offered the rest of a large mailbox", async () => {
    count("scripted cases");
    await using account = await startAccount({ capabilities: ["IMAP4rev1"] });
    let refused = 0;
    account.manners = {
      capabilities: ["IMAP4rev1"],
      before({ text, literals }) {
        if (!text.startsWith("APPEND") || literals.length === 0) return undefined;
        refused++;
        return "NO [OVERQUOTA] full";
      },
    };
    const mail = Array.from({ length: 2000 }, (_, n) => sized(n, 4000));
    const { failure } = await once(intoAccount(bench, account, mail), impatient());
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(refused).toBeGreaterThanOrEqual(REFUSALS_IN_A_ROW);
    // What was on its way already, and no more.
    expect(refused).toBeLessThan(1500);
  });
});

describe("a port that is no IMAP server's", () => {
  it.each([
    ["POP3", "+OK ready\r\n", "speaks POP3, not IMAP", "pop3s://"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["SMTP", "220 mx.example.org ESMTP\r\n"],
    ["HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["TLS", Buffer.from([0x15, 3, 3, 0, 2, 2, 40])],
  ])("%s: is told at once, with what it said", async (_, greeting, said = "speaks no IMAP", way = "Check the port") => {
    count("scripted cases");
    await using server = await startScripted(async (talk) => {
      talk.send(greeting);
      await talk.line();
    });
    await expect(openImapSource(options(server.port), signal)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining(said),
      details: { hint: expect.stringContaining(way) },
    });
    expect(server.heard).toEqual([]);
  });

  it("silence: is given up in bounded time, with a hint", async () => {
    count("scripted cases");
    const server = createServer((socket) => socket.on("error", () => undefined).resume());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    await expect(openImapSource(options(port), signal, { loginMs: 50 })).rejects.toMatchObject({
      code: "connection",
      message: expect.stringContaining("says nothing"),
      details: { hint: expect.stringContaining("imaps://") },
    });
    server.close();
  });
});

it("a run after one that broke off gives the server time to store what it was sent; after one that ended well nobody waits", async () => {
  count("scripted cases");
  await using account = await startAccount();
  const job = intoAccount(bench, account);
  const opening = { source: await job.source(), sink: await job.sink() };
  account.manners = {
    before({ text }, talk) {
      if (!text.startsWith("APPEND")) return undefined;
      talk.end();
      return "done";
    },
  };
  const ends = { ...job, source: async () => opening.source, sink: async () => opening.sink };
  const { failure } = await once(ends, impatient(1));
  expect(failure).toMatchObject({ code: "connection" });
  account.manners = {};

  const second = impatient();
  expect((await once(job, second)).summary).toMatchObject({ outcome: "complete" });
  expect(second.waits).toHaveLength(1);
  expect(second.waits[0]).toBeGreaterThan(0);
  expect(second.waits[0]).toBeLessThanOrEqual(3000);
  expect(await job.arrived()).toEqual(await job.wanted());

  const third = impatient();
  await once(job, { ...third, recheck: true });
  expect(third.waits).toEqual([]);
});
