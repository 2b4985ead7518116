// Servers that count more messages than they list: what can be found in another way comes, and what cannot is told with its number.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type VerifyFinding, verify } from "../../src/migrate/verify.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoMaildir, once, openBench, signal } from "./jobs.ts";
import { inbox, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const letter = (n: number): string =>
  `Message-ID: <u${n}@example.org>\r\nSubject: ${n}\r\n\r\n${"u".repeat(n + 1)}\r\n`;
/** UIDs that are in the way. */
const HIDDEN = [4, 9, 13];

interface Hiding {
  /** What SEARCH names: all, those that FETCH gives too, or nothing, with NO. */
  readonly search: "all" | "as listed" | "refused";
  /** What FETCH by number gives. */
  readonly byNumber: "all" | "as listed" | "refused";
  /** Called with each command, before it is answered. */
  meanwhile?(text: string, account: ScriptedAccount): string | undefined;
}

/** Thirteen messages are counted; rows of three of them never come by UID. */
async function hiding({ search, byNumber, meanwhile }: Hiding): Promise<ScriptedAccount> {
  const isHidden = (uid: number): boolean => HIDDEN.includes(uid);
  const account = await startAccount({
    before({ text }, talk) {
      const said = meanwhile?.(text, account);
      if (said !== undefined) return said;
      if (text.startsWith("UID SEARCH")) {
        if (search === "refused") return "NO not today";
        const uids = inbox(account).map(({ uid }) => uid);
        talk.send(`* SEARCH ${uids.filter((uid) => search === "all" || !isHidden(uid)).join(" ")}\r\n`);
        return "OK found";
      }
      if (text.startsWith("FETCH 1:*")) {
        if (byNumber === "refused") return "NO not today";
        for (const [n, { uid }] of inbox(account).entries())
          if (byNumber === "all" || !isHidden(uid)) talk.send(`* ${n + 1} FETCH (UID ${uid})\r\n`);
        return "OK given";
      }
      return undefined;
    },
    rows: (rows, text) =>
      /^UID FETCH \d+ /.test(text) && byNumber === "all"
        ? rows
        : rows.filter((row) => !isHidden(Number(/UID (\d+)/.exec(row.toString("latin1"))?.[1]))),
  });
  for (let n = 1; n <= 13; n++) account.add("INBOX", letter(n));
  account.add("Work", letter(99));
  return account;
}

const NOT_LISTED = { closes: false, unlisted: 3, error: expect.stringContaining("counts 3 messages") };

describe("a source that counts thirteen and lists ten", () => {
  it.each([
    ["as listed", "as listed"],
    ["refused", "as listed"],
    ["as listed", "refused"],
    ["refused", "refused"],
  ] as const)(
    "SEARCH: %s, by number: %s: the number is told, exit 3, nothing is skipped or deleted",
    async (search, byNumber) => {
      count("scripted cases");
      await using account = await hiding({ search, byNumber });
      const job = intoMaildir(bench, account);
      for (const run of [1, 2]) {
        const { summary, events } = await once(job);
        expect(summary).toMatchObject({ outcome: "partial", closes: false, listed: 11 });
        expect(summary?.balance).toMatchObject(run === 1 ? { copied: 11 } : { copied: 0, "already-copied": 11 });
        const [first, second] = ofType(events, "folder-finished").map((one) => one.summary);
        expect([first, second]).toEqual(
          expect.arrayContaining([expect.objectContaining(NOT_LISTED), expect.objectContaining({ closes: true })]),
        );
      }
      const { summary } = await once(job, { remove: {} });
      expect(summary).toMatchObject({ removed: 1, kept: 10 });
      expect(inbox(account)).toHaveLength(13);
    },
  );

  it("by number: refused, and STATUS too: the number is told", async () => {
    count("scripted cases");
    const meanwhile = (text: string): string | undefined => (text.startsWith("STATUS") ? "NO not today" : undefined);
    await using account = await hiding({ search: "refused", byNumber: "refused", meanwhile });
    const { summary } = await once(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "partial", closes: false, balance: { copied: 11 } });
    expect(summary?.folders.find(({ name }) => name === "INBOX")).toMatchObject(NOT_LISTED);
  });

  it("and gives them by number: all arrive", async () => {
    await using account = await hiding({ search: "as listed", byNumber: "all" });
    await carry(intoMaildir(bench, account));
  });

  it("mends itself: the next run brings what was missing", async () => {
    count("scripted cases");
    await using account = await hiding({ search: "as listed", byNumber: "as listed" });
    // A server by whose state nothing has changed.
    const capabilities = [...USUAL, "CONDSTORE"];
    const telling: Manners = {
      capabilities,
      before({ text }, talk) {
        const name = /^STATUS "(\w+)"/.exec(text)?.[1];
        const box = account.mailboxes.get(name ?? "");
        if (box === undefined) return hidden?.({ text, tag: "", literals: [] }, talk, account);
        const { length } = box.messages;
        talk.send(`* STATUS ${name} (MESSAGES ${length} UIDVALIDITY 5 UIDNEXT ${length + 1} HIGHESTMODSEQ 7)\r\n`);
        return "OK told";
      },
    };
    let hidden = account.manners.before;
    account.manners = { ...account.manners, ...telling };
    const job = intoMaildir(bench, account);
    await once(job);
    hidden = undefined;
    account.manners = telling;
    expect((await once(job)).summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 3 } });
  });

  it("leaves a target that is written once open at first, and is finished without them the second time", async () => {
    count("scripted cases");
    await using account = await hiding({ search: "as listed", byNumber: "as listed" });
    const path = `${bench.place("zip")}.zip`;
    const job = { ...intoMaildir(bench, account), sink: () => openMboxZipSink({ path, job: "j" }, signal) };
    const notices = async (): Promise<string> =>
      ofType((await once(job)).events, "notice")
        .map(({ text }) => text)
        .join("\n");
    expect(await notices()).toContain("not finished yet");
    expect(await notices()).not.toContain("not finished yet");
    expect(await notices()).toContain("compared with the source");
  });

  it.each([false, true])("fails a comparison, quick: %s", async (quick) => {
    count("scripted cases");
    await using account = await hiding({ search: "as listed", byNumber: "as listed" });
    const path = bench.place("target");
    await once({ ...intoMaildir(bench, account), sink: () => openMaildirSink({ path }, signal) });
    await using source = await openImapSource(account.server(), signal);
    await using target = await openMaildirSource({ path }, signal);
    const findings: VerifyFinding[] = [];
    const on = (finding: VerifyFinding): void => void findings.push(finding);
    const summary = await verify(source, target, undefined, { quick }, signal, on, () => undefined);
    expect(summary).toMatchObject({ equal: false, unlisted: 3, matched: 11, missing: 0 });
    expect(findings).toEqual([expect.objectContaining({ kind: "unlisted", folder: ["INBOX"] })]);
    const back = await verify(target, source, undefined, { quick }, signal, on, () => undefined);
    expect(back).toMatchObject({ equal: true, matched: 11 });
    expect(findings.at(-1)).toMatchObject({ kind: "unlisted", what: expect.stringContaining("target") });
  });
});

describe("what changes rightly while a folder is listed is no such thing", () => {
  /** Does it once, when such a command comes; the folder lists all it has. */
  const when = (pattern: RegExp, act: (account: ScriptedAccount) => void): Manners & { done(): boolean } => {
    let done = false;
    return {
      done: () => done,
      before({ text }, _, account) {
        if (!done && pattern.test(text)) {
          done = true;
          act(account);
        }
        return undefined;
      },
    };
  };
  const gone = (account: ScriptedAccount): void => {
    const box = account.mailboxes.get("INBOX");
    if (box !== undefined) box.messages = box.messages.filter(({ uid }) => uid % 2 === 0);
  };

  it.each([
    ["deleted before the listing", /^UID FETCH 1:\*/, gone],
    ["new before the listing", /^UID FETCH 1:\*/, (account: ScriptedAccount) => account.add("INBOX", letter(50))],
  ] as const)("%s", async (_, pattern, act) => {
    for (const options of [{}, { maxSize: 1 << 20 }]) {
      count("scripted cases");
      const manners = when(pattern, act);
      await using account = await startAccount({
        ...manners,
        before(heard, talk, on) {
          manners.before?.(heard, talk, on);
          const uids = inbox(account).map(({ uid }) => uid);
          if (heard.text.startsWith("UID SEARCH")) talk.send(`* SEARCH ${uids.join(" ")}\r\n`);
          if (heard.text.startsWith("FETCH 1:*"))
            for (const [n, uid] of uids.entries()) talk.send(`* ${n + 1} FETCH (UID ${uid})\r\n`);
          return /^(UID SEARCH|FETCH 1)/.test(heard.text) ? "OK done" : undefined;
        },
      });
      for (let n = 1; n <= 13; n++) account.add("INBOX", letter(n));
      const { summary } = await once(intoMaildir(bench, account), options);
      expect(manners.done()).toBe(true);
      expect(summary).toMatchObject({ outcome: "complete", closes: true });
    }
  });

  it("new mail that SEARCH and a listing by number name does not stand in for what is missing", async () => {
    count("scripted cases");
    await using account = await hiding({
      search: "as listed",
      byNumber: "as listed",
      meanwhile(text, on) {
        if (text.startsWith("UID SEARCH")) for (const n of [60, 61, 62]) on.add("INBOX", letter(n));
        return undefined;
      },
    });
    const { summary } = await once(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "partial", closes: false });
    expect(summary?.folders.find(({ unlisted }) => unlisted !== undefined)).toMatchObject({ unlisted: 3 });
  });
});

it.each([
  ["says so again", 10, { outcome: "partial", closes: false, balance: { copied: 8 } }],
  ["has fewer when it is asked again, and more than it shows", 9, { outcome: "partial", closes: false }],
  ["has fewer when it is asked again", 8, { outcome: "complete", closes: true, balance: { copied: 8 } }],
])("STATUS counts more than the folder shows, and %s", async (_, later, expected) => {
  count("scripted cases");
  let asked = 0;
  await using account = await startAccount({
    before({ text }, talk) {
      if (!/^STATUS "?INBOX/.test(text)) return undefined;
      const messages = asked++ === 0 ? 10 : later;
      talk.send(`* STATUS INBOX (MESSAGES ${messages} UIDVALIDITY 5 UIDNEXT 11)\r\n`);
      return "OK counted";
    },
  });
  for (let n = 1; n <= 8; n++) account.add("INBOX", letter(n));
  const { summary } = await once(intoMaildir(bench, account));
  expect(summary).toMatchObject(expected);
  if (later > 8) expect(summary?.folders[0]).toMatchObject({ unlisted: later - 8 });
});
