// Sources that say goodbye anywhere, list oddly, renumber, rename or lose folders while they are read: each message arrives once.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, carry, intoMaildir, MAIL, once, openBench } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

async function filled(manners: Manners = {}): Promise<ScriptedAccount> {
  const account = await startAccount(manners);
  for (const text of MAIL) account.add("INBOX", text);
  account.add("Work/2024", "Message-ID: <w@example.org>\r\n\r\nwork\r\n");
  return account;
}

/** The rows of the first FETCH of this kind end after so many octets, with BYE or without, and the connection with them. */
function cutRows(kind: "listing" | "bodies", octets: number, words: string): { manners: Manners; cut(): boolean } {
  let state: "before" | "cutting" | "cut" = "before";
  return {
    cut: () => state === "cut",
    manners: {
      rows(rows, text) {
        if (state !== "before" || text.includes("BODY.PEEK[]") !== (kind === "bodies")) return rows;
        const all = Buffer.concat([...rows]);
        if (octets >= all.length) return rows;
        state = "cutting";
        return [all.subarray(0, octets), Buffer.from(words)];
      },
      after(_, talk) {
        if (state !== "cutting") return undefined;
        state = "cut";
        talk.end();
        return "done";
      },
    },
  };
}

describe.each(["listing", "bodies"] as const)("a source that ends in the middle of its %s", (kind) => {
  it.each([
    ["with BYE", "* BYE going down\r\n"],
    ["in silence", ""],
  ])("%s: the run goes on by itself", async (_, words) => {
    for (let octets = 0, wasCut = true; wasCut; octets += 97) {
      await using account = await filled();
      const { manners, cut } = cutRows(kind, octets, words);
      account.manners = manners;
      const { failure } = await carry(intoMaildir(bench, account));
      expect(failure, `after ${octets} octets`).toBeUndefined();
      wasCut = cut();
    }
  });
});

describe("a greeting that is a goodbye", () => {
  it.each([
    ["without a reason", "* BYE\r\n", EXIT.temporary],
    ["too many connections", "* BYE [LIMIT] Too many connections\r\n", EXIT.temporary],
    ["unavailable", "* BYE [UNAVAILABLE] come back later\r\n", EXIT.temporary],
  ])("%s is exit 5, and the next run works", async (_, greeting, exit) => {
    await using account = await filled();
    let greeted = 0;
    account.manners = {
      get greeting() {
        return greeted++ === 0 ? greeting : "* OK hello\r\n";
      },
    };
    const { failure } = await carry(intoMaildir(bench, account), { exits: [exit] });
    expect(failure).toBeDefined();
  });
});

describe("odd rows", () => {
  const each =
    (change: (row: Buffer, n: number) => readonly (Buffer | string)[]): Manners["rows"] =>
    (rows) =>
      rows.flatMap((row, n) => change(row, n).map((one) => Buffer.from(one)));
  it.each<readonly [string, Manners["rows"]]>([
    ["EXPUNGE in between", each((row) => [row, "* 9 EXPUNGE\r\n"])],
    ["EXISTS and RECENT in between", each((row) => ["* 12 EXISTS\r\n* 1 RECENT\r\n", row])],
    ["an alert in between", each((row) => ["* OK [ALERT] disk is nearly full\r\n", row])],
    ["flags of all in between", each((row, n) => [`* ${n + 1} FETCH (FLAGS (\\Seen))\r\n`, row])],
    ["each row twice", each((row) => [row, row])],
    ["the last one first", (rows) => [...rows].reverse()],
    ["words that nobody knows", each((row) => ["* XYZZY (nothing happens)\r\n", row])],
  ])("%s", async (_, rows) => {
    await using account = await filled(rows === undefined ? {} : { rows });
    const { failure } = await carry(intoMaildir(bench, account));
    expect(failure).toBeUndefined();
  });

  it("UIDs in no order", async () => {
    await using account = await startAccount();
    for (const [n, text] of MAIL.entries())
      account.add("INBOX", text, { uid: [9, 2, 700, 5, 4_294_967_295, 1][n] ?? 0 });
    const { failure } = await carry(intoMaildir(bench, account));
    expect(failure).toBeUndefined();
  });
});

describe("a folder that changes while it is read", () => {
  /** Does it once, when this command comes. */
  const when = (pattern: RegExp, act: () => void): Manners => {
    let done = false;
    return {
      before({ text }) {
        if (!done && pattern.test(text)) {
          done = true;
          act();
        }
        return undefined;
      },
    };
  };

  it.each([/^EXAMINE/, /^UID FETCH 1:\*/, /BODY/])("renumbered at %s is no second copy", async (pattern) => {
    await using account = await filled();
    account.manners = when(pattern, () => {
      const inbox = account.mailboxes.get("INBOX");
      if (inbox === undefined) return;
      inbox.uidValidity++;
      inbox.messages = inbox.messages.map((message, n) => ({ ...message, uid: 50 + n }));
      inbox.uidNext = 60;
    });
    await carry(intoMaildir(bench, account));
  });

  it("deleted: the others come, and it is said", async () => {
    await using account = await filled();
    account.manners = when(/^EXAMINE/, () => account.mailboxes.delete("Work/2024"));
    const job = intoMaildir(bench, account);
    const { summary } = await once(job);
    expect(summary?.folders.find(({ folder }) => folder.join("/") === "Work/2024")?.error).toContain("no such mailbox");
    expect((await job.arrived()).get("INBOX")).toHaveLength(MAIL.length);
    await carry(job);
  });

  it("renamed is a new folder: copied, and the old copy stays", async () => {
    await using account = await filled();
    const job = intoMaildir(bench, account);
    await carry(job);
    const work = account.mailboxes.get("Work/2024");
    account.mailboxes.delete("Work/2024");
    if (work !== undefined) account.mailboxes.set("Work/Old", work);
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 1, "already-copied": MAIL.length } });
    expect([...(await job.arrived()).keys()].sort()).toEqual(["INBOX", "Work/2024", "Work/Old"]);
  });

  it("messages that vanish between the listing and their bodies are accounted, once", async () => {
    await using account = await filled();
    account.manners = when(/BODY/, () => {
      const inbox = account.mailboxes.get("INBOX");
      if (inbox !== undefined) inbox.messages = inbox.messages.slice(2);
    });
    // With a filter the folder is listed first.
    const { summary } = await once(intoMaildir(bench, account), { maxSize: 1 << 30 });
    expect(summary).toMatchObject({
      outcome: "complete",
      closes: true,
      balance: { vanished: 2, copied: MAIL.length - 1 },
    });
  });
});
