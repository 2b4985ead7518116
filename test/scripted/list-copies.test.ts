// A mail and the copy that a list sent back have one Message-ID and may have one second: neither is taken for the other, altered.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { memorySource, mail as stored } from "../kit/memory.ts";
import { ALTERATIONS, altering } from "./altering.ts";
import { type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, intoAccount, type Job, once, openBench } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const received = { epochSeconds: 1_577_833_200 };
const DATE = " 1-Jan-2020 00:00:00 +0100";
const OWN =
  "From: a@b\r\nTo: c@d\r\nSubject: hi\r\nDate: Mon, 02 Jan 2012 10:00:00 +0000\r\nMessage-ID: <1@x>\r\nX-Name: Gr\xfc\xdfe\r\n\r\nhello, list\r\n";
/** What lists do, from little to much. */
const COPIES = {
  "a footer": `${OWN}-- \r\nthe list\r\n`,
  "a field": OWN.replace("X-Name", "List-Id: <the.list>\r\nX-Name"),
  "field, subject and footer": `${OWN.replace("Subject: hi", "Subject: [list] hi\r\nList-Id: <l>")}__\r\nthe list\r\n`,
};

interface Case {
  readonly job: Job;
  readonly texts: () => string[];
}

/** From a source with these, in this order, all of one second. */
function from(account: ScriptedAccount, texts: readonly string[], faults = {}, ids = ""): Case {
  const mails = texts.map((text, n) => stored(`${ids}${n + 1}`, text, { received }));
  const source = async () => memorySource([{ path: ["INBOX"], generation: "1", mail: mails }], faults);
  return {
    job: { ...intoAccount(bench, account), source },
    texts: () => (account.mailboxes.get("INBOX")?.messages ?? []).map(({ bytes }) => bytes.toString("latin1")).sort(),
  };
}

describe.each(Object.entries(COPIES))("where the list's copy has %s", (_, list) => {
  const orders = [
    ["the mail before the copy", [OWN, list]],
    ["the copy before the mail", [list, OWN]],
  ] as const;

  describe.each(orders)("%s", (_, texts) => {
    it.each([OWN, list])("one of them is there: the other is copied", async (there) => {
      await using account = await startAccount();
      account.add("INBOX", there, { date: DATE });
      const { job, texts: held } = from(account, texts);
      const { summary } = await once(job);
      expect(summary?.balance).toMatchObject({ adopted: 1, copied: 1, altered: 0 });
      expect(held()).toEqual([OWN, list].sort());
    });

    it.each(["mask8", "addheader", "footer"] as const)(
      "one of them is there as the server altered it (%s): the other is copied",
      async (how) => {
        const plain = (text: string): string => text.replace(/^(?:X-UID|Status): .*\r\n/gm, "");
        for (const there of [OWN, list]) {
          await using account = await startAccount(altering(how));
          const alter = (text: string): string => ALTERATIONS[how](Buffer.from(text, "latin1")).toString("latin1");
          account.add("INBOX", alter(there), { date: DATE });
          const { job, texts: held } = from(account, texts);
          const { summary } = await once(job);
          expect(summary).toMatchObject({ outcome: "complete", closes: true });
          // A second copy of one is the worst that may be, where nothing tells that this server alters mail.
          for (const text of [OWN, list]) expect(held().map(plain)).toContain(plain(alter(text)));
          if (how === "mask8") expect(held()).toHaveLength(2);
        }
      },
    );
  });

  it("another program put the copy there: the mail is copied", async () => {
    await using account = await startAccount();
    account.add("INBOX", list, { date: DATE });
    const { job, texts: held } = from(account, [OWN]);
    expect((await once(job)).summary?.balance).toMatchObject({ copied: 1, altered: 0 });
    expect(held()).toEqual([OWN, list].sort());
  });

  it("one of them was stored, altered, when a run died: it is that one's, whichever is read first", async () => {
    for (const how of ["mask8", "footer"] as const)
      for (const sent of [OWN, list]) {
        let isDead = false;
        await using account = await startAccount({
          ...altering(how),
          before: () => (isDead ? "NO not now" : undefined),
          after({ text }, talk) {
            isDead = text.startsWith("APPEND");
            if (isDead) talk.end();
            return isDead ? "done" : undefined;
          },
        });
        const { job } = from(account, [sent]);
        await once(job);
        account.manners = altering(how);
        const { job: both, texts: held } = from(account, [sent === OWN ? list : OWN, sent], {}, "second");
        expect((await once({ ...both, state: job.state })).summary?.balance).toMatchObject({ failed: 0 });
        const alter = (text: string): string => ALTERATIONS[how](Buffer.from(text, "latin1")).toString("latin1");
        expect(held()).toEqual([alter(OWN), alter(list)].sort());
      }
  });

  it("the same where a wire was cut over another message", async () => {
    let appends = 0;
    await using account = await startAccount({
      capabilities: ["IMAP4rev1", "LITERAL+", "UIDPLUS"],
      after({ text }, talk) {
        if (!text.startsWith("APPEND") || ++appends > 1) return undefined;
        talk.end();
        return "done";
      },
    });
    account.add("INBOX", list, { date: DATE });
    const other = OWN.replaceAll("1@x", "2@x");
    const { job, texts: held } = from(account, [other, OWN]);
    expect((await once(job)).summary?.balance).toMatchObject({ altered: 0, failed: 0 });
    expect(held()).toEqual([OWN, list, other].sort());
  });

  it("the copy is left out by size, or cannot be read at first: it keeps what is its own", async () => {
    for (const [options, faults] of [
      [{ maxSize: OWN.length }, {}],
      [{}, { content: new Map([["2", new MailError("protocol", "no", { scope: "message", remedy: "give-up" })]]) }],
    ] as const) {
      // It would take the copy: the server is seen to do so to another message.
      await using account = await startAccount();
      account.add("INBOX", list, { date: DATE });
      const { job } = from(account, [OWN, list], faults);
      await once(job, options);
      const { job: whole, texts: held } = from(account, [OWN, list]);
      await once({ ...whole, state: job.state });
      expect(held()).toEqual([OWN, list].sort());
    }
  });
});

it("what a server did to several messages it may have done to one more", async () => {
  await using account = await startAccount(altering("footer"));
  const many = [1, 2, 3].map((n) => OWN.replace("<1@x>", `<${n}@x>`).replace("hello", `hello ${n}`));
  const { job } = from(account, many);
  await once(job);
  const again = await once({ ...job, state: bench.place("state") });
  expect(again.summary?.balance).toMatchObject({ altered: 3, copied: 0 });
  expect(account.mailboxes.get("INBOX")?.messages).toHaveLength(3);
});
