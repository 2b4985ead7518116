// Servers with CONDSTORE, and folders without mod-sequences (RFC 7162 3.1.2.2): a folder is passed over only where its flags are told.

import { afterAll, beforeAll, expect, it } from "vitest";
import { count } from "../kit/counts.ts";
import { type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, intoMaildir, MAIL, once, openBench } from "./jobs.ts";
import { inbox, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

/** An account of which STATUS tells this item of its inbox, and one folder whose mod-sequence is known. */
async function accountTelling(item: () => string): Promise<ScriptedAccount> {
  const account = await startAccount({
    capabilities: [...USUAL, "CONDSTORE"],
    before({ text }, talk) {
      if (!text.startsWith("STATUS")) return undefined;
      const isInbox = /"INBOX"/.test(text);
      const messages = account.mailboxes.get(isInbox ? "INBOX" : "Work")?.messages.length;
      const told = isInbox ? item() : " HIGHESTMODSEQ 44";
      talk.send(
        `* STATUS ${isInbox ? "INBOX" : "Work"} (MESSAGES ${messages} UIDVALIDITY 5 UIDNEXT ${(messages ?? 0) + 1}${told})\r\n`,
      );
      return "OK told";
    },
  });
  for (const text of MAIL) account.add("INBOX", text);
  account.add("Work", "Message-ID: <w@example.org>\r\n\r\nwork\r\n");
  return account;
}

it.each([
  ["0", () => " HIGHESTMODSEQ 0"],
  ["00", () => " HIGHESTMODSEQ 00"],
  ["1, as servers say that count none", () => " HIGHESTMODSEQ 1"],
  ["left out", () => ""],
  ["NIL", () => " HIGHESTMODSEQ NIL"],
])("HIGHESTMODSEQ %s: the folder is listed every time, and later flags arrive", async (_, item) => {
  count("scripted cases");
  await using account = await accountTelling(item);
  const job = intoMaildir(bench, account);
  expect((await once(job)).summary).toMatchObject({ outcome: "complete", closes: true });
  inbox(account)[1]?.flags.add("\\Flagged");
  const second = await once(job);
  expect(second.summary).toMatchObject({ outcome: "complete", traitsUpdated: 1, balance: { copied: 0 } });
  expect(ofType(second.events, "folder-unchanged").map(({ folder }) => folder.path)).toEqual([["Work"]]);
});

it("a mod-sequence that there is lets a folder be passed over, and moves with a flag", async () => {
  count("scripted cases");
  let modseq = 7;
  await using account = await accountTelling(() => ` HIGHESTMODSEQ ${modseq}`);
  const job = intoMaildir(bench, account);
  await once(job);
  const second = await once(job);
  expect(ofType(second.events, "folder-unchanged")).toHaveLength(2);
  inbox(account)[1]?.flags.add("\\Flagged");
  modseq = 10;
  expect((await once(job)).summary).toMatchObject({ outcome: "complete", traitsUpdated: 1 });
});

it("a mod-sequence that stood still while mail came is not believed: later flags arrive, until it moves", async () => {
  count("scripted cases");
  let modseq = 7;
  await using account = await accountTelling(() => ` HIGHESTMODSEQ ${modseq}`);
  const job = intoMaildir(bench, account);
  await once(job);
  account.add("INBOX", "Message-ID: <later@example.org>\r\n\r\nlater\r\n");
  expect((await once(job)).summary?.balance.copied).toBe(1);
  for (const flag of ["\\Flagged", "\\Answered"]) {
    inbox(account)[1]?.flags.add(flag);
    expect((await once(job)).summary).toMatchObject({ outcome: "complete", traitsUpdated: 1 });
  }
  modseq = 8;
  await once(job);
  expect(ofType((await once(job)).events, "folder-unchanged")).toHaveLength(2);
});
