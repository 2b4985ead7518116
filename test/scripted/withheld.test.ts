// Servers that count and find messages to the end and give no row for them: only what the server says is gone has vanished.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type VerifyFinding, verify } from "../../src/migrate/verify.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { count } from "../kit/counts.ts";
import { type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, intoMaildir, once, openBench, signal } from "./jobs.ts";
import { inbox, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const WITHHELD = [3, 7];
/** What is asked once all that could be had has come. */
const ASKED = "UID SEARCH UID 3,7";

/** Ten messages, of which two never come; `gone`: UIDs that are deleted when it is asked for the others. `search`: what SEARCH answers. */
async function withholding(gone: readonly number[], search = "OK found"): Promise<ScriptedAccount> {
  const account = await startAccount({
    before({ text }, talk, on) {
      if (!text.startsWith("UID SEARCH")) return undefined;
      if (text === ASKED && !search.startsWith("OK")) return search;
      const box = on.mailboxes.get("INBOX");
      if (text !== "UID SEARCH UID 1:*" && box !== undefined)
        box.messages = box.messages.filter(({ uid }) => !gone.includes(uid));
      talk.send(
        `* SEARCH ${inbox(on)
          .map(({ uid }) => uid)
          .join(" ")}\r\n`,
      );
      return "OK found";
    },
    rows: (rows) => rows.filter((row) => !WITHHELD.includes(Number(/UID (\d+)/.exec(row.toString("latin1"))?.[1]))),
  });
  for (let n = 1; n <= 10; n++) account.add("INBOX", `Message-ID: <w${n}@example.org>\r\n\r\n${"w".repeat(n)}\r\n`);
  return account;
}

const asked = (account: ScriptedAccount): number => account.heard.filter((line) => line.includes(ASKED)).length;

describe("messages that are listed and never come", () => {
  it.each([{}, { maxSize: 1 << 20 }])("fail by name while SEARCH finds them, each run, options %o", async (options) => {
    count("scripted cases");
    await using account = await withholding([]);
    const job = intoMaildir(bench, account);
    for (const copied of [8, 0]) {
      const { summary, events } = await once(job, options);
      expect(summary).toMatchObject({ outcome: "partial", balance: { copied, failed: 2, vanished: 0 } });
      const failed = ofType(events, "message-settled").filter(({ as }) => as === "failed");
      expect(failed.map(({ entry }) => entry.origin.id)).toEqual(["3", "7"]);
    }
    expect(asked(account)).toBe(2);
  });

  it("have vanished where SEARCH finds them no more, and only those", async () => {
    count("scripted cases");
    await using account = await withholding([7]);
    const { summary } = await once(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 8, failed: 1, vanished: 1 } });
    expect(asked(account)).toBe(1);
  });

  it("fail where SEARCH is refused", async () => {
    count("scripted cases");
    await using account = await withholding([3, 7], "NO not today");
    const { summary } = await once(intoMaildir(bench, account));
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 8, failed: 2, vanished: 0 } });
  });

  it("fail a comparison", async () => {
    count("scripted cases");
    await using account = await withholding([]);
    const path = bench.place("target");
    await once({ ...intoMaildir(bench, account), sink: () => openMaildirSink({ path }, signal) });
    await using source = await openImapSource(account.server(), signal);
    await using target = await openMaildirSource({ path }, signal);
    const findings: VerifyFinding[] = [];
    const on = (finding: VerifyFinding): void => void findings.push(finding);
    const summary = await verify(source, target, undefined, {}, signal, on, () => undefined);
    expect(summary).toMatchObject({ equal: false, matched: 8, missing: 2 });
    expect(findings.map(({ what }) => what).join("\n")).toMatch(/counts message 3 [\s\S]*counts message 7 /);
  });
});

it("a folder that gives all is not searched", async () => {
  await using account = await startAccount();
  account.add("INBOX", "Message-ID: <all@example.org>\r\n\r\nall\r\n");
  expect((await once(intoMaildir(bench, account), { maxSize: 1 << 20 })).summary).toMatchObject({
    outcome: "complete",
  });
  expect(account.heard.join("\n")).not.toMatch(/SEARCH|NOOP/);
});
