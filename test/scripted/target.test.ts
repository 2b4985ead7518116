// Targets that keep less than they should, name nothing, rename, renumber or lose folders: N twins stay N, and each loss is told.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Loss } from "../../src/mail/fidelity.ts";
import { mail, memorySource } from "../kit/memory.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoAccount, type Job, MAIL, once, openBench, type Ran } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const NAMELESS = { capabilities: ["IMAP4rev1"], uidplus: false };

function lossesOf({ summary }: Ran): readonly { readonly loss: Loss; readonly messages: number }[] {
  return summary?.losses ?? [];
}

function inbox(account: ScriptedAccount) {
  return account.mailboxes.get("INBOX")?.messages ?? [];
}

describe.each<readonly [string, Manners]>([
  ["with all that is usual", {}],
  ["without UIDPLUS and MULTIAPPEND", NAMELESS],
  ["without LITERAL+", { capabilities: ["IMAP4rev1", "UIDPLUS", "MULTIAPPEND"] }],
  ["with LITERAL-", { capabilities: ["IMAP4rev1", "UIDPLUS", "LITERAL-"] }],
  ["without NAMESPACE", { capabilities: ["IMAP4rev1", "UIDPLUS"] }],
  ["with a prefix", { namespace: '(("INBOX." ".")) NIL NIL', delimiter: "." }],
  ["with NIL for a namespace", { namespace: "NIL NIL NIL" }],
  ["with no hierarchy", { namespace: '(("" NIL)) NIL NIL', delimiter: null }],
  ["that promises UIDPLUS and names nothing", { capabilities: USUAL, uidplus: false }],
])("a target %s", (_, manners) => {
  it("holds N twins for N", async () => {
    await using account = await startAccount(manners);
    await carry(intoAccount(bench, account));
    expect(inbox(account)).toHaveLength(MAIL.length);
  });

  it("is not filled twice when the ledger is lost", async () => {
    await using account = await startAccount(manners);
    const job = intoAccount(bench, account);
    await carry(job);
    const { summary } = await carry({ ...job, state: bench.place("state") });
    expect(summary?.balance).toMatchObject({ copied: 0, adopted: MAIL.length });
  });

  it("keeps N twins when another program had put some of them there", async () => {
    await using account = await startAccount(manners);
    for (const text of MAIL.slice(2, 5)) account.add("INBOX", text);
    await carry(intoAccount(bench, account));
  });

  it("is found again when it is numbered anew between two runs, and within one", async () => {
    await using account = await startAccount(manners);
    const job = intoAccount(bench, account);
    await carry(job);
    renumber(account);
    await carry(job);
    let appends = 0;
    account.mailboxes.set("INBOX", { uidValidity: 90, uidNext: 1, messages: [] });
    account.manners = {
      ...manners,
      after({ text }, talk) {
        if (!text.startsWith("APPEND") || ++appends > 1) return undefined;
        renumber(account);
        talk.end();
        return "done";
      },
    };
    await carry({ ...job, state: bench.place("state") });
  });

  it("is filled again when it was made anew and empty", async () => {
    await using account = await startAccount(manners);
    const job = intoAccount(bench, account);
    await carry(job);
    account.mailboxes.set("INBOX", { uidValidity: 90, uidNext: 1, messages: [] });
    await carry(job);
  });

  it("may lose the folder while it is written to: it is made again, and filled whole", async () => {
    await using account = await startAccount(manners);
    let deleted = false;
    const job = { ...intoAccount(bench, account) };
    account.manners = {
      ...manners,
      before({ text }) {
        if (!text.startsWith("APPEND") || deleted) return undefined;
        deleted = true;
        for (const name of account.mailboxes.keys()) if (name !== "INBOX") account.mailboxes.delete(name);
        return undefined;
      },
    };
    const first = await once(job, { into: ["Box"] });
    const last = first.summary?.outcome === "complete" ? first : await once(job, { into: ["Box"] });
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
    const wanted = [...(await job.wanted()).values()].flat();
    expect([...(await job.arrived()).values()].flat().sort()).toEqual(wanted.sort());
  });

  it("says of each message that its date was replaced", async () => {
    await using account = await startAccount({
      ...manners,
      store: (bytes) => ({ bytes, date: "24-Nov-2026 12:00:00 +0000" }),
    });
    const ran = await carry(intoAccount(bench, account));
    expect(lossesOf(ran)).toEqual([{ loss: { kind: "received" }, messages: MAIL.length }]);
  });

  it("stores the message without the flags that it refuses", async () => {
    await using account = await startAccount({
      ...manners,
      before: ({ text }) => (/^APPEND.*\\Seen/.test(text) ? "NO [CANNOT] no such flag" : undefined),
    });
    await carry(intoAccount(bench, account));
    expect(inbox(account)).toHaveLength(MAIL.length);
  });

  it("takes all but the message that is too large for it, which is named", async () => {
    const capabilities = [...(manners.capabilities ?? USUAL), "APPENDLIMIT=150"];
    await using account = await startAccount({ ...manners, capabilities });
    const mail = [...MAIL, `Message-ID: <big@x>\r\n\r\n${"b".repeat(200)}\r\n`];
    const { summary } = await once(intoAccount(bench, account, mail));
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: MAIL.length, failed: 1 } });
    expect(inbox(account)).toHaveLength(MAIL.length);
  });
});

/** The same messages, with other numbers. */
function renumber(account: ScriptedAccount): void {
  for (const mailbox of account.mailboxes.values()) {
    mailbox.uidValidity += 1000;
    mailbox.messages = mailbox.messages.map((message, n) => ({ ...message, uid: 100 + n }));
    mailbox.uidNext = 100 + mailbox.messages.length;
  }
}

describe("what others do meanwhile", () => {
  const meanwhile = async (hook: (account: ScriptedAccount, n: number) => void): Promise<[ScriptedAccount, Job]> => {
    const account = await startAccount();
    const job = intoAccount(bench, account);
    let n = 0;
    account.manners = {
      before({ text }, talk) {
        if (text.startsWith("APPEND") || text.startsWith("UID FETCH")) {
          hook(account, n++);
          talk.send("* 3 EXISTS\r\n* 1 RECENT\r\n* 2 FETCH (FLAGS (\\Answered))\r\n* 1 EXPUNGE\r\n");
        }
        return undefined;
      },
    };
    return [account, job];
  };

  it("mail that is delivered is nobody's of ours", async () => {
    const [account, job] = await meanwhile((to, n) => to.add("INBOX", `Message-ID: <new${n}@x>\r\n\r\nhello ${n}\r\n`));
    await using _ = account;
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: MAIL.length } });
    const wanted = (await job.wanted()).get("INBOX") ?? [];
    const held = (await job.arrived()).get("INBOX") ?? [];
    for (const key of new Set(wanted))
      expect(held.filter((each) => each === key)).toHaveLength(wanted.filter((each) => each === key).length);
    const again = await once(job);
    expect(again.summary?.balance).toMatchObject({ "already-copied": MAIL.length, copied: 0 });
  });

  it("news in the middle of everything confuses nothing", async () => {
    const [account, job] = await meanwhile(() => undefined);
    await using _ = account;
    await carry(job);
  });
});

it("names that do not round-trip are other folders' names for nobody", async () => {
  await using account = await startAccount();
  // No valid encoding, two spellings of one name, and one that looks like a path.
  for (const name of ["A&B", "&AOk-", "&AGUDAQ-", "a//b"])
    account.add(name, `Message-ID: <${name.length}@x>\r\n\r\n${name}\r\n`);
  await using target = await startAccount();
  const job = intoAccount(bench, target);
  const { openImapSource } = await import("../../src/sources/imap.ts");
  const { signal } = await import("./jobs.ts");
  const { summary } = await once({ ...job, source: () => openImapSource(account.server(), signal) });
  expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 4 } });
  const wanted = [...(await account.keys()).values()].flat().sort();
  expect([...(await target.keys()).values()].flat().sort()).toEqual(wanted);
  expect([...(await target.keys()).values()].every((keys) => keys.length === 1)).toBe(true);
});

it("two paths that would have one name there get a folder each", async () => {
  await using target = await startAccount();
  const folders = [["a/b"], ["a_b"], ["a-b"]].map((path, n) => ({
    path,
    generation: "1",
    mail: [mail("1", `Message-ID: <${n}@x>\r\n\r\n${n}\r\n`)],
  }));
  const { summary } = await once({ ...intoAccount(bench, target), source: async () => memorySource(folders) });
  expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 3 } });
  const held = [...(await target.keys()).values()].filter((keys) => keys.length > 0);
  expect(held.map(({ length }) => length)).toEqual([1, 1, 1]);
});
