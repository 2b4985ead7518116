// One message at which a server hangs up, falls silent or says "later": it alone fails, by name, and all else arrives.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf, exitCodeOfRun } from "../../src/cli/exit.ts";
import { DEFAULT_PATIENCE } from "../../src/core/retry.ts";
import { expandSet } from "../../src/protocol/imap/syntax.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, impatient, intoAccount, intoMaildir, type Job, once, openBench, signal } from "./jobs.ts";
import { ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const { attempts } = DEFAULT_PATIENCE;
type Talk = Parameters<NonNullable<Manners["before"]>>[1];
type Heard = Parameters<NonNullable<Manners["before"]>>[0];

/** `count` messages, of which these (from 0) hold the word. */
const mailWith = (count: number, ...bad: readonly number[]): string[] =>
  Array.from(
    { length: count },
    (_, n) =>
      `Message-ID: <${n}@x>\r\nFrom: Ann <ann@example.org>\r\nSubject: =?utf-8?q?n=C2=BA_${n}?=\r\nDate: Mon, 1 Mar 2021 10:00:00 +0000\r\n\r\n${bad.includes(n) ? "POISON" : "good"} ${n}\r\n`,
  );

const isPoison = ({ text, literals }: Heard): boolean =>
  text.startsWith("APPEND") && literals.some((one) => one.includes("POISON"));

const HANGS_UP: readonly (readonly [string, (talk: Talk) => void])[] = [
  ["hangs up", (talk) => talk.end()],
  [
    "resets the connection",
    (talk) => {
      silent.add(talk);
      // A reset takes with it what was not read yet: here the answers to those before have arrived.
      setTimeout(() => talk.reset(), 300);
    },
  ],
  ["resets the connection, and takes answers with it", (talk) => talk.reset()],
  [
    "says goodbye",
    (talk) => {
      talk.send("* BYE Invalid character in literal\r\n");
      talk.end();
    },
  ],
  ["says nothing more", (talk) => void silent.add(talk)],
];
/** Those to whom nothing is answered any more. */
const silent = new WeakSet<Talk>();
/** As a source says it of a message, and a target. */
const LATER = [
  "NO UID FETCH Server error - Please try again later",
  "NO [UNAVAILABLE] not now",
  "NO [INUSE] somebody has it",
  "NO [LIMIT] too much",
  "NO [SERVERBUG] oops",
  "NO Too many requests",
];

/** What was waited for in all, if it was waited for. */
const sum = (waits: readonly number[]): number => waits.reduce((all, ms) => all + ms, 0);

function setAside({ state }: Job): string[] {
  const names = existsSync(state) ? readdirSync(state, { recursive: true, encoding: "utf8" }) : [];
  return names.filter((name) => name.endsWith(".eml")).map((name) => join(state, name));
}

/** Far above what a busy machine keeps anybody waiting: a stall that is none would be one more try. */
const STALL_MS = 2_000;
const stalling = (account: ScriptedAccount, job: Job): Job => ({
  ...job,
  sink: () => openImapSink(account.server(), signal, { stallMs: STALL_MS }),
});

describe.each(HANGS_UP)("a target that %s at one message", (how, hangUp) => {
  it.each([
    ["in groups", USUAL],
    ["one by one", ["IMAP4rev1", "UIDPLUS"]],
  ])("keeps nothing else from coming (%s)", async (_way, capabilities) => {
    count("scripted cases");
    await using account = await startAccount({ capabilities });
    let sent = 0;
    const poisonous: Manners = {
      capabilities,
      before(heard, talk) {
        if (silent.has(talk)) return "done";
        if (!isPoison(heard)) return undefined;
        sent++;
        hangUp(talk);
        return "done";
      },
    };
    account.manners = poisonous;
    const plain = intoAccount(bench, account, mailWith(30, 4));
    const job = how === "says nothing more" ? stalling(account, plain) : plain;
    const { patience, waits } = impatient(attempts);
    const { summary, failure, events } = await once(job, { patience });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { failed: 1 } });
    expect(exitCodeOfRun(summary ?? expect.fail())).toBe(EXIT.partial);
    expect((await account.keys()).get("INBOX")).toHaveLength(29);
    // In a group, alone, and alone again; and a look at the end. Where answers went with the connection, one before it is the oldest
    // without one, and is suspected first: once more, until it was in that company twice.
    expect(sent).toBeLessThanOrEqual(how.includes("takes answers") ? 6 : 5);
    // Those of the group that it was in were tried by themselves, and not what was on its way behind them.
    expect(account.heard.filter((line) => line.includes("APPEND")).length).toBeLessThan(50);
    expect(sum(waits)).toBeLessThan(20_000);
    const [failed] = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed).toMatchObject({ error: { code: "connection" }, quarantine: expect.stringMatching(/\.eml$/) });
    expect(failed?.error?.message).toContain("whenever this message is sent");
    expect(setAside(job)).toHaveLength(1);

    // The next run finds out by one try more.
    sent = 0;
    const second = await once(job, { patience });
    expect(second.summary).toMatchObject({ outcome: "partial", balance: { failed: 1, "already-copied": 29 } });
    expect(sent).toBe(1);

    account.manners = { capabilities };
    await carry(job);
    expect(setAside(job)).toEqual([]);
  });
});

describe("a source that hangs up at one message", () => {
  /** After the rows before it, or as soon as it is asked for together with others. */
  const MANNERS: readonly (readonly [string, (account: ScriptedAccount) => Manners])[] = [
    [
      "when it has sent those before it",
      () => {
        let isCut = false;
        return {
          rows(rows, text) {
            const at = text.includes("BODY.PEEK[]") ? rows.findIndex((row) => row.includes("POISON")) : -1;
            isCut = at >= 0;
            return isCut ? rows.slice(0, at) : rows;
          },
          after(_, talk) {
            if (!isCut) return undefined;
            isCut = false;
            talk.end();
            return "done";
          },
        };
      },
    ],
    [
      "and loses those before it",
      () => {
        let isCut = false;
        return {
          rows(rows, text) {
            isCut = text.includes("BODY.PEEK[]") && rows.some((row) => row.includes("POISON"));
            return isCut ? [] : rows;
          },
          after(_, talk) {
            if (!isCut) return undefined;
            isCut = false;
            talk.reset();
            return "done";
          },
        };
      },
    ],
  ];

  it.each(MANNERS)("%s: keeps nothing else from coming", async (_, manners) => {
    count("scripted cases");
    await using account = await startAccount();
    for (const text of mailWith(400, 200)) account.add("INBOX", text);
    for (const text of mailWith(3)) account.add("Other", text);
    account.manners = manners(account);
    const job = intoMaildir(bench, account);
    const { patience, waits } = impatient(attempts);
    const { summary, failure, events } = await once(job, { patience });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 402, failed: 1 } });
    expect(sum(waits)).toBeLessThan(30_000);
    const [failed] = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed).toMatchObject({ entry: { origin: { id: "201" } }, error: { code: "connection" } });
    expect(failed).toMatchObject({ subject: "nº 200", from: expect.stringContaining("ann@example.org") });
    expect(failed?.date?.toISOString()).toBe("2021-03-01T10:00:00.000Z");
    expect(failed?.error?.message).toContain("whenever this message is asked for");
    // Those that were asked for with it are asked for by themselves, and nobody else is.
    const alone = account.heard.filter((line) => / UID FETCH \d+ \(UID BODY/.test(line)).length;
    expect(alone).toBeLessThanOrEqual(260);

    const second = await once(job, { patience });
    expect(second.summary).toMatchObject({ balance: { failed: 1, "already-copied": 402 } });
    account.manners = {};
    await carry(job);
  });

  it("falls silent: each of the three tries costs a stall, and no more", async () => {
    count("scripted cases");
    await using account = await startAccount();
    for (const text of mailWith(20, 7)) account.add("INBOX", text);
    let silences = 0;
    account.manners = {
      before({ text }, talk) {
        if (silent.has(talk)) return "done";
        const set = /^UID FETCH (\S+) .*BODY\.PEEK\[\]/.exec(text)?.[1];
        if (set === undefined || (set !== "1:*" && expandSet(set, 100)?.includes(8) !== true)) return undefined;
        silences++;
        silent.add(talk);
        return "done";
      },
    };
    const source = () => openImapSource(account.server(), signal, { stallMs: 1000 });
    const job = { ...intoMaildir(bench, source), wanted: () => account.keys() };
    const { summary } = await once(job, impatient(attempts));
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 19, failed: 1 } });
    expect(silences).toBeLessThanOrEqual(6);
  });
});

describe.each(LATER)("one message that is answered %s", (words) => {
  it("by a target fails alone, after three tries", async () => {
    count("scripted cases");
    await using account = await startAccount();
    const { patience, waits } = impatient(attempts);
    let refused = 0;
    const waitedBefore = new Set<number>();
    account.manners = {
      before: (heard) => {
        if (!isPoison(heard)) return undefined;
        if (heard.literals.length === 1) {
          refused++;
          waitedBefore.add(waits.length);
        }
        return words;
      },
    };
    const job = intoAccount(bench, account, mailWith(40, 4));
    const { summary, failure } = await once(job, { patience });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 39, failed: 1 } });
    expect(refused).toBe(3);
    expect(waitedBefore.size, "passes in which it was tried").toBe(3);
    expect(sum(waits)).toBeLessThan(20_000);
    // Where nothing else is left to be tried, the word of the run before is enough.
    const again = await once(job, { patience });
    expect(again.failure).toBeUndefined();
    expect(again.summary).toMatchObject({ outcome: "partial", balance: { failed: 1 } });
    expect(refused).toBe(4);
    account.manners = {};
    await carry(job);
  });

  it("by a source fails alone, after three tries", async () => {
    count("scripted cases");
    await using account = await startAccount();
    for (const text of mailWith(10, 4)) account.add("INBOX", text);
    for (const text of mailWith(3)) account.add("Other", text);
    let isCut = false;
    account.manners = {
      rows(rows, text) {
        const at = text.includes("BODY.PEEK[]") ? rows.findIndex((row) => row.includes("POISON")) : -1;
        isCut = at >= 0;
        return isCut ? rows.slice(0, at) : rows;
      },
      after() {
        if (!isCut) return undefined;
        isCut = false;
        return words;
      },
    };
    const job = intoMaildir(bench, account);
    const { patience, waits } = impatient(attempts);
    const { summary, failure } = await once(job, { patience });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 12, failed: 1 } });
    expect(sum(waits)).toBeLessThan(20_000);
    account.manners = {};
    await carry(job);
  });

  it("and so is every other: the account is waited for, and nothing is set aside", async () => {
    count("scripted cases");
    await using account = await startAccount();
    let refused = 0;
    account.manners = {
      before({ text, literals }) {
        if (!text.startsWith("APPEND") || literals.length === 0) return undefined;
        refused++;
        return words;
      },
    };
    const job = intoAccount(bench, account, mailWith(100));
    const { patience, waits } = impatient(attempts);
    const { failure, events } = await once(job, { patience });
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(waits).toHaveLength(attempts - 1);
    expect(ofType(events, "message-settled")).toEqual([]);
    expect(setAside(job)).toEqual([]);
    // A group, ten of it, and what was on its way.
    expect(refused).toBeLessThan(attempts * 40);
    account.manners = {};
    await carry(job);
  });

  it("and so is every other from a large group on: ten of it are tried", async () => {
    count("scripted cases");
    await using account = await startAccount();
    let group: ReadonlySet<string> | undefined;
    let tried = 0;
    account.manners = {
      before({ text, literals }) {
        const [first, ...more] = literals.map((octets) => octets.toString("latin1"));
        if (!text.startsWith("APPEND") || first === undefined) return undefined;
        if (group === undefined) {
          if (literals.length < 16) return undefined;
          group = new Set([first, ...more]);
        } else if (group.has(first)) tried++;
        return words;
      },
    };
    const job = intoAccount(bench, account, mailWith(2000));
    const { failure } = await once(job, { patience: impatient(1).patience });
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(tried).toBe(10);
  });
});

it("a copy that is stored at the last try, by a target that hangs up then too, is found and not sent again", async () => {
  count("scripted cases");
  await using account = await startAccount({ capabilities: ["IMAP4rev1", "UIDPLUS"] });
  let sent = 0;
  account.manners = {
    capabilities: ["IMAP4rev1", "UIDPLUS"],
    before(heard, talk) {
      if (!isPoison(heard)) return undefined;
      if (++sent === 3) account.add("INBOX", heard.literals.at(-1)?.toString("latin1") ?? "");
      talk.end();
      return "done";
    },
  };
  const job = intoAccount(bench, account, mailWith(12, 4));
  const { summary } = await once(job, impatient(attempts));
  expect(sent).toBe(3);
  expect(summary).toMatchObject({ outcome: "complete", balance: { failed: 0 } });
  await carry(job);
});

it.each([0, 1, 2])(
  "twins with dates of their own: each copy keeps its date when the target hangs up behind copy %i",
  async (at) => {
    count("scripted cases");
    const capabilities = ["IMAP4rev1", "UIDPLUS"];
    await using account = await startAccount({ capabilities });
    let sent = 0;
    account.manners = {
      capabilities,
      before({ text, literals }, talk) {
        if (!text.startsWith("APPEND") || sent++ !== at) return undefined;
        account.add("INBOX", literals.at(-1)?.toString("latin1") ?? "", {
          date: /"([ \d]\d-[^"]*)"/.exec(text)?.[1] ?? "none",
        });
        talk.end();
        return "done";
      },
    };
    const [twin = ""] = mailWith(1);
    await carry(intoAccount(bench, account, [twin, twin, twin]));
    expect(sent).toBeGreaterThan(at);
    const there = account.mailboxes.get("INBOX")?.messages ?? [];
    const dates = there.map(({ date }) => Date.parse(date.replace(/^ /, "")) / 1000).sort();
    // As `intoAccount` makes them.
    expect(dates).toEqual([1_500_000_000, 1_500_000_001, 1_500_000_002]);
  },
);

it("several of them in several folders, over one connection: all else arrives", async () => {
  count("scripted cases");
  await using from = await startAccount();
  await using to = await startAccount();
  for (let folder = 0; folder < 6; folder++)
    for (const text of mailWith(15, ...(folder < 3 ? [2, 3, 14] : []))) from.add(`F${folder}`, text);
  const before: Manners["before"] = (heard, talk) => {
    if (!isPoison(heard)) return undefined;
    talk.end();
    return "done";
  };
  to.manners = { before };
  const held = await from.keys();
  const job: Job = {
    ...intoAccount(bench, to),
    source: () => openImapSource(from.server(), signal),
    wanted: async () => held,
  };
  const { patience } = impatient(attempts);
  const { summary, failure } = await once(job, { patience });
  expect(failure).toBeUndefined();
  expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { failed: 9 } });
  expect([...(await to.keys()).values()].flat()).toHaveLength(6 * 15 - 9);
  to.manners = {};
  await carry(job);
});

it.each([1, 4])("a folder that cannot be opened stops no other one (%d at once)", async (sessions) => {
  count("scripted cases");
  await using account = await startAccount();
  for (const name of ["A", "INBOX", "Z"]) for (const text of mailWith(name === "A" ? 9 : 3)) account.add(name, text);
  account.manners = {
    before({ text }, talk) {
      if (!/^EXAMINE "?A"?$/.test(text)) return undefined;
      talk.end();
      return "done";
    },
  };
  const job = intoMaildir(bench, account);
  const source = async () => ({ ...(await openImapSource(account.server(), signal)), limits: { sessions } });
  const { patience } = impatient(attempts);
  const { summary, failure } = await once({ ...job, source }, { patience });
  expect(failure).toBeUndefined();
  expect(summary).toMatchObject({ outcome: "partial", closes: false, balance: { copied: 6 } });
  expect(summary?.folders.find(({ folder }) => folder[0] === "A")?.error).toContain("failed");
  account.manners = {};
  await carry(job);
});

it("an account in which no folder can be opened is given up after one more of them", async () => {
  count("scripted cases");
  await using account = await startAccount();
  for (let n = 0; n < 8; n++) account.add(`F${n}`, mailWith(1)[0] ?? "");
  let tried = 0;
  account.manners = {
    before({ text }, talk) {
      if (!text.startsWith("EXAMINE")) return undefined;
      tried++;
      talk.end();
      return "done";
    },
  };
  const job = intoMaildir(bench, account);
  const source = async () => ({ ...(await openImapSource(account.server(), signal)), limits: { sessions: 1 } });
  const { patience, waits } = impatient(attempts);
  const { failure } = await once({ ...job, source }, { patience });
  expect(exitCodeOf(failure)).toBe(EXIT.temporary);
  expect(waits).toHaveLength(attempts - 1);
  expect(tried).toBeLessThanOrEqual(2 * attempts + 2);
});
