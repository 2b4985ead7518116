// Servers that change what they are given: each such copy is told, and none is made a second time, whatever is lost or cut.

import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ledgerOfPair } from "../../src/migrate/pair.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import { verify } from "../../src/migrate/verify.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { ALTERATIONS, type Alteration, altering } from "./altering.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, intoAccount, type Job, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const message = (id: string, header = "", body = `body ${id}`): string =>
  `From: a@b\r\nTo: c@d\r\nSubject: ${id}\r\nDate: Mon, 02 Jan 2012 10:00:00 +0000\r\nMessage-ID: <${id}@x>\r\n${header}\r\n${body}\r\n`;

/** Ordinary ones, 8-bit headers, lone CRs, both, and without a Message-ID. */
const MAIL: readonly string[] = [
  message("1"),
  message("2", "X-Name: Gr\xfc\xdfe\r\n"),
  message("3", "", "a\rb\r\rc"),
  message("4"),
  message("5", "X-Name: \xe4\xf6\xfc\r\nX-Other: none\r\n", "d\re"),
  message("6", "X-Name: Gr\xfc\xdfe\r\n").replace(/Message-ID.*\r\n/, ""),
  message("7", "", "f\rg").replace(/Message-ID.*\r\n/, ""),
  message("2", "X-Name: Gr\xfc\xdfe\r\n"),
];

const NAMED = MAIL.filter((text) => text.includes("Message-ID")).length;

const BOTH = message("8", "X-Name: \xe4\xf6\xfc\r\n", "h\ri");

function inbox(account: ScriptedAccount) {
  return account.mailboxes.get("INBOX")?.messages ?? [];
}

/** How many of these the server changes, beyond line ends. */
function changed(how: Alteration, mail = MAIL): number {
  return mail.filter((text) => !ALTERATIONS[how](Buffer.from(text, "latin1")).equals(Buffer.from(text, "latin1")))
    .length;
}

async function expectOnce(account: ScriptedAccount, job: Job, how: Alteration, options: Partial<RunOptions> = {}) {
  const { summary, failure, events } = await once(job, options);
  expect(failure).toBeUndefined();
  for (const event of events)
    if (event.type === "message-settled" && event.as === "altered") {
      expect(existsSync(event.quarantine ?? ""), "its original is set aside").toBe(true);
      const subject = /^Subject: (\d)/m.exec(readFileSync(event.quarantine ?? "", "latin1"))?.[1];
      const date = new Date("2012-01-02T10:00:00Z");
      expect(event, "a person knows it by its headers").toMatchObject({ subject, from: "a@b", date });
    }
  expect(summary).toMatchObject({ outcome: "complete", closes: true });
  expect(inbox(account)).toHaveLength(MAIL.length);
  return { summary, altered: changed(how) };
}

/** What a comparison says of the account. */
async function compared(account: ScriptedAccount, job: Job, knows: "the ledger" | "nothing") {
  await using source = await job.source();
  await using target = await openImapSource(account.server(), signal);
  await using sink = await job.sink();
  await using ledger = ledgerOfPair(job.state, { source: source.identity, sink: sink.identity });
  const past = knows === "nothing" ? undefined : { told: ledger.told, recall: async () => undefined };
  const nothing = (): void => undefined;
  return await verify(source, target, undefined, { bothWays: true }, signal, nothing, nothing, undefined, past);
}

const WITHOUT: Manners = { capabilities: ["IMAP4rev1", "LITERAL+"], uidplus: false };

describe.each(Object.keys(ALTERATIONS) as Alteration[])("a server that does %s", (how) => {
  describe.each<readonly [string, Manners]>([
    ["with UIDPLUS", altering(how)],
    ["without", { ...WITHOUT, ...altering(how) }],
  ])("%s", (_, manners) => {
    it("every altered copy is told, and none is made a second time: in no further run, with --recheck, or without the state", async () => {
      await using account = await startAccount(manners);
      const job = intoAccount(bench, account, MAIL);
      const first = await expectOnce(account, job, how);
      expect(first.summary?.balance).toMatchObject({ altered: first.altered, copied: MAIL.length - first.altered });
      for (const knows of ["the ledger", "nothing"] as const) {
        const { matched, altered, missing, extra } = await compared(account, job, knows);
        // Of another Message-ID, nothing but the ledger says whose copy it is: but for those that had none.
        const unknown = knows === "nothing" && how === "renamed" ? NAMED : 0;
        expect({ matched, altered, missing, extra }, knows).toEqual({
          matched: MAIL.length - first.altered,
          altered: first.altered - unknown,
          missing: unknown,
          extra: unknown,
        });
      }
      const second = await expectOnce(account, job, how);
      expect(second.summary?.balance["already-copied"]).toBe(MAIL.length);
      for (const [what, further, options] of [
        ["recheck", job, { recheck: true }],
        ["no state", { ...job, state: bench.place("state") }, {}],
      ] as const) {
        const { summary, altered } = await expectOnce(account, further, how, options);
        expect(summary?.balance, what).toMatchObject({ altered, adopted: MAIL.length - altered, copied: 0 });
      }
    });

    it.each([1, 2, 3, 5, 8])(
      "a wire that is cut over APPEND %i, which was stored, makes no second copy",
      async (at) => {
        let appends = 0;
        await using account = await startAccount({
          ...manners,
          after({ text }, talk) {
            if (!text.startsWith("APPEND") || ++appends !== at) return undefined;
            talk.end();
            return "done";
          },
        });
        await expectOnce(account, intoAccount(bench, account, MAIL), how);
      },
    );

    it("one message alone: what is sure to be the server's work, or to have been sent, is found again", async () => {
      for (const fault of ["the state is lost", "the wire is cut", "the run dies"]) {
        const loses = fault === "the state is lost";
        let isDead = false;
        let isCut = false;
        await using account = await startAccount({
          ...manners,
          before: () => (isDead ? "NO not now" : undefined),
          after({ text }, talk) {
            if (!text.startsWith("APPEND") || loses || isCut) return undefined;
            isCut = true;
            isDead = fault === "the run dies";
            talk.end();
            return "done";
          },
        });
        const job = intoAccount(bench, account, [BOTH]);
        await once(job);
        account.manners = manners;
        const again = loses ? { ...job, state: bench.place("state") } : job;
        const { summary } = await once(again);
        expect(summary).toMatchObject({ outcome: "complete", closes: true });
        // A list does that as well.
        const isDoubted = loses && ["footer", "rewritten", "renamed"].includes(how);
        expect(inbox(account), fault).toHaveLength(isDoubted ? 2 : 1);
      }
    });

    it("what was stored when a run died is found by the next one", async () => {
      let appends = 0;
      await using account = await startAccount({
        ...manners,
        before: () => (appends >= 3 ? "NO not now" : undefined),
        after({ text }, talk) {
          if (!text.startsWith("APPEND") || ++appends !== 3) return undefined;
          talk.end();
          return "done";
        },
      });
      const job = intoAccount(bench, account, MAIL);
      await once(job);
      account.manners = manners;
      await expectOnce(account, job, how);
    });
  });
});

describe("mail that was there before, of another Message-ID", () => {
  /** The nth one's, as the source has it. */
  const dateOf = (n: number): string => `14-Jul-2017 02:40:0${n} +0000`;
  const received = (id: string, by: string): string =>
    `Received: by ${by}\r\n${message("1").replace("<1@x>", `<${id}@x>`)}`;

  it.each([
    ["that differs in another field too is another mail", "elsewhere", 2],
    ["that differs in nothing else is taken once it is seen twice", "here", 0],
  ])("%s", async (_, by, copies) => {
    await using account = await startAccount();
    for (const [n, id] of ["a", "b"].entries()) account.add("INBOX", received(id, by), { date: dateOf(n) });
    const job = intoAccount(bench, account, [received("1", "here"), received("2", "here")]);
    const { summary } = await once(job);
    expect(summary).toMatchObject({
      outcome: "complete",
      closes: true,
      balance: { copied: copies, altered: 2 - copies },
    });
    expect(inbox(account)).toHaveLength(2 + copies);
  });

  it("is another mail where it is the only one of its kind", async () => {
    await using account = await startAccount();
    account.add("INBOX", received("a", "here"), { date: dateOf(0) });
    const { summary } = await once(intoAccount(bench, account, [received("1", "here")]));
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 1 } });
    expect(inbox(account)).toHaveLength(2);
  });
});
