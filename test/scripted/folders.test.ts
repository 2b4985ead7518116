// Folders that are renamed or deleted under way, names that come back in another spelling, and namespaces of every kind: nothing
// is lost, nothing is there twice, and no run says that it is complete when it is not.
//
// mutation: src/migrate/pass.ts: "const recorded = ledger.begunGeneration ?? ledger.sinkGeneration;" -> "const recorded = ledger.sinkGeneration;" (tests: "made anew by somebody else")
// mutation: src/migrate/pass.ts: "(folder.created && ledger.size > 0)" -> "false" (tests: "under the same number")
// mutation: src/migrate/folder.ts: "if (error.code === \"not-found\" || isBehind)" -> "if (isBehind)" (tests: "between the list and its opening")
// mutation: src/protocol/imap/tree.ts: " && !isOthers" -> "" (tests: "and shown in lower case")
// mutation: src/protocol/imap/tree.ts: "if (refusal === undefined && !hadAlike)" -> "if (refusal === undefined)" (tests: "cases that are one there, CREATE answered OK")
// mutation: src/protocol/imap/tree.ts: "if (same !== undefined && " -> "if (same === null && " (tests: "composed")
// mutation: src/sinks/imap.ts: "created && selected.exists === 0" -> "created" (tests: "cut short")

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MigrationEvent, RunSummary } from "../../src/migrate/events.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import type { Source } from "../../src/sources/source.ts";
import { count, countCompared } from "../kit/counts.ts";
import { mail, memorySource } from "../kit/memory.ts";
import { type Manners, type ScriptedAccount, startAccount, USUAL } from "./imap-account.ts";
import {
  type Bench,
  carry,
  intoAccount,
  intoMaildir,
  type Job,
  keysIn,
  MAIL,
  once,
  openBench,
  signal,
} from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const WORK = "Work/2024";

function letter(id: string): string {
  return `Message-ID: <${id}@example.org>\r\nSubject: ${id}\r\n\r\n${id.repeat(7)}\r\n`;
}

function shown(path: readonly string[]): string {
  return path.join("/");
}

/** What these folders hold, as wanted and as held, is the same; counted before it is asserted. */
function expectSame(
  wanted: ReadonlyMap<string, readonly string[]>,
  held: ReadonlyMap<string, readonly string[]>,
): void {
  const flat = (all: ReadonlyMap<string, readonly string[]>): string[] =>
    [...all].flatMap(([name, keys]) => keys.map((key) => `${name} ${key}`));
  countCompared(flat(wanted), flat(held));
  expect(new Map(held)).toEqual(new Map(wanted));
}

function only(all: ReadonlyMap<string, string[]>, names: Iterable<string>): Map<string, string[]> {
  return new Map([...names].flatMap((name) => (all.has(name) ? [[name, all.get(name) ?? []] as const] : [])));
}

/** Whether `part` holds nothing that `whole` does not, nor anything more often. */
function isPartOf(part: readonly string[], whole: readonly string[]): boolean {
  const left = [...whole];
  return part.every((key) => {
    const at = left.indexOf(key);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

/** What a run that ends like this says of itself: complete only where it closes, and nothing failed. */
function expectHonest(summary: RunSummary | undefined): void {
  expect(summary).toBeDefined();
  if (summary?.outcome === "complete") {
    expect(summary.closes).toBe(true);
    expect(summary.balance.failed).toBe(0);
  }
}

describe("a source folder that goes while it is read", () => {
  async function filled(): Promise<ScriptedAccount> {
    const account = await startAccount();
    for (const text of MAIL) account.add(WORK, text);
    account.add("INBOX", letter("inbox"));
    return account;
  }

  const rename = (account: ScriptedAccount): void => {
    const work = account.mailboxes.get(WORK);
    account.mailboxes.delete(WORK);
    if (work !== undefined) account.mailboxes.set("Work/Old", work);
  };
  const remove = (account: ScriptedAccount): void => void account.mailboxes.delete(WORK);

  /** The first FETCH of the folder gives two rows, then this happens, and the answer is these words ("": the connection ends). */
  function midway(account: ScriptedAccount, act: (account: ScriptedAccount) => void, words: string): Manners {
    let state: "before" | "cutting" | "cut" = "before";
    return {
      rows(rows) {
        if (state !== "before" || rows.length < MAIL.length) return rows;
        state = "cutting";
        return rows.slice(0, 2);
      },
      after(_, talk) {
        if (state !== "cutting") return undefined;
        state = "cut";
        act(account);
        if (words.startsWith("NO") || words.startsWith("OK")) return words;
        talk.send(words);
        talk.end();
        return "done";
      },
    };
  }

  it("renamed before it is opened: the run says so, and the next one carries it under its new name", async () => {
    count("scripted cases");
    await using account = await filled();
    let done = false;
    account.manners = {
      before({ text }) {
        if (done || !text.startsWith("EXAMINE") || !text.includes(WORK)) return undefined;
        done = true;
        rename(account);
        return undefined;
      },
    };
    const job = intoMaildir(bench, account);
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "partial", closes: false });
    expect(summary?.folders.find(({ folder }) => shown(folder) === WORK)?.error).toContain("no such mailbox");
    await carry(job);
    expect((await job.arrived()).has("Work/Old")).toBe(true);
  });

  const WAYS: readonly [string, string][] = [
    ["NO [NONEXISTENT]", "NO [NONEXISTENT] it has gone"],
    ["NO without a code", "NO mailbox is not there"],
    ["OK, as if that were all", "OK done"],
    ["BYE", "* BYE the mailbox was deleted\r\n"],
    ["nothing", ""],
  ];
  describe.each([
    ["at once", {}],
    ["after a listing", { maxSize: 1 << 30 }],
  ] satisfies [string, Partial<RunOptions>][])("fetched %s", (_, options) => {
    it.each(WAYS)("renamed in the middle of its bodies, with %s", async (__, words) => {
      count("scripted cases");
      await using account = await filled();
      account.manners = midway(account, rename, words);
      const job = intoMaildir(bench, account);
      const first = await once(job, options);
      expect(first.failure).toBeUndefined();
      expect(first.summary).toMatchObject({ outcome: "partial" });
      const last = await once(job, options);
      expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
      const further = await once(job, options);
      expect(further.summary).toMatchObject({ outcome: "complete", bytes: 0 });
      const [wanted, arrived] = [await job.wanted(), await job.arrived()];
      expectSame(wanted, only(arrived, wanted.keys()));
      // What came under the old name stays there, once.
      expect(isPartOf(arrived.get(WORK) ?? [], wanted.get("Work/Old") ?? [])).toBe(true);
    });

    it.each(WAYS)("deleted in the middle of its bodies, with %s", async (__, words) => {
      count("scripted cases");
      await using account = await filled();
      const before = await account.keys();
      account.manners = midway(account, remove, words);
      const job = intoMaildir(bench, account);
      const first = await once(job, options);
      expect(first.failure).toBeUndefined();
      expect(first.summary).toMatchObject({ outcome: "partial" });
      const last = await once(job, options);
      expect(last.summary).toMatchObject({ outcome: "complete", closes: true, balance: { "already-copied": 1 } });
      const [wanted, arrived] = [await job.wanted(), await job.arrived()];
      expectSame(wanted, only(arrived, wanted.keys()));
      expect(isPartOf(arrived.get(WORK) ?? [], before.get(WORK) ?? [])).toBe(true);
    });
  });

  it.each([
    ["at once", {}, { listed: 3, balance: { copied: 3, vanished: 0 } }],
    ["after a listing", { maxSize: 1 << 30 }, { listed: 7, balance: { copied: 3, vanished: 4 } }],
  ] as const)("emptied by EXPUNGEs in the middle of its bodies, fetched %s", async (_, options, sums) => {
    count("scripted cases");
    await using account = await filled();
    let done = false;
    account.manners = {
      rows(rows, text) {
        if (done || rows.length < MAIL.length || !text.includes("BODY.PEEK[]")) return rows;
        done = true;
        const work = account.mailboxes.get(WORK);
        if (work !== undefined) work.messages = work.messages.slice(0, 2);
        return [...rows.slice(0, 2), Buffer.from("* 3 EXPUNGE\r\n".repeat(MAIL.length - 2))];
      },
    };
    const job = intoMaildir(bench, account);
    const { summary } = await once(job, options);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, ...sums });
    await carry(job, { options });
  });
});

describe("a target folder that goes after some messages were recorded", () => {
  const BOX = "Box/INBOX";
  const INTO: Partial<RunOptions> = { into: ["Box"] };
  const ALONE: Manners = { capabilities: USUAL.filter((name) => name !== "MULTIAPPEND") };

  /** Gives so many, waits until they are settled, lets this happen, and gives the rest. */
  function inTwoParts(source: Source, many: number, settled: Promise<void>, act: () => void): Source {
    return {
      ...source,
      async *read(slice, options) {
        let n = 0;
        for await (const incoming of source.read(slice, options)) {
          if (n++ === many) {
            await settled;
            act();
          }
          yield incoming;
        }
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  /** A run in whose middle, three messages being recorded, this happens. */
  async function broken(account: ScriptedAccount, act: () => void) {
    const texts = MAIL.map((text, n) => mail(String(n + 1), text));
    const inner = memorySource([{ path: ["INBOX"], generation: "1", mail: texts }]);
    let settle = (): void => undefined;
    const settled = new Promise<void>((resolve) => (settle = resolve));
    let many = 0;
    let acted = false;
    const onEvent = (event: MigrationEvent): void => {
      if (event.type === "message-settled" && ++many === 3) settle();
    };
    const actOnce = (): void => {
      if (!acted) act();
      acted = true;
    };
    const base = intoAccount(bench, account);
    const job: Job = {
      ...base,
      source: async () => (acted ? inner : inTwoParts(inner, 3, settled, actOnce)),
    };
    const first = await once(job, INTO, onEvent);
    expect(acted).toBe(true);
    return { job, first };
  }

  const remake = (account: ScriptedAccount, uidValidity: number): void => {
    account.mailboxes.set(BOX, { uidValidity, uidNext: 1, messages: [] });
  };

  it.each<readonly [string, string | undefined, (account: ScriptedAccount) => void]>([
    ["deleted, and APPEND says TRYCREATE", undefined, (account) => void account.mailboxes.delete(BOX)],
    [
      "deleted, and APPEND says NONEXISTENT",
      "NO [NONEXISTENT] no such mailbox",
      (account) => void account.mailboxes.delete(BOX),
    ],
    ["deleted, and APPEND gives no code", "NO no such mailbox", (account) => void account.mailboxes.delete(BOX)],
    [
      "renamed",
      undefined,
      (account) => {
        const box = account.mailboxes.get(BOX);
        account.mailboxes.delete(BOX);
        if (box !== undefined) account.mailboxes.set("Box/Old", box);
      },
    ],
    ["deleted and made anew by somebody else", undefined, (account) => remake(account, 70)],
    [
      "renamed, and another one made in its place",
      undefined,
      (account) => {
        const box = account.mailboxes.get(BOX);
        if (box !== undefined) account.mailboxes.set("Box/Old", box);
        remake(account, 70);
      },
    ],
  ])("%s", async (_, words, act) => {
    count("scripted cases");
    let generation = 10;
    await using account = await startAccount({
      ...ALONE,
      before: ({ text }) => (text.startsWith("APPEND") && !account.mailboxes.has(BOX) ? words : undefined),
      after({ text }) {
        const made = /^CREATE /.test(text) ? account.mailboxes.get(BOX) : undefined;
        if (made !== undefined && made.uidNext === 1) made.uidValidity = generation++;
        return undefined;
      },
    });
    const { job, first } = await broken(account, () => act(account));
    expectHonest(first.summary);
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    if (first.summary?.outcome === "complete") expectSame(wanted, only(await account.keys(), [BOX]));
    else expect(first.summary).toMatchObject({ outcome: "partial", closes: false });
    const last = await once(job, INTO);
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
    const further = await once(job, INTO);
    expect(further.summary).toMatchObject({
      outcome: "complete",
      bytes: 0,
      balance: { "already-copied": MAIL.length },
    });
    expectSame(wanted, only(await account.keys(), [BOX]));
  });

  it.each([
    ["another number", 70],
    ["the same number", 5],
  ])("deleted after a whole run, made again under %s: filled whole again", async (_, uidValidity) => {
    count("scripted cases");
    await using account = await startAccount({
      after({ text }) {
        const made = /^CREATE /.test(text) ? account.mailboxes.get(BOX) : undefined;
        if (made !== undefined && made.uidNext === 1) made.uidValidity = heldBefore ? uidValidity : 5;
        return undefined;
      },
    });
    let heldBefore = false;
    const job = intoAccount(bench, account);
    await once(job, INTO);
    heldBefore = true;
    account.mailboxes.delete(BOX);
    const { summary } = await once(job, INTO);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: MAIL.length } });
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    expectSame(wanted, await account.keys());
  });

  it("deleted between the list and its opening: what was recorded is not said to be there", async () => {
    count("scripted cases");
    await using account = await startAccount();
    const job = intoAccount(bench, account);
    await once(job, INTO);
    let done = false;
    account.manners = {
      before({ text }) {
        if (done || !text.startsWith("SELECT") || !text.includes(BOX)) return undefined;
        done = true;
        account.mailboxes.delete(BOX);
        return undefined;
      },
    };
    const { summary } = await once(job, INTO);
    expect(done).toBe(true);
    expect(summary).toMatchObject({ outcome: "partial", closes: false });
    const last = await once(job, INTO);
    expect(last.summary).toMatchObject({ outcome: "complete", closes: true });
    const wanted = new Map([[BOX, (await job.wanted()).get("INBOX") ?? []]]);
    expectSame(wanted, await account.keys());
  });
});

/** One message in each folder, and two alike in the first. */
function boxes(...paths: readonly (readonly string[])[]): () => Promise<Source> {
  const folders = paths.map((path, n) => ({
    path,
    generation: "1",
    mail: [
      mail("1", letter(`${n}`)),
      mail("2", letter("the same everywhere")),
      ...(n === 0 ? [mail("3", letter("the same everywhere"))] : []),
    ],
  }));
  return async () => memorySource(folders);
}

/** The contents by folder, in no order of the folders. */
function inAnyFolder(all: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const sorted = [...all.values()].map((keys) => [...keys].sort());
  sorted.sort((a, b) => (String(a) < String(b) ? -1 : 1));
  return new Map(sorted.map((keys, n) => [`${n}`, keys]));
}

/** A job whose folders may get any name there: contents by folder, in no order of the folders. */
function byContent(account: ScriptedAccount, source: () => Promise<Source>): Job {
  return {
    source,
    sink: () => openImapSink(account.server(), signal),
    wanted: async () => inAnyFolder(await keysIn(source())),
    arrived: async () => inAnyFolder(await account.keys()),
    state: bench.place("state"),
  };
}

const NFD = "Cafe&AwE-";
const NFC = "Caf&AOk-";

describe("a name that comes back in another spelling", () => {
  const lower = (name: string): string => (name === "INBOX" ? name : name.toLowerCase());
  const first = (name: string, { mailboxes }: ScriptedAccount): string =>
    [...mailboxes.keys()].find((one) => one.toLowerCase() === name.toLowerCase()) ?? name;
  const SPELLINGS: readonly [string, readonly string[], string, NonNullable<Manners["spelling"]>][] = [
    ["in lower case", ["Work", "Plans"], "work/plans", lower],
    ["composed", ["Cafe\u0301"], NFC, (name) => name.replaceAll(NFD, NFC)],
    ["without its blank at the end", ["Work "], "Work", (name) => name.trimEnd()],
    ["without its blanks within", ["Work ", "Plans "], "Work/Plans", (name) => name.replace(/ +(?=\/|$)/g, "")],
  ];
  /** Each mailbox has a generation of its own; `words` answer a CREATE of what is there. */
  function folding(spelling: NonNullable<Manners["spelling"]>, words: string | undefined): Manners {
    let generation = 10;
    return {
      spelling,
      before: ({ text }, _, account) => {
        const asked = /^CREATE "?([^"]*)"?$/.exec(text)?.[1];
        const isThere = asked !== undefined && account.mailboxes.has(spelling(asked, account));
        return isThere ? words : undefined;
      },
      after({ text }, _, { mailboxes }) {
        const made = text.startsWith("CREATE") ? [...mailboxes.values()].at(-1) : undefined;
        if (made?.uidValidity === 5) made.uidValidity = generation++;
        return undefined;
      },
    };
  }

  describe.each(SPELLINGS)("%s", (_, path, name, spelling) => {
    it.each([
      ["OK", "OK it is there"],
      ["NO", undefined],
    ])("where CREATE of what is there is answered %s: no second copy, also without a ledger", async (__, words) => {
      await using account = await startAccount(folding(spelling, words));
      const job = byContent(account, boxes(path));
      await carry(job);
      expect([...(await account.keys()).keys()]).toEqual([name]);
      const { summary } = await carry({ ...job, state: bench.place("state") });
      expect(summary?.balance).toMatchObject({ copied: 0, adopted: 3 });
    });
  });

  it("cut short, where CREATE is always answered OK: no second copy, also without a ledger", async () => {
    await using account = await startAccount({
      spelling: (name) => name.slice(0, 8),
      before: ({ text }) =>
        text.startsWith("CREATE") && account.mailboxes.has("A longer") ? "OK it is there" : undefined,
    });
    const job = byContent(account, boxes(["A longer name"]));
    await carry(job);
    const { summary } = await carry({ ...job, state: bench.place("state") });
    expect(summary?.balance).toMatchObject({ copied: 0, adopted: 3 });
  });

  it.each([
    ["NO", undefined],
    ["OK", "OK it is there"],
  ])("cases that are one there, CREATE answered %s: all folders arrive, apart from each other", async (_, words) => {
    await using account = await startAccount(folding(first, words));
    const job = byContent(account, boxes(["Work"], ["work"], ["WORK"]));
    const ran = await carry(job);
    const losses = (ran.summary?.losses ?? []).map(({ loss }) => loss.kind);
    expect(losses).toEqual(["folder-name", "folder-name"]);
    const { summary } = await carry({ ...job, state: bench.place("state") });
    expect(summary?.balance).toMatchObject({ copied: 0, adopted: 7 });
    expect(account.heard.filter((line) => line.includes("CREATE")).length).toBeLessThan(30);
  });

  // Which of the paths has which folder is not to be seen in such a listing: the second run may copy once more, and no third one.
  it("cases that are one there, and shown in lower case: nothing is lost, and it comes to an end", async () => {
    count("scripted cases");
    await using account = await startAccount(folding(lower, undefined));
    const job = byContent(account, boxes(["Work"], ["work"], ["WORK"]));
    const { summary } = await once(job);
    expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 7 } });
    expectSame(await job.wanted(), await job.arrived());
    await once(job);
    const { summary: third } = await once(job);
    expect(third).toMatchObject({ outcome: "complete", bytes: 0, balance: { "already-copied": 7 } });
    const held = [...(await account.keys()).values()].flat();
    expect(isPartOf([...(await job.wanted()).values()].flat(), held)).toBe(true);
    expect(account.heard.filter((line) => line.includes("CREATE")).length).toBeLessThan(30);
  });
});

describe("namespaces of a target", () => {
  const lossesOf = (summary: RunSummary | undefined): string[] =>
    (summary?.losses ?? []).flatMap(({ loss }) =>
      loss.kind === "folder-name" ? [`${loss.from.join("|")} -> ${loss.to}`] : [],
    );
  const named = ({ heard }: ScriptedAccount, verb: string): string[] => [
    ...new Set(
      heard.flatMap((line) => {
        const [, quoted, atom] = new RegExp(`^\\S+ ${verb} (?:"([^"]*)"|(\\S+))`).exec(line) ?? [];
        return quoted ?? atom ?? [];
      }),
    ),
  ];
  const OTHERS = '(("Other Users/" "/")) (("Shared/" "/"))';

  it.each<readonly [string, Manners, readonly (readonly string[])[], readonly string[], readonly string[]]>([
    [
      "INBOX. as the prefix",
      { namespace: '(("INBOX." ".")) NIL NIL', delimiter: "." },
      [["INBOX"], ["Work", "2024"], ["a.b"], ["INBOX", "Sub"]],
      ["INBOX", "INBOX.Work.2024", "INBOX.a_b", "INBOX.INBOX.Sub"],
      ["a.b -> INBOX.a_b"],
    ],
    [
      "no hierarchy",
      { namespace: '(("" NIL)) NIL NIL', delimiter: null },
      [["A", "B"], ["A_B"], ["A/B"], ["A"]],
      ["A_B", "A_B+4", "A/B", "A"],
      ["A|B -> A_B", "A_B -> A_B+4"],
    ],
    [
      "several of one's own",
      { namespace: '(("" "/")("#mh/" "/")) NIL NIL' },
      [
        ["Work", "2024"],
        ["#mh", "x"],
      ],
      ["Work/2024", "#mh/x"],
      [],
    ],
    [
      "a prefix first, and none second",
      { namespace: '(("INBOX." ".")("" ".")) NIL NIL', delimiter: "." },
      [["Work", "2024"]],
      ["INBOX.Work.2024"],
      [],
    ],
    ["those of others", { namespace: `(("" "/")) ${OTHERS}` }, [["Work", "2024"]], ["Work/2024"], []],
    [
      "another delimiter than LIST has",
      { namespace: '(("" "/")) NIL NIL', delimiter: "." },
      [["Work", "2024"]],
      ["Work/2024"],
      [],
    ],
  ])("%s: the names on the wire", async (_, manners, paths, names, losses) => {
    await using account = await startAccount(manners);
    const job = byContent(account, boxes(...paths));
    const { summary } = await carry(job);
    expect(named(account, "APPEND").sort()).toEqual([...names].sort());
    expect([...(await account.keys()).keys()].sort()).toEqual([...names].sort());
    expect(lossesOf(summary).sort()).toEqual([...losses].sort());
    const again = await carry({ ...job, state: bench.place("state") });
    expect(again.summary?.balance).toMatchObject({ copied: 0, adopted: 2 * paths.length + 1 });
  });
});

describe("namespaces of a source", () => {
  /** The target's names after all of it, or what is chosen of it, has arrived. */
  async function arriveFrom(
    manners: Manners,
    names: readonly string[],
    chosen: readonly string[] = names,
    options: Partial<RunOptions> = {},
  ): Promise<string[]> {
    await using account = await startAccount(manners);
    for (const [n, name] of names.entries()) {
      account.add(name, letter(`${n}`));
      account.add(name, letter("the same everywhere"));
    }
    await using target = await startAccount();
    const job = byContent(target, () => openImapSource(account.server(), signal));
    const wanted = async () => inAnyFolder(only(await account.keys(), chosen));
    await carry({ ...job, wanted }, { options });
    return [...(await target.keys()).keys()].sort();
  }

  it.each<readonly [string, Manners, readonly string[], readonly string[]]>([
    [
      "INBOX. as the prefix",
      { namespace: '(("INBOX." ".")) NIL NIL', delimiter: "." },
      ["INBOX", "INBOX.Work.2024", "INBOX.a/b"],
      ["INBOX", "Work/2024", "a_b"],
    ],
    ["no hierarchy", { namespace: '(("" NIL)) NIL NIL', delimiter: null }, ["A", "A/B", "A.B"], ["A", "A.B", "A_B"]],
    [
      "several of one's own",
      { namespace: '(("INBOX." ".")("" ".")) NIL NIL', delimiter: "." },
      ["INBOX.Work", "Work", "#mh.x"],
      ["#mh/x", "Work", "Work (Work)"],
    ],
    [
      "another delimiter than LIST has",
      { namespace: '(("" "/")) NIL NIL', delimiter: "." },
      ["Work.2024", "a.b"],
      ["Work/2024", "a/b"],
    ],
  ])("%s: each folder arrives by itself", async (_, manners, names, arrived) => {
    expect(await arriveFrom(manners, names)).toEqual([...arrived].sort());
  });

  it("those of others are carried under names that tell it, and left out where that is asked", async () => {
    const namespace = '(("" "/")) (("Other Users/" "/")) (("Shared/" "/"))';
    const names = ["Work", "Other Users/bob/Work", "Shared/Work"];
    expect(await arriveFrom({ namespace }, names)).toEqual([...names].sort());
    const select = { include: [], exclude: ["Other Users/**", "Shared/**"] };
    expect(await arriveFrom({ namespace }, names, ["Work"], { select })).toEqual(["Work"]);
  });
});
