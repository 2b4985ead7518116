// Servers that refuse the "+" for a literal, or a size: what is refused is told, all the rest comes, and the next run does what
// was left.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { count } from "../kit/counts.ts";
import { type Manners, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoAccount, MAIL, once, openBench } from "./jobs.ts";
import { between, expectHeld, inbox, ofType, say } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

describe.each<readonly [string, Manners]>([
  ["with UIDPLUS", { capabilities: ["IMAP4rev1", "UIDPLUS"] }],
  ["with UIDPLUS and MULTIAPPEND", { capabilities: ["IMAP4rev1", "UIDPLUS", "MULTIAPPEND"] }],
  ["without any extension", { capabilities: ["IMAP4rev1"], uidplus: false }],
])("a target %s that does not take a literal", (_, manners) => {
  /** Answers instead of "+" where it is due; the numbers count the literals of all APPENDs. */
  function refusing(words: string, isDue: (at: number, text: string) => boolean): Manners & { readonly met: number } {
    let at = 0;
    let met = 0;
    return {
      ...manners,
      get met() {
        return met;
      },
      literal(text, talk) {
        if (!text.startsWith("APPEND") || !isDue(at++, text)) return undefined;
        met++;
        return say(words, talk);
      },
    };
  }

  describe.each(["NO not this one", "BAD what literal", "BYE"])("%s", (words) => {
    it.each([
      ["the first", 0],
      ["one in the middle", 3],
      ["the last", MAIL.length - 1],
    ])("%s, once", async (__, nth) => {
      const refusals = refusing(words, (at) => at === nth);
      await using account = await startAccount(refusals);
      const { summary, failure, events } = await carry(intoAccount(bench, account));
      expect(refusals.met).toBe(1);
      expect(failure).toBeUndefined();
      expect(summary?.closes).toBe(true);
      // One message at the most, and what failed is no complete run.
      expect(summary?.balance.failed).toBeLessThanOrEqual(words === "BYE" ? 0 : 1);
      expect(summary?.outcome).toBe(summary?.balance.failed === 0 ? "complete" : "partial");
      expect(ofType(events, "retry-scheduled")).toHaveLength(words === "BYE" ? 1 : 0);
      expect(account.failures).toEqual([]);
    });

    it("any, until it is mended", async () => {
      const refusals = refusing(words, () => true);
      await using account = await startAccount(refusals);
      const job = intoAccount(bench, account);
      const { summary, failure, events } = await once(job);
      expect(inbox(account)).toEqual([]);
      if (words === "BYE") {
        expect(failure && exitCodeOf(failure)).toBe(EXIT.temporary);
        expect(summary?.outcome).toBe("stopped");
      } else {
        expect(summary).toMatchObject({
          outcome: "partial",
          closes: true,
          balance: { copied: 0, failed: MAIL.length },
        });
        const settled = ofType(events, "message-settled");
        expect(settled.map(({ error }) => error?.message)).toEqual(
          MAIL.map(() => expect.stringContaining(words.slice(4))),
        );
      }
      // With all its flags, with fewer, once in a group: that is enough of asking.
      expect(refusals.met).toBeLessThanOrEqual(3 * MAIL.length);
      account.manners = manners;
      await carry(job);
      expect(account.failures).toEqual([]);
    });
  });

  it.each([
    ["NO [TOOBIG] no", "too-large"],
    ["NO the message exceeds the size limit", "too-large"],
    ["NO [OVERQUOTA] no room", "quota"],
    ["BAD what literal", "malformed"],
  ])("of one message, always: %s", async (words, code) => {
    const [large = ""] = MAIL.filter((text) => text.includes("<4@"));
    const refusals = refusing(words, (__, text) => text.endsWith(`{${large.length}}`));
    await using account = await startAccount(refusals);
    const job = intoAccount(bench, account);
    for (const copied of [MAIL.length - 1, 0]) {
      const { summary, events } = await once(job);
      // A full account is told by the end of the run too.
      const outcome = code === "quota" ? "stopped" : "partial";
      expect(summary).toMatchObject({ outcome, closes: true, balance: { copied, failed: 1 } });
      expect(ofType(events, "message-settled").flatMap(({ error }) => error?.code ?? [])).toEqual([code]);
      expect(inbox(account)).toHaveLength(MAIL.length - 1);
    }
    account.manners = manners;
    await carry(job);
  });
});

describe("APPENDLIMIT that STATUS alone tells", () => {
  const text = (id: string, length: number): string => {
    const head = `Message-ID: <${id}@example.org>\r\n\r\n`;
    return `${head}${"b".repeat(length - head.length - 2)}\r\n`;
  };
  /** By folder; what is not named has none. */
  const limited = (limits: Readonly<Record<string, string>>): Manners => ({
    capabilities: [...USUAL, "APPENDLIMIT"],
    after({ text: asked }, talk) {
      const [, name = ""] = /^STATUS "?([^" ]+)"? \(.*APPENDLIMIT/.exec(asked) ?? [];
      if (name !== "") talk.send(`* STATUS ${name} (APPENDLIMIT ${limits[name] ?? "NIL"})\r\n`);
      return undefined;
    },
    // Where one is sent all the same.
    before: ({ text: asked, literals }) => {
      const [, name = ""] = /^APPEND "?([^" ]+)"? /.exec(asked) ?? [];
      const most = Number(limits[name] ?? "1000000");
      return literals.some(({ length }) => length > most) ? "NO [TOOBIG] I said so" : undefined;
    },
  });

  it("holds for its folder: what is larger fails without being sent, the rest is copied", async () => {
    count("scripted cases");
    await using from = await startAccount();
    const [fits, over] = [text("fits", 150), text("over", 151)];
    for (const name of ["INBOX", "Box"]) for (const one of [...MAIL, fits, over]) from.add(name, one);
    await using to = await startAccount(limited({ Box: "150" }));
    const job = await between(bench, from, to);
    const all = await job.wanted();
    const { summary, events } = await once(job);
    expect(summary).toMatchObject({
      outcome: "partial",
      closes: true,
      balance: { copied: 2 * MAIL.length + 3, failed: 1 },
    });
    const failed = ofType(events, "message-settled").filter(({ as }) => as === "failed");
    expect(failed).toMatchObject([{ entry: { origin: { folder: ["Box"] } }, error: { code: "too-large" } }]);
    expect(failed[0]?.error?.message).toContain("150");
    expect(to.heard.filter((line) => line.includes("APPEND") && line.includes("Box") && line.includes("{151"))).toEqual(
      [],
    );
    expect(ofType(events, "retry-scheduled")).toEqual([]);
    const again = await once(job);
    expect(again.summary).toMatchObject({ outcome: "partial", balance: { copied: 0, failed: 1 } });
    to.manners = limited({});
    const last = await once(job);
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 1, failed: 0 } });
    await expectHeld(job, all);
  });

  it("counts octets as they are sent, and not as a Maildir stores them", async () => {
    count("scripted cases");
    const lines = `Message-ID: <lines@x>\r\n\r\n${"a\r\n".repeat(40)}`;
    const stored = lines.replaceAll("\r\n", "\n").length;
    await using to = await startAccount(limited({ INBOX: String(stored) }));
    const small = [...MAIL.slice(0, 2), lines];
    const job = intoAccount(bench, to, small);
    const { summary, events } = await once(job);
    expect(summary).toMatchObject({ outcome: "partial", closes: true, balance: { copied: 2, failed: 1 } });
    expect(ofType(events, "message-settled").flatMap(({ error }) => error?.code ?? [])).toEqual(["too-large"]);
    expect(to.heard.some((line) => line.includes(`{${lines.length}`))).toBe(false);
    to.manners = limited({ INBOX: String(lines.length) });
    await carry(job);
  });
});
