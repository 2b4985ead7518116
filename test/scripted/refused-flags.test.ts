// Servers that refuse a flag, at the append or later: the loss is told, all the rest comes, and the next run does what was left.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunSummary } from "../../src/migrate/events.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, carry, MAIL, once, openBench } from "./jobs.ts";
import { between, expectHeld, inbox, lossesOf, ofType, say } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const FLAGS: readonly (readonly string[])[] = [
  ["\\Seen"],
  ["\\Seen", "\\Flagged"],
  ["\\Answered", "Work"],
  [],
  ["$Forwarded", "Work"],
  ["\\Flagged", "$Forwarded"],
];

/** A source whose messages have the flags above. */
async function flagged(): Promise<ScriptedAccount> {
  const account = await startAccount();
  for (const [n, text] of MAIL.entries()) account.add("INBOX", text, { flags: new Set(FLAGS[n]) });
  return account;
}

/** Each flag of the source is at the target, or among the losses. */
function expectAccounted(from: ScriptedAccount, to: ScriptedAccount, summary: RunSummary | undefined): void {
  const tally = (account: ScriptedAccount): Map<string, number> => {
    const sums = new Map<string, number>();
    for (const { flags } of inbox(account)) for (const flag of flags) sums.set(flag, (sums.get(flag) ?? 0) + 1);
    return sums;
  };
  const [had, has] = [tally(from), tally(to)];
  const lost = lossesOf(summary);
  const missing: Record<string, number> = {};
  for (const [flag, many] of had) {
    const less = many - (has.get(flag) ?? 0);
    if (less > 0) missing[flag.startsWith("\\") ? `flag ${flag.slice(1).toLowerCase()}` : `keyword ${flag}`] = less;
  }
  expect(lost).toEqual(missing);
}

describe.each<readonly [string, Manners]>([
  ["with all that is usual", {}],
  ["without UIDPLUS and MULTIAPPEND", { capabilities: ["IMAP4rev1", "LITERAL+"], uidplus: false }],
])("a target %s that does not keep all flags", (_, manners) => {
  it.each([
    ["\\Seen \\Flagged \\Answered \\Draft \\Deleted", { "keyword Work": 2, "keyword $Forwarded": 2 }],
    ["\\Seen $Forwarded", { "flag flagged": 2, "flag answered": 1, "keyword Work": 2 }],
    ["\\Answered \\*", { "flag seen": 2, "flag flagged": 2 }],
    ["", { "flag seen": 2, "flag flagged": 2, "flag answered": 1, "keyword Work": 2, "keyword $Forwarded": 2 }],
  ])("PERMANENTFLAGS (%s): what is lost is told, and never asked for", async (kept, losses) => {
    await using from = await flagged();
    await using to = await startAccount({
      ...manners,
      after({ text }, talk) {
        // The later word counts.
        if (/^(SELECT|EXAMINE)/.test(text)) talk.send(`* OK [PERMANENTFLAGS (${kept})] limited\r\n`);
        return undefined;
      },
    });
    const ran = await carry(await between(bench, from, to));
    expect(ran.summary).toMatchObject({ outcome: "complete", balance: { copied: MAIL.length } });
    expect(lossesOf(ran.summary)).toEqual(losses);
    expectAccounted(from, to, ran.summary);
    expect(ofType(ran.events, "retry-scheduled")).toEqual([]);
    const asked = to.heard.filter((line) => /^\S+ (APPEND|UID STORE)/.test(line)).join("\n");
    for (const loss of Object.keys(losses)) {
      const [kind, name = ""] = loss.split(" ");
      expect(asked.toLowerCase()).not.toContain(kind === "flag" ? `\\${name}` : name.toLowerCase());
    }
  });

  describe.each([
    ["keywords", /^APPEND.*\([^)]*(Work|\$Forwarded)/],
    ["any flag", /^APPEND.*\([^)]+\) /],
  ])("APPEND with %s", (__, refused) => {
    it.each(["NO no such flag", "BAD flags"])("refused with %s, and taken without", async (words) => {
      await using from = await flagged();
      await using to = await startAccount({
        ...manners,
        before: ({ text }) => (refused.test(text) ? words : undefined),
      });
      const { summary } = await carry(await between(bench, from, to));
      expect(summary).toMatchObject({ outcome: "complete", balance: { copied: MAIL.length } });
      expectAccounted(from, to, summary);
      // A copy with a name gets by STORE what its APPEND could not have.
      if (manners.uidplus !== false) expect(lossesOf(summary)).toEqual({});
    });

    it("and STORE of it refused: the messages come, and each flag that did not is told", async () => {
      await using from = await flagged();
      await using to = await startAccount({
        ...manners,
        before: ({ text }) => (refused.test(text) || text.startsWith("UID STORE") ? "NO no such flag" : undefined),
      });
      const { summary } = await carry(await between(bench, from, to));
      expect(summary).toMatchObject({ outcome: "complete", balance: { copied: MAIL.length } });
      expect(lossesOf(summary)).not.toEqual({});
      expectAccounted(from, to, summary);
    });
  });
});

describe("flags that changed at the source between two runs", () => {
  const LATE = "Message-ID: <late@example.org>\r\n\r\nlate\r\n";

  /** Three changes and a new message. */
  function change(from: ScriptedAccount): void {
    const [first, second, third] = inbox(from);
    first?.flags.add("\\Flagged");
    second?.flags.delete("\\Seen");
    third?.flags.add("Later");
    from.add("INBOX", LATE);
  }

  function flagsOf(account: ScriptedAccount): string[] {
    return inbox(account)
      .map(({ flags, bytes }) => `${bytes.length} ${[...flags].sort().join(" ")}`)
      .sort();
  }

  it.each(["NO not now", "BAD what", "NO [CANNOT] no", "NO [NOPERM] no", "NO [UNAVAILABLE] later"])(
    "are told when STORE is refused with %s, and stored by the next run",
    async (words) => {
      count("scripted cases");
      await using from = await flagged();
      await using to = await startAccount();
      expect((await once(await between(bench, from, to))).summary?.outcome).toBe("complete");
      const job = { ...(await between(bench, from, to)) };
      await once(job);
      change(from);
      const wanted = await from.keys();
      const before = flagsOf(to);
      let met = 0;
      to.manners = {
        before({ text }) {
          if (!text.startsWith("UID STORE")) return undefined;
          met++;
          return words;
        },
      };
      const second = await once(job);
      expect(second.failure).toBeUndefined();
      expect(met).toBeGreaterThan(0);
      // Three changes, each asked for a few times at the most.
      expect(met).toBeLessThanOrEqual(12);
      expect(second.summary?.traitsUpdated).toBe(0);
      expect(second.summary?.balance).toMatchObject({ copied: 1, "already-copied": MAIL.length, failed: 0 });
      if (words.includes("UNAVAILABLE")) {
        // Of the whole folder, when patience has ended.
        expect(second.summary).toMatchObject({ outcome: "partial", closes: false });
        expect(second.summary?.folders.map(({ error }) => error)).toEqual([expect.stringContaining("later")]);
      } else {
        expect(second.summary).toMatchObject({ outcome: "complete", closes: true });
        const told = ofType(second.events, "message-settled").flatMap(({ note }) => note ?? []);
        expect(told).toEqual([1, 2, 3].map(() => expect.stringContaining("its flags could not be changed")));
        expect(lossesOf(second.summary)).toEqual({ "flag flagged": 1, "keyword Later": 1 });
      }
      expect(flagsOf(to)).toEqual([...before, `${LATE.length} `].sort());
      await expectHeld(job, wanted);
      to.manners = {};
      const third = await once(job);
      expect(third.summary).toMatchObject({
        outcome: "complete",
        closes: true,
        bytes: 0,
        traitsUpdated: 3,
        losses: [],
      });
      expect(flagsOf(to)).toEqual(flagsOf(from));
      const fourth = await once(job);
      expect(fourth.summary).toMatchObject({ outcome: "complete", bytes: 0, traitsUpdated: 0 });
      await expectHeld(job, wanted);
    },
  );

  it.each(["NO [UNAVAILABLE] later", "BYE"])("come all the same when STORE is refused once with %s", async (words) => {
    count("scripted cases");
    await using from = await flagged();
    await using to = await startAccount();
    const job = await between(bench, from, to);
    await once(job);
    change(from);
    let met = 0;
    to.manners = {
      before: ({ text }, talk) => (text.startsWith("UID STORE") && met++ === 0 ? say(words, talk) : undefined),
    };
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, traitsUpdated: 3, losses: [] });
    expect(flagsOf(to)).toEqual(flagsOf(from));
    await expectHeld(job, await from.keys());
  });

  it("of copies that are found in the target keep no other message from coming", async () => {
    count("scripted cases");
    await using from = await flagged();
    await using to = await startAccount();
    for (const text of MAIL.slice(0, 3)) to.add("INBOX", text);
    to.manners = { before: ({ text }) => (text.startsWith("UID STORE") ? "NO not now" : undefined) };
    const job = await between(bench, from, to);
    const first = await once(job);
    expect(first.summary).toMatchObject({ closes: true, balance: { adopted: 3, copied: 3, failed: 0 } });
    expectAccounted(from, to, first.summary);
    await expectHeld(job);
    to.manners = {};
    await carry(job);
    expect(flagsOf(to)).toEqual(flagsOf(from));
  });
});
