// Names that come back in another spelling, and namespaces of every kind: each folder of the source has one of its own at the
// target, in the next run too.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunSummary } from "../../src/migrate/events.ts";
import { run as migrate, type RunOptions } from "../../src/migrate/run.ts";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import type { Source } from "../../src/sources/source.ts";
import { count } from "../kit/counts.ts";
import { mail, memorySource } from "../kit/memory.ts";
import { expectSame, isPartOf, letter, only } from "./contents.ts";
import { type Manners, type ScriptedAccount, startAccount } from "./imap-account.ts";
import { type Bench, carry, type Job, keysIn, once, openBench, signal } from "./jobs.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

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
  const SPELLINGS: readonly [string, readonly string[], string, string, NonNullable<Manners["spelling"]>][] = [
    ["in lower case", ["Work", "Plans"], "work/plans", "work/plans", lower],
    ["composed", ["Cafe\u0301"], NFC, "Caf\u00e9", (name) => name.replaceAll(NFD, NFC)],
    ["without its blank at the end", ["Work "], "Work", "Work", (name) => name.trimEnd()],
    [
      "without its blanks within",
      ["Work ", "Plans "],
      "Work/Plans",
      "Work/Plans",
      (name) => name.replace(/ +(?=\/|$)/g, ""),
    ],
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

  describe.each(SPELLINGS)("%s", (_, path, name, shown, spelling) => {
    it.each([
      ["OK", "OK it is there"],
      ["NO", undefined],
    ])("where CREATE of what is there is answered %s: no second copy, also without a ledger", async (__, words) => {
      await using account = await startAccount(folding(spelling, words));
      const job = byContent(account, boxes(path));
      const { events } = await carry(job);
      expect([...(await account.keys()).keys()]).toEqual([name]);
      const told = events.flatMap((event) => (event.type === "notice" ? event.text : []));
      expect(told).toEqual([`the target lists 1 folder under another name: ${path.join("/")} as ${shown}`]);
      const { summary } = await carry({ ...job, state: bench.place("state") });
      expect(summary?.balance).toMatchObject({ copied: 0, adopted: 3 });
    });
  });

  const dotless = (name: string): string => name.replaceAll(".", "_");
  const bare = (name: string): string => name.replace(/[()*]/g, "");
  it.each<readonly [string, readonly (readonly string[])[], NonNullable<Manners["spelling"]>, string | undefined]>([
    ["replaced", [["a.b"]], dotless, undefined],
    ["replaced, one below another", [["Proj", "v1.2"]], dotless, undefined],
    ["replaced, and another one has that name", [["a.b"], ["a_b"]], dotless, undefined],
    ["replaced, and another one had that name before", [["a_b"], ["a.b"]], dotless, undefined],
    [
      "replaced, each by its own",
      [["a.b"], ["a+b"], ["a_b"]],
      (name) => name.replaceAll(".", "-").replaceAll("+", "="),
      undefined,
    ],
    ["dropped", [["Clients (old)"], ["Clients"]], bare, undefined],
    ["dropped, so that two are one", [["Clients (old)"], ["Clients* old"], ["Clients* (old)"]], bare, undefined],
    ["dropped, so that two are one, and that is another one", [["Clients* old"], ["Clients old"]], bare, undefined],
    [
      "dropped, and CREATE of what is there is OK",
      [["Clients (old)"], ["Clients* old"], ["X"]],
      bare,
      "OK it is there",
    ],
  ])(
    "with characters that are %s: each in a folder of its own, and no second copy; one alone also without a ledger",
    async (_, paths, spelling, words) => {
      await using account = await startAccount(folding(spelling, words));
      const job = byContent(account, boxes(...paths));
      const { events } = await carry(job);
      expectSame(await job.wanted(), await job.arrived());
      const before = [...(await account.keys()).keys()];
      expect(before.length).toBe(paths.length);
      const told = events.flatMap((event) => (event.type === "notice" ? event.text : ""));
      // No folder is said to be that of two paths.
      const shown = told.join("\n").match(/(?<= as )[^,\n]+/g) ?? [];
      expect(shown).toEqual([...new Set(shown)]);
      const { summary } = await once(job);
      expect(summary?.balance).toMatchObject({ copied: 0, adopted: 0, failed: 0 });
      // Which of two paths has which folder is not to be seen in a listing.
      if (paths.length > 1) return;
      const anew = await carry({ ...job, state: bench.place("state") });
      expect(anew.summary?.balance).toMatchObject({ copied: 0, failed: 0 });
      expect([...(await account.keys()).keys()]).toEqual(before);
    },
  );

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

  it("cut short, so that two are one, and CREATE is answered OK: nothing is lost in that one, or doubled", async () => {
    await using account = await startAccount({
      spelling: (name) => name.slice(0, 8),
      before: ({ text }) =>
        text.startsWith("CREATE") && account.mailboxes.has("A longer") ? "OK it is there" : undefined,
    });
    const job = byContent(account, boxes(["A longer 1"], ["A longer 2"]));
    for (let run = 0; run < 3; run++) {
      await using sink = await job.sink();
      const options = { stateDirectory: job.state };
      const summary = await migrate(await job.source(), sink, options, signal).finished;
      expect(summary).toMatchObject({ outcome: "complete", closes: true, ...(run > 0 ? { bytes: 0 } : {}) });
      const held = [...(await account.keys()).values()].flat();
      expect(new Set(held)).toEqual(new Set([...(await job.wanted()).values()].flat()));
      // The second may find there what the first one put there, and it is the same.
      expect([4, 5]).toContain(held.length);
    }
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
