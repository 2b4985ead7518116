// A server's word is no copy: what it says it stored counts when it was seen in the folder, and is failed where it is not.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OVERWRITING } from "./altering.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoAccount, MAIL, once, openBench } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const NAMELESS: Manners = { capabilities: ["IMAP4rev1", "LITERAL+"], uidplus: false };
const ALL = MAIL.length;

function inbox(account: ScriptedAccount) {
  return account.mailboxes.get("INBOX")?.messages ?? [];
}

/** Says OK to each APPEND, and keeps no message of subject 1, of which there are three. */
function dropping(manners: Manners): Manners {
  return {
    ...manners,
    after({ text }, _, account) {
      const mailbox = account.mailboxes.get("INBOX");
      if (text.startsWith("APPEND") && mailbox !== undefined)
        mailbox.messages = mailbox.messages.filter(({ bytes }) => !bytes.includes("Subject: 1\r\n"));
      return undefined;
    },
  };
}

it.each([1, 3])("what overwrites in the folder that is open gets all its mail, over %i connections", async (n) => {
  await using account = await startAccount(OVERWRITING);
  const job = intoAccount({ ...bench }, { ...account, server: () => ({ ...account.server(), connections: n }) });
  const { summary } = await carry(job);
  expect(summary?.balance).toMatchObject({ copied: ALL, failed: 0 });
  expect(account.heard.filter((line) => line.includes("APPEND"))).toHaveLength(ALL);
});

describe.each<readonly [string, Manners]>([
  ["without UIDPLUS", NAMELESS],
  ["that promises UIDPLUS and names nothing", { capabilities: USUAL, uidplus: false }],
  ["with UIDPLUS", {}],
])("a target %s", (_, manners) => {
  it("that says OK and keeps nothing of some: they failed, are tried again, and are copied once it is mended", async () => {
    await using account = await startAccount(dropping(manners));
    const job = intoAccount(bench, account);
    for (const run of ["first", "second"]) {
      const { summary } = await once(job);
      expect(summary, run).toMatchObject({ outcome: "partial", closes: true, balance: { failed: 3 } });
      expect(summary?.balance[run === "first" ? "copied" : "already-copied"], run).toBe(3);
    }
    // Once each a run, however often it was looked for.
    const sent = account.heard.filter((line) => line.includes("APPEND")).join("\n");
    expect(sent.split("\n").length).toBeLessThanOrEqual(ALL + 3);
    account.manners = manners;
    const { summary } = await carry(job);
    expect(summary?.balance).toMatchObject({ copied: 3, "already-copied": 3 });
  });
});

it("Gmail may answer for a message that it has already, and keeps it once", async () => {
  await using account = await startAccount(dropping({ capabilities: [...USUAL, "X-GM-EXT-1"] }));
  account.add("INBOX", MAIL[0] ?? "");
  const keep = inbox(account)[0];
  account.manners = {
    ...account.manners,
    after({ text }, talk, of) {
      const dropped = dropping({}).after?.({ tag: "", text, literals: [] }, talk, of);
      const mailbox = of.mailboxes.get("INBOX");
      if (mailbox !== undefined && keep !== undefined && !mailbox.messages.includes(keep))
        mailbox.messages.unshift(keep);
      return dropped;
    },
  };
  const job = intoAccount(bench, account);
  const first = await once(job, { prove: true });
  expect(first.summary).toMatchObject({ outcome: "complete", closes: true, balance: { failed: 0 } });
  const texts = first.events.map((event) => (event.type === "notice" ? event.text : ""));
  expect(texts.join("\n")).toContain("2 messages in INBOX could not be read back");
  expect((await once(job)).summary?.balance["already-copied"]).toBe(ALL);
});

it("without UIDPLUS --prove reads back what the listing names", async () => {
  await using account = await startAccount(NAMELESS);
  const job = intoAccount(bench, account);
  const { summary } = await once(job, { prove: true });
  expect(summary).toMatchObject({ outcome: "complete", balance: { copied: ALL } });
  // The three twins are read one by one.
  expect(account.heard.filter((line) => line.includes("BODY.PEEK[]")).length).toBeGreaterThanOrEqual(4);
});

it("other bytes of the same length are no copy, without UIDPLUS too", async () => {
  const spoilt = (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replace(/z\r\n$/, "y\r\n"), "latin1");
  await using account = await startAccount({
    ...NAMELESS,
    store: (bytes, date) => ({ bytes: bytes.includes("Subject: 4") ? spoilt(bytes) : bytes, date }),
  });
  const { summary } = await once(intoAccount(bench, account));
  expect(summary?.balance.copied).toBe(ALL - 1);
});

it("a folder that cannot be listed afterwards shows no copies: nothing in it counts as copied, in no run", async () => {
  await using account = await startAccount({
    ...NAMELESS,
    before: ({ text }) => (text.startsWith("UID FETCH") ? "NO not now" : undefined),
  });
  const job = intoAccount(bench, account);
  for (const run of ["first", "second"]) {
    const { summary } = await once(job);
    expect(summary?.balance.failed, run).toBe(ALL);
    expect(summary?.outcome, run).not.toBe("complete");
  }
  account.manners = NAMELESS;
  const { summary } = await once(job);
  expect(summary).toMatchObject({ outcome: "complete", closes: true });
  expect(inbox(account)).toHaveLength(ALL);
});
