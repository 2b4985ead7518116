// Folders that are renamed, deleted or made anew under way: nothing is lost, nothing is there twice, and no run says that it is
// complete when it is not.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import type { Source } from "../../src/sources/source.ts";
import { count } from "../kit/counts.ts";
import { mail, memorySource } from "../kit/memory.ts";
import { expectSame, isPartOf, letter, only, shown } from "./contents.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoAccount, intoMaildir, type Job, MAIL, once, openBench } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const WORK = "Work/2024";

/** What a run that ends like this says of itself: complete only where it closes, and nothing failed. */
function expectHonest(summary: RunSummary | undefined): void {
  expect(summary).toBeDefined();
  if (summary?.outcome === "complete") {
    expect(summary.closes).toBe(true);
    expect(summary.balance.failed).toBe(0);
  }
}

describe("a source folder that goes while it is read", () => {
  async function filled(): Promise<ScriptedAccount> {
    const account = await startAccount();
    for (const text of MAIL) account.add(WORK, text);
    account.add("INBOX", letter("inbox"));
    return account;
  }

  const rename = (account: ScriptedAccount): void => {
    const work = account.mailboxes.get(WORK);
    account.mailboxes.delete(WORK);
    if (work !== undefined) account.mailboxes.set("Work/Old", work);
  };
  const remove = (account: ScriptedAccount): void => void account.mailboxes.delete(WORK);

  /** The first FETCH of the folder gives two rows, then this happens, and the answer is these words ("": the connection ends). */
  function midway(account: ScriptedAccount, act: (account: ScriptedAccount) => void, words: string): Manners {
    let state: "before" | "cutting" | "cut" = "before";
    return {
      rows(rows) {
        if (state !== "before" || rows.length < MAIL.length) return rows;
        state = "cutting";
        return rows.slice(0, 2);
      },
      after(_, talk) {
        if (state !== "cutting") return undefined;
        state = "cut";
        act(account);
        if (words.startsWith("NO") || words.startsWith("OK")) return words;
        talk.send(words);
        talk.end();
        return "done";
      },
    };
  }

  it("renamed before it is opened: the run says so, and the next one carries it under its new name", async () => {
    count("scripted cases");
    await using account = await filled();
    let done = false;
    account.manners = {
      before({ text }) {
        if (done || !text.startsWith("EXAMINE") || !text.includes(WORK)) return undefined;
        done = true;
        rename(account);
        return undefined;
      },
    };
    const job = intoMaildir(bench, account);
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "partial", closes: false });
    expect(summary?.folders.find(({ folder }) => shown(folder) === WORK)?.error).toContain("no such mailbox");
    await carry(job);
    expect((await job.arrived()).has("Work/Old")).toBe(true);
  });

  const WAYS: readonly [string, string][] = [
    ["NO [NONEXISTENT]", "NO [NONEXISTENT] it has gone"],
    ["NO without a code", "NO mailbox is not there"],
    ["OK, as if that were all", "OK done"],
    ["BYE", "* BYE the mailbox was deleted\r\n"],
    ["nothing", ""],
  ];
  describe.each([
    ["at once", {}],
    ["after a listing", { maxSize: 1 << 30 }],
  ] satisfies [string, Partial<RunOptions>][])("fetched %s", (_, options) => {
    it.each(WAYS)("renamed in the middle of its bodies, with %s", async (__, words) => {
      count("scripted cases");
      await using account = await filled();
      account.manners = midway(account, rename, words);
      const job = intoMaildir(bench, account);
      const first = await once(job, options);
      expect(first.failure).toBeUndefined();
      expect(first.summary).toMatchObject({ outcome: "partial" });
      const last = await once(job, options);
      expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
      const further = await once(job, options);
      expect(further.summary).toMatchObject({ outcome: "complete", bytes: 0 });
      const [wanted, arrived] = [await job.wanted(), await job.arrived()];
      expectSame(wanted, only(arrived, wanted.keys()));
      // What came under the old name stays there, once.
      expect(isPartOf(arrived.get(WORK) ?? [], wanted.get("Work/Old") ?? [])).toBe(true);
    });

    it.each(WAYS)("deleted in the middle of its bodies, with %s", async (__, words) => {
      count("scripted cases");
      await using account = await filled();
      const before = await account.keys();
      account.manners = midway(account, remove, words);
      const job = intoMaildir(bench, account);
      const first = await once(job, options);
      expect(first.failure).toBeUndefined();
      expect(first.summary).toMatchObject({ outcome: "partial" });
      const last = await once(job, options);
      expect(last.summary).toMatchObject({ outcome: "complete", closes: true, balance: { "already-copied": 1 } });
      const [wanted, arrived] = [await job.wanted(), await job.arrived()];
      expectSame(wanted, only(arrived, wanted.keys()));
      expect(isPartOf(arrived.get(WORK) ?? [], before.get(WORK) ?? [])).toBe(true);
    });
  });

  it.each([
    ["at once", {}, { listed: 3, balance: { copied: 3, vanished: 0 } }],
    ["after a listing", { maxSize: 1 << 30 }, { listed: 7, balance: { copied: 3, vanished: 4 } }],
  ] as const)("emptied by EXPUNGEs in the middle of its bodies, fetched %s", async (_, options, sums) => {
    count("scripted cases");
    await using account = await filled();
    let done = false;
    account.manners = {
      rows(rows, text) {
        if (done || rows.length < MAIL.length || !text.includes("BODY.PEEK[]")) return rows;
        done = true;
        const work = account.mailboxes.get(WORK);
        if (work !== undefined) work.messages = work.messages.slice(0, 2);
        return [...rows.slice(0, 2), Buffer.from("* 3 EXPUNGE\r\n".repeat(MAIL.length - 2))];
      },
    };
    const job = intoMaildir(bench, account);
    const { summary } = await once(job, options);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, ...sums });
    await carry(job, { options });
  });
});

describe("a target folder that goes after some messages were recorded", () => {
  const BOX = "Box/INBOX";
  const INTO: Partial<RunOptions> = { into: ["Box"] };
  const ALONE: Manners = { capabilities: USUAL.filter((name) => name !== "MULTIAPPEND") };

  /** Gives so many, waits until they are settled, lets this happen, and gives the rest. */
  function inTwoParts(source: Source, many: number, settled: Promise<void>, act: () => void): Source {
    return {
      ...source,
      async *read(slice, options) {
        let n = 0;
        for await (const incoming of source.read(slice, options)) {
          if (n++ === many) {
            await settled;
            act();
          }
          yield incoming;
        }
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  /** A run in whose middle, three messages being recorded, this happens. */
  async function broken(account: ScriptedAccount, act: () => void) {
    const texts = MAIL.map((text, n) => mail(String(n + 1), text));
    const inner = memorySource([{ path: ["INBOX"], generation: "1", mail: texts }]);
    let settle = (): void => undefined;
    const settled = new Promise<void>((resolve) => (settle = resolve));
    let many = 0;
    let acted = false;
    const onEvent = (event: MigrationEvent): void => {
      if (event.type === "message-settled" && ++many === 3) settle();
    };
    const actOnce = (): void => {
      if (!acted) act();
      acted = true;
    };
    const base = intoAccount(bench, account);
    const job: Job = {
      ...base,
      source: async () => (acted ? inner : inTwoParts(inner, 3, settled, actOnce)),
    };
    const first = await once(job, INTO, onEvent);
    expect(acted).toBe(true);
    return { job, first };
  }

  const remake = (account: ScriptedAccount, uidValidity: number): void => {
    account.mailboxes.set(BOX, { uidValidity, uidNext: 1, messages: [] });
  };

  it.each<readonly [string, string | undefined, (account: ScriptedAccount) => void]>([
    ["deleted, and APPEND says TRYCREATE", undefined, (account) => void account.mailboxes.delete(BOX)],
    [
      "deleted, and APPEND says NONEXISTENT",
      "NO [NONEXISTENT] no such mailbox",
      (account) => void account.mailboxes.delete(BOX),
    ],
    ["deleted, and APPEND gives no code", "NO no such mailbox", (account) => void account.mailboxes.delete(BOX)],
    [
      "renamed",
      undefined,
      (account) => {
        const box = account.mailboxes.get(BOX);
        account.mailboxes.delete(BOX);
        if (box !== undefined) account.mailboxes.set("Box/Old", box);
      },
    ],
    ["deleted and made anew by somebody else", undefined, (account) => remake(account, 70)],
    [
      "renamed, and another one made in its place",
      undefined,
      (account) => {
        const box = account.mailboxes.get(BOX);
        if (box !== undefined) account.mailboxes.set("Box/Old", box);
        remake(account, 70);
      },
    ],
  ])("%s", async (_, words, act) => {
    count("scripted cases");
    let generation = 10;
    await using account = await startAccount({
      ...ALONE,
      before: ({ text }) => (text.startsWith("APPEND") && !account.mailboxes.has(BOX) ? words : undefined),
      after({ text }) {
        const made = /^CREATE /.test(text) ? account.mailboxes.get(BOX) : undefined;
        if (made !== undefined && made.uidNext === 1) made.uidValidity = generation++;
        return undefined;
      },
    });
    const { job, first } = await broken(account, () => act(account));
    expectHonest(first.summary);
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    if (first.summary?.outcome === "complete") expectSame(wanted, only(await account.keys(), [BOX]));
    else expect(first.summary).toMatchObject({ outcome: "partial", closes: false });
    const last = await once(job, INTO);
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
    const further = await once(job, INTO);
    expect(further.summary).toMatchObject({
      outcome: "complete",
      bytes: 0,
      balance: { "already-copied": MAIL.length },
    });
    expectSame(wanted, only(await account.keys(), [BOX]));
  });

  it.each([
    ["another number", 70],
    ["the same number", 5],
  ])("deleted after a whole run, made again under %s: filled whole again", async (_, uidValidity) => {
    count("scripted cases");
    await using account = await startAccount({
      after({ text }) {
        const made = /^CREATE /.test(text) ? account.mailboxes.get(BOX) : undefined;
        if (made !== undefined && made.uidNext === 1) made.uidValidity = heldBefore ? uidValidity : 5;
        return undefined;
      },
    });
    let heldBefore = false;
    const job = intoAccount(bench, account);
    await once(job, INTO);
    heldBefore = true;
    account.mailboxes.delete(BOX);
    const { summary } = await once(job, INTO);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: MAIL.length } });
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    expectSame(wanted, await account.keys());
  });

  it("deleted between the list and its opening: what was recorded is not said to be there", async () => {
    count("scripted cases");
    await using account = await startAccount();
    const job = intoAccount(bench, account);
    await once(job, INTO);
    let done = false;
    account.manners = {
      before({ text }) {
        if (done || !text.startsWith("SELECT") || !text.includes(BOX)) return undefined;
        done = true;
        account.mailboxes.delete(BOX);
        return undefined;
      },
    };
    const { summary } = await once(job, INTO);
    expect(done).toBe(true);
    expect(summary).toMatchObject({ outcome: "partial", closes: false });
    const last = await once(job, INTO);
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    expectSame(wanted, await account.keys());
  });
});

it("an empty target folder in which nothing ever was is not listed before it is filled", async () => {
  await using account = await startAccount();
  await once(intoAccount(bench, account));
  expect(account.heard.filter((line) => /UID FETCH .*MESSAGE-ID/.test(line))).toEqual([]);
  // Once with the login, to know what it keeps, and once as it is opened.
  expect(account.heard.filter((line) => line.includes("SELECT"))).toHaveLength(2);
  expect(account.mailboxes.get("INBOX")?.messages).toHaveLength(MAIL.length);
});
