// Servers that refuse a step of deleting, or say that they did it and did not: what stayed is told, and goes in the next run.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import { count } from "../kit/counts.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, type Job, MAIL, once, openBench } from "./jobs.ts";
import { between, expectHeld, inbox, ofType, say } from "./refusing.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

describe("deleting at the source", () => {
  const GMAIL: Manners = { capabilities: [...USUAL, "MOVE", "X-GM-EXT-1"] };
  const TRASH = "Bin";
  const WITHOUT_TRASH = { select: { include: [], exclude: [TRASH] } } as const;

  interface Ends extends AsyncDisposable {
    readonly from: ScriptedAccount;
    readonly to: ScriptedAccount;
    readonly job: Job;
    /** In the inbox of the source, and in what takes deleted mail. */
    left(): readonly [number, number];
  }

  async function ends(manners: Manners): Promise<Ends> {
    const from = await startAccount(manners);
    const to = await startAccount();
    for (const [n, text] of MAIL.entries()) from.add("INBOX", text, { flags: new Set(n % 2 === 0 ? [] : ["\\Seen"]) });
    const isGmail = manners.capabilities?.includes("X-GM-EXT-1") === true;
    if (isGmail) from.mailboxes.set(TRASH, { uidValidity: 9, uidNext: 1, messages: [], attributes: "\\Trash" });
    // Two accounts at a glance.
    to.mailboxes.set("INBOX", { uidValidity: 77, uidNext: 1, messages: [] });
    return {
      from,
      to,
      job: await between(bench, from, to),
      left: () => [inbox(from).length, from.mailboxes.get(TRASH)?.messages.length ?? 0],
      async [Symbol.asyncDispose]() {
        await from[Symbol.asyncDispose]();
        await to[Symbol.asyncDispose]();
      },
    };
  }

  const STEPS: readonly (readonly [string, Manners])[] = [
    ["UID STORE", {}],
    ["UID EXPUNGE", {}],
    ["UID MOVE", GMAIL],
  ];
  const WORDS = ["NO not today", "BAD what", "NO [NOPERM] not yours", "NO [UNAVAILABLE] later"];
  const options = (manners: Manners, more: Partial<RunOptions> = {}): Partial<RunOptions> => ({
    remove: {},
    ...(manners === GMAIL ? WITHOUT_TRASH : {}),
    ...more,
  });

  /** What stays is said to stay, and the next run deletes exactly that. */
  async function refusedOnce(
    { from, to, job, left }: Ends,
    manners: Manners,
    { why, gone = 0, more }: { why: string; gone?: number; more?: Partial<RunOptions> },
  ): Promise<readonly MigrationEvent[]> {
    count("scripted cases");
    const many = MAIL.length;
    const isGmail = manners === GMAIL;
    const first = await once(job, options(manners, more));
    expect(first.failure).toBeUndefined();
    expect(first.summary).toMatchObject({ outcome: "partial", closes: true, removed: 0, kept: many });
    expect(first.summary?.balance.copied).toBe(many);
    expect(ofType(first.events, "message-removed")).toEqual([]);
    expect(ofType(first.events, "message-kept").map((event) => event.why)).toEqual(MAIL.map(() => why));
    expect(ofType(first.events, "folder-removed")).toMatchObject([{ removed: 0, stayed: { [why]: many } }]);
    expect(left()).toEqual([many - gone, isGmail ? gone : 0]);
    await expectHeld(job);
    from.manners = manners;
    const second = await once(job, options(manners, more));
    expect(second.summary).toMatchObject({ outcome: "complete", closes: true, removed: many - gone, kept: 0 });
    expect(second.summary).toMatchObject({ listed: many - gone, bytes: 0, traitsUpdated: 0 });
    expect(ofType(second.events, "message-removed")).toHaveLength(many - gone);
    expect(left()).toEqual([0, isGmail ? many : 0]);
    const third = await once(job, options(manners, more));
    expect(third.summary).toMatchObject({
      outcome: "complete",
      closes: true,
      listed: 0,
      removed: 0,
      kept: 0,
      bytes: 0,
    });
    await expectHeld(job);
    // A mark that we made ourselves is nothing that the owner wanted.
    expect(inbox(to).some(({ flags }) => flags.has("\\Deleted"))).toBe(false);
    expect([...from.failures, ...to.failures]).toEqual([]);
    return first.events;
  }

  describe.each(STEPS)("%s", (verb, manners) => {
    it.each(WORDS)("refused with %s", async (words) => {
      let met = 0;
      const before: Manners["before"] = ({ text }) => {
        if (!text.startsWith(verb)) return undefined;
        met++;
        return words;
      };
      await using both = await ends({ ...manners, before });
      const events = await refusedOnce(both, manners, { why: "cut-short" });
      const [notice = ""] = ofType(events, "notice").flatMap(({ text }) => (text.includes("cut short") ? [text] : []));
      expect(notice).toContain(words.replace(/^\w+ (\[\w+\] )?/, ""));
      // What says that it passes is asked for again, and not for ever.
      expect(met).toBe(words.includes("UNAVAILABLE") ? 4 : 1);
    });

    it("refused while --skip-deleted leaves what its owner deleted", async () => {
      await using both = await ends({
        ...manners,
        before: ({ text }) => (text.startsWith(verb) ? "NO not today" : undefined),
      });
      await refusedOnce(both, manners, { why: "cut-short", more: { skipDeleted: true } });
    });

    it("refused when one half is done", async () => {
      let half: ReadonlySet<number> = new Set();
      await using both = await ends({
        ...manners,
        before(heard, _, account) {
          if (!heard.text.startsWith(verb) || half.size > 0) return undefined;
          const all = inbox(account);
          half = new Set(all.slice(0, 3).map(({ uid }) => uid));
          const done = all.filter(({ uid }) => half.has(uid));
          for (const { flags } of done) flags.add("\\Deleted");
          if (verb === "UID STORE") return "NO only some";
          const box = account.mailboxes.get("INBOX");
          if (box !== undefined) box.messages = all.filter(({ uid }) => !half.has(uid));
          if (verb === "UID MOVE") account.mailboxes.get(TRASH)?.messages.push(...done);
          return "NO only some";
        },
      });
      await refusedOnce(both, manners, { why: "cut-short", gone: verb === "UID STORE" ? 0 : 3 });
    });

    it.each(["NO [UNAVAILABLE] later", "BYE"])(
      "refused once with %s: it is asked again, and all goes",
      async (words) => {
        count("scripted cases");
        let met = 0;
        await using both = await ends({
          ...manners,
          before: ({ text }, talk) => (text.startsWith(verb) && met++ === 0 ? say(words, talk) : undefined),
        });
        const { summary } = await once(both.job, options(manners));
        expect(summary).toMatchObject({ outcome: "complete", removed: MAIL.length, kept: 0 });
        expect(both.left()).toEqual([0, manners === GMAIL ? MAIL.length : 0]);
        await expectHeld(both.job);
      },
    );
  });

  it.each(STEPS)("%s that is answered OK and not done", async (verb, manners) => {
    await using both = await ends({
      ...manners,
      before: ({ text }) => (text.startsWith(verb) ? "OK sure" : undefined),
    });
    const events = await refusedOnce(both, manners, { why: "not-confirmed" });
    expect(ofType(events, "notice").some(({ text }) => text.includes(`did not confirm that ${MAIL.length}`))).toBe(
      true,
    );
  });

  it("what others marked goes with none of it", async () => {
    count("scripted cases");
    let met = 0;
    await using both = await ends({
      before({ text }, _, account) {
        if (!text.startsWith("UID STORE") || met++ > 0) return undefined;
        account.add("INBOX", "Message-ID: <late@x>\r\n\r\nlate\r\n", { flags: new Set(["\\Deleted"]) });
        return "NO not today";
      },
    });
    await once(both.job, options({}, { skipDeleted: true }));
    const { summary } = await once(both.job, options({}, { skipDeleted: true }));
    expect(summary).toMatchObject({ outcome: "complete", removed: MAIL.length, kept: 0, balance: { filtered: 1 } });
    expect(both.left()).toEqual([1, 0]);
    await expectHeld(both.job);
  });
});
