// Servers that refuse one step of the work: the "+" for a literal, a flag, a deletion, a size. What is refused is told, all the rest
// comes, and the next run does what was left.
//
// mutation: src/protocol/imap/store.ts: "if (scope !== \"folder\" || remedy" -> "if (scope === \"folder\" || remedy" (tests: "STORE is refused with NO not now")
// mutation: src/migrate/folder.ts: " || isBehind" -> "" (tests: "STORE is refused with NO [UNAVAILABLE] later, and stored")
// mutation: src/migrate/read.ts: "known?.hasOurMark === true ?" -> "false ?" (tests: "UID EXPUNGE refused while --skip-deleted")
// mutation: src/protocol/imap/remove.ts: "origin !== undefined && !left.has(uid)" -> "origin !== undefined" (tests: "answered OK and not done")
// mutation: src/sinks/imap.ts: "connection.has(\"APPENDLIMIT\") ?" -> "false ?" (tests: "holds for its folder")

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { count, countCompared } from "../kit/counts.ts";
import { type Instead, type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import { type Bench, carry, intoAccount, type Job, MAIL, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

type Talk = Parameters<NonNullable<Manners["before"]>>[1];

/** Says these words; BYE ends the connection. */
function say(words: string, talk: Talk): Instead {
  if (words !== "BYE") return words;
  talk.send("* BYE going down\r\n");
  talk.end();
  return "done";
}

/** From one account to another; `wanted` is what the source held when this was called. */
async function between(from: ScriptedAccount, to: ScriptedAccount): Promise<Job> {
  const held = await from.keys();
  return {
    ...intoAccount(bench, to),
    source: () => openImapSource(from.server(), signal),
    wanted: async () => held,
  };
}

async function expectHeld(job: Job, wanted?: ReadonlyMap<string, string[]>): Promise<void> {
  const [all, arrived] = [wanted ?? (await job.wanted()), await job.arrived()];
  const flat = (held: ReadonlyMap<string, string[]>): string[] =>
    [...held].flatMap(([name, keys]) => keys.map((key) => `${name} ${key}`));
  countCompared(flat(all), flat(arrived));
  expect(arrived).toEqual(all);
}

function inbox(account: ScriptedAccount) {
  return account.mailboxes.get("INBOX")?.messages ?? [];
}

function ofType<T extends MigrationEvent["type"]>(
  events: readonly MigrationEvent[],
  type: T,
): Extract<MigrationEvent, { type: T }>[] {
  return events.filter((event): event is Extract<MigrationEvent, { type: T }> => event.type === type);
}

/** Losses as "kind name", each with the number of its messages. */
function lossesOf(summary: RunSummary | undefined): Record<string, number> {
  const losses = (summary?.losses ?? []).map(({ loss, messages }) => [
    "name" in loss ? `${loss.kind} ${loss.name}` : loss.kind,
    messages,
  ]);
  return Object.fromEntries(losses) as Record<string, number>;
}

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
      job: await between(from, to),
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
    const ran = await carry(await between(from, to));
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
      const { summary } = await carry(await between(from, to));
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
      const { summary } = await carry(await between(from, to));
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
      expect((await once(await between(from, to))).summary?.outcome).toBe("complete");
      const job = { ...(await between(from, to)) };
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
    const job = await between(from, to);
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
    const job = await between(from, to);
    const first = await once(job);
    expect(first.summary).toMatchObject({ closes: true, balance: { adopted: 3, copied: 3, failed: 0 } });
    expectAccounted(from, to, first.summary);
    await expectHeld(job);
    to.manners = {};
    await carry(job);
    expect(flagsOf(to)).toEqual(flagsOf(from));
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
    const job = await between(from, to);
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
