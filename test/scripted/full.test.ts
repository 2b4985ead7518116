// A target that is full: in words that are known, in others, and one that only refuses a kind of message.

import { existsSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { SAME_IN_A_ROW } from "../../src/migrate/refusals.ts";
import { count } from "../kit/counts.ts";
import { type Manners, startAccount } from "./imap-account.ts";
import { type Bench, carry, impatient, intoAccount, type Job, once, openBench } from "./jobs.ts";
import { between, ofType } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const ONE_BY_ONE = ["IMAP4rev1", "UIDPLUS"];
const mail = (n: number, text = "good", more = ""): string =>
  `Message-ID: <${n}@x>\r\nFrom: Ann <ann@example.org>\r\nSubject: note ${n}\r\n\r\n${text} ${more}\r\n`;
const many = (count: number): string[] => Array.from({ length: count }, (_, n) => mail(n));

function setAside({ state }: Job): number {
  const names = existsSync(state) ? readdirSync(state, { recursive: true, encoding: "utf8" }) : [];
  return names.filter((name) => name.endsWith(".eml")).length;
}

/** Takes so many messages, and counts what is sent in vain. */
function fullAfter(room: number, words: string) {
  const seen = { refused: 0, left: room };
  const before: Manners["before"] = ({ text, literals }) => {
    if (!text.startsWith("APPEND") || literals.length === 0) return undefined;
    if (literals.length <= seen.left) {
      seen.left -= literals.length;
      return undefined;
    }
    seen.refused += literals.length;
    return words;
  };
  return { seen, before };
}

describe.each([
  "NO [OVERQUOTA] Quota exceeded (mailbox for user is full)",
  "NO [ALERT] You exceeded your mail quota.",
  "NO Your quota has been exceeded.",
  "NO APPEND Mailbox is full",
  "NO [LIMIT] mailbox full",
  "NO Message exceeds the maximum mailbox size",
  "NO Over quota",
  "NO APPEND failed, not enough space in mailbox",
  "NO insufficient disk space",
  "NO storage limit reached",
])("a target that is full and says %s", (words) => {
  it.each([
    ["one by one", ONE_BY_ONE, 12],
    ["in groups", ["IMAP4rev1", "UIDPLUS", "MULTIAPPEND", "LITERAL+"], 15],
  ])("gets little more, nothing is set aside, exit 5 (%s)", async (_, capabilities, most) => {
    count("scripted cases");
    await using account = await startAccount({ capabilities });
    const { seen, before } = fullAfter(5, words);
    account.manners = { capabilities, before };
    const job = intoAccount(bench, account, many(40));
    const { patience, waits } = impatient();
    const { failure } = await once(job, { patience });
    expect(failure).toMatchObject({ code: "quota" });
    expect(failure?.message).toContain("full");
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(waits).toEqual([]);
    expect(setAside(job)).toBe(0);
    expect(seen.refused).toBeLessThanOrEqual(capabilities === ONE_BY_ONE ? 40 : 40 + most);
    seen.left = 1000;
    await carry(job);
  });
});

describe("a target that refuses everything, in words that nobody knows", () => {
  it.each([
    ["one by one", ONE_BY_ONE],
    ["in groups", ["IMAP4rev1", "UIDPLUS", "MULTIAPPEND", "LITERAL+"]],
  ])("is told so, and nothing is set aside: exit 5 (%s)", async (_, capabilities) => {
    count("scripted cases");
    await using account = await startAccount({ capabilities });
    let n = 0;
    const { seen, before } = fullAfter(5, "");
    account.manners = {
      capabilities,
      before: (...heard) => (before(...heard) === undefined ? undefined : `NO cannot store ${n++} now [x]`),
    };
    const job = intoAccount(bench, account, many(60));
    const { failure, events } = await once(job, impatient());
    expect(failure).toMatchObject({ code: "quota", details: { hint: expect.stringContaining("full") } });
    expect(failure?.message).toContain("refuses everything");
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(ofType(events, "message-settled").filter(({ as }) => as === "failed")).toEqual([]);
    expect(setAside(job)).toBe(0);
    seen.left = 1000;
    await carry(job);
  });

  it("one kind of message is not everything: thirty of it in a row fail by name, and all else arrives", async () => {
    count("scripted cases");
    await using account = await startAccount({ capabilities: ONE_BY_ONE });
    account.manners = {
      capabilities: ONE_BY_ONE,
      before: ({ literals }) => (literals.some((one) => one.includes("BAD")) ? "BAD invalid message" : undefined),
    };
    const all = Array.from({ length: 80 }, (_, n) => mail(n, n >= 10 && n < 40 ? "BAD" : "good"));
    const job = intoAccount(bench, account, all);
    const { failure, summary, events } = await once(job, impatient());
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 50, failed: 30 } });
    expect(setAside(job)).toBe(30);
    const [failed] = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed).toMatchObject({
      subject: expect.stringMatching(/^note \d+$/),
      from: expect.stringContaining("Ann"),
    });
  });

  it("a folder of which everything is refused stops no other", async () => {
    count("scripted cases");
    await using from = await startAccount();
    await using to = await startAccount({ capabilities: ONE_BY_ONE });
    for (let n = 0; n < 60; n++) from.add("Bad", mail(n, "BAD"));
    for (let n = 0; n < 5; n++) from.add("INBOX", mail(100 + n));
    to.manners = {
      capabilities: ONE_BY_ONE,
      before: ({ literals }) => (literals.some((one) => one.includes("BAD")) ? "NO invalid message" : undefined),
    };
    const { failure, summary } = await once(await between(bench, from, to), impatient());
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", balance: { copied: 5 } });
    expect((await to.keys()).get("INBOX")).toHaveLength(5);
  });

  it("so many in a row and no more are held", async () => {
    await using account = await startAccount({ capabilities: ONE_BY_ONE });
    account.manners = {
      capabilities: ONE_BY_ONE,
      before: ({ literals }) => (literals.some((one) => one.includes("BAD")) ? "NO invalid message" : undefined),
    };
    const all = Array.from({ length: SAME_IN_A_ROW }, (_, n) => mail(n, "BAD"));
    const job = intoAccount(bench, account, all);
    const { failure, summary } = await once(job, impatient());
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { failed: SAME_IN_A_ROW } });
    expect(setAside(job)).toBe(SAME_IN_A_ROW);
  });
});
