// What the ledger remembers of the runs themselves, and of the names that paths got in the target.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { version } from "../../src/core/version.ts";
import { MailError } from "../../src/mail/errors.ts";
import { memoryLedger, openLedger } from "../../src/migrate/journal.ts";
import type { RunOptions } from "../../src/migrate/run.ts";
import { run } from "../../src/migrate/run.ts";
import { mail, memorySink, memorySource, newStore } from "../kit/memory.ts";
import { PAIR, scratch } from "./journal-kit.ts";

const { signal } = new AbortController();
const START = { version: "9.9", selection: { exclude: ["Trash"] } };
const END = { outcome: "complete", balance: { copied: 3 } };

describe("the file of the runs", () => {
  it("has a start and an end for each, and a start alone for one that was killed", async () => {
    await using place = await scratch();
    for (const number of [1, 2, 3]) {
      await using ledger = await openLedger(place.path, PAIR);
      expect(await ledger.beginRun(START)).toBe(number);
      if (number !== 2) await ledger.endRun(END);
    }
    await using ledger = await openLedger(place.path, PAIR);
    const runs = await ledger.runs();
    expect(runs.map(({ number, end }) => [number, end?.outcome])).toEqual([
      [1, "complete"],
      [2, undefined],
      [3, "complete"],
    ]);
    expect(runs[0]).toMatchObject({ ...START, end: END });
    expect(runs[0]?.startedAt).toBeGreaterThan(1_600_000_000);
    expect(runs[0]?.end?.at).toBeGreaterThanOrEqual(runs[0]?.startedAt ?? Number.NaN);
  });

  it("of another pair is set aside: an archive that was not begun when a run failed has another identity the next time", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    await ledger.beginRun(START);
    await ledger.rememberName(["A"], "a");
    await using other = await openLedger(place.path, { ...PAIR, sink: "maildir:other" });
    expect(await other.nameOf(["A"])).toBeUndefined();
    expect(await other.beginRun(START)).toBe(1);
    expect(await other.runs()).toHaveLength(1);
    expect(readdirSync(place.path).filter((name) => name.startsWith("runs.jsonl."))).toHaveLength(1);
  });

  it("belongs to no program of an older version", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    await ledger.beginRun(START);
    expect(readFileSync(join(place.path, "runs.jsonl"), "latin1").slice(9)).toMatch(/^\{"v":2,/);
  });

  it("goes on wherever it was cut, and whichever octet of it changed", async () => {
    await using place = await scratch();
    const path = join(place.path, "runs.jsonl");
    for (let n = 0; n < 3; n++) {
      await using ledger = await openLedger(place.path, PAIR);
      await ledger.beginRun(START);
      await ledger.rememberName(["A", `b ${n}`], `A/b&${n}`);
      await ledger.endRun(END);
    }
    const whole = readFileSync(path);
    const goOn = async (what: string, least: number): Promise<void> => {
      const notices: string[] = [];
      const options = { onNotice: (text: string) => notices.push(text) };
      {
        await using ledger = await openLedger(place.path, PAIR, options);
        const number = await ledger.beginRun(START);
        expect(number, what).toBeGreaterThan(0);
        await ledger.endRun(END);
        expect((await ledger.runs()).at(-1), what).toMatchObject({ number, end: END });
        await ledger.rememberName(["A", "b 0"], "new");
      }
      const again: string[] = [];
      await using ledger = await openLedger(place.path, PAIR, { onNotice: (text) => again.push(text) });
      expect(await ledger.nameOf(["A", "b 0"]), what).toBe("new");
      const runs = await ledger.runs();
      expect(new Set(runs.map(({ number }) => number)).size, what).toBe(runs.length);
      expect(runs.length, what).toBeGreaterThanOrEqual(least);
      expect(again, what).toEqual([]);
      const aside = readdirSync(place.path).filter((name) => name.includes("damaged"));
      for (const name of aside) {
        expect(notices.join(), what).toContain(name.slice(0, 10));
        rmSync(join(place.path, name));
      }
    };
    for (let length = 0; length < whole.length; length += 37) {
      writeFileSync(path, whole.subarray(0, length));
      await goOn(`cut at ${length}`, 1);
    }
    const headEnd = whole.indexOf(10);
    for (let at = 0; at < whole.length; at += 23) {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path, bad);
      // One damaged line costs that line: of three runs two are left, and the new one.
      await goOn(`octet ${at}`, at <= headEnd ? 1 : 2);
    }
  });

  it("never gives a number twice while it is whole, also after a run that wrote nothing else", async () => {
    await using place = await scratch();
    const numbers: number[] = [];
    for (let n = 0; n < 4; n++) {
      await using ledger = await openLedger(place.path, PAIR);
      numbers.push(await ledger.beginRun(START));
    }
    expect(numbers).toEqual([1, 2, 3, 4]);
  });
});

describe("the names of paths", () => {
  it("are those that were remembered last, in later runs too, and written once", async () => {
    await using place = await scratch();
    const path = ["Größe", "a/b"];
    {
      await using ledger = await openLedger(place.path, PAIR);
      expect(await ledger.nameOf(path)).toBeUndefined();
      await Promise.all([ledger.rememberName(path, "old"), ledger.rememberName(["B"], "\u00e9&")]);
      await ledger.rememberName(path, "INBOX.Gr&APYA3w-e");
      expect(await ledger.nameOf(path)).toBe("INBOX.Gr&APYA3w-e");
    }
    const size = readFileSync(join(place.path, "runs.jsonl")).length;
    await using ledger = await openLedger(place.path, PAIR);
    await ledger.rememberName(path, "INBOX.Gr&APYA3w-e");
    expect(readFileSync(join(place.path, "runs.jsonl")).length).toBe(size);
    expect(await ledger.nameOf(path)).toBe("INBOX.Gr&APYA3w-e");
    expect(await ledger.nameOf(["B"])).toBe("\u00e9&");
    await using dry = memoryLedger({ directory: place.path, pair: PAIR });
    expect(await dry.nameOf(["B"])).toBe("\u00e9&");
    await dry.rememberName(["B"], "other");
    expect(await dry.nameOf(["B"])).toBe("other");
    expect(readFileSync(join(place.path, "runs.jsonl")).length).toBe(size);
  });
});

describe("a run", () => {
  let stateDirectory: string;
  beforeEach(async () => {
    stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-runs-"));
  });
  afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

  const go = (options: Partial<RunOptions> = {}, sink = memorySink(newStore())) =>
    run(
      memorySource([{ path: ["INBOX"], generation: "1", mail: [mail("1")] }]),
      sink,
      { stateDirectory, patience: { attempts: 1, firstDelayMs: 1 }, ...options },
      signal,
    ).finished;

  async function runs() {
    const path = readdirSync(stateDirectory, { recursive: true, encoding: "utf8" }).find((name) =>
      name.endsWith("runs.jsonl"),
    );
    if (path === undefined) return [];
    await using ledger = await openLedger(join(stateDirectory, path, ".."), {
      source: "memory:source",
      sink: "memory:sink",
    });
    return await ledger.runs();
  }

  it("says by which version, what it selects, and how it ended, the balance with it", async () => {
    await go({ select: { include: ["IN*"], exclude: [] }, maxSize: 4000, skipDeleted: true, recheck: true });
    expect(await runs()).toEqual([
      {
        number: 1,
        version: version(),
        selection: { include: ["IN*"], maxSize: 4000, skipDeleted: true, recheck: true },
        startedAt: expect.any(Number),
        end: {
          at: expect.any(Number),
          outcome: "complete",
          balance: expect.objectContaining({ copied: 1, failed: 0 }),
        },
      },
    ]);
  });

  it("that could not go on has an end as well", async () => {
    const sink = memorySink(newStore(), {
      step: (what) => {
        if (what === "open") throw new MailError("auth", "out", { scope: "account", remedy: "give-up" });
      },
    });
    await expect(go({}, sink)).rejects.toThrow("out");
    expect((await runs()).map(({ end }) => end?.outcome)).toEqual(["stopped"]);
  });

  it("that is dry leaves no line", async () => {
    await go({ dryRun: true });
    expect(await runs()).toEqual([]);
    await go();
    await go({ dryRun: true });
    expect((await runs()).length).toBe(1);
  });

  it("puts its number into what it records", async () => {
    const store = newStore();
    await go({}, memorySink(store));
    const path = readdirSync(stateDirectory, { recursive: true, encoding: "utf8" }).find((name) =>
      /INBOX-.*jsonl$/.test(name),
    );
    const text = readFileSync(join(stateDirectory, path ?? ""), "latin1");
    expect(text).toMatch(/"s":"done".*"u":1/);
    // What the source announced is what it gave: not written twice.
    expect(text).not.toMatch(/"b":/);
  });
});
