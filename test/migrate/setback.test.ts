// A target that is not as it was left: what was recorded of it is believed no longer, whatever kind of target says so.

import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import type { Setback, Sink, SinkFolder, Stood } from "../../src/sinks/sink.ts";
import { type MemoryFolder, type MemoryStore, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

const { signal } = new AbortController();
let stateDirectory: string;
let store: MemoryStore;
let source: MemoryFolder[];
/** What the target says of the stood it is told. */
let says: (stood: Stood) => Setback | undefined;
let told: (Stood | undefined)[];
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-setback-"));
  store = newStore();
  source = [{ path: ["INBOX"], generation: "1", mail: Array.from({ length: 10 }, (_, n) => mail(`m${n}`)) }];
  says = () => undefined;
  told = [];
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

function sink(more: Partial<Sink> = {}): Sink {
  const inner = memorySink(store);
  return {
    ...inner,
    async open(folder, _signal, stood): Promise<SinkFolder> {
      told.push(stood);
      const opened = await inner.open(folder);
      const setback = stood === undefined ? undefined : says(stood);
      return { ...opened, stand: () => `at ${store.next}`, ...(setback === undefined ? {} : { setback }) };
    },
    ...more,
  };
}

async function go(options: Partial<RunOptions> = {}, target = sink()) {
  const notices: string[] = [];
  const patience = { attempts: 3, firstDelayMs: 1 };
  const going = run(memorySource(source), target, { stateDirectory, patience, ...options }, signal);
  for await (const event of going) if (event.type === "notice") notices.push(event.text);
  const { balance, outcome } = await going.finished;
  return { copied: balance.copied, known: balance["already-copied"], adopted: balance.adopted, outcome, notices };
}

const held = () => store.folders.get("INBOX") ?? [];

describe("what a target is told", () => {
  it("is nothing at first, and then where it stood, how much it holds, and its newest copies with what they are", async () => {
    await go();
    await go();
    const [first, second] = told;
    expect(first).toBeUndefined();
    expect(second).toMatchObject({ at: "at 11", recorded: 10 });
    expect(second?.newest.map(({ receipt }) => receipt.ref)).toEqual(["7", "8", "9", "10"]);
    const [, , , last] = held().slice(6);
    expect(second?.newest[3]).toMatchObject({ size: last?.bytes.length, key: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it("keeps to the newest copies when the flags of older ones change, and through a compaction", async () => {
    await go();
    for (let round = 0; round < 12; round++) {
      const [first] = source[0]?.mail ?? [];
      if (first === undefined) throw new Error("no mail");
      for (const each of source[0]?.mail.slice(0, 6) ?? [])
        each.traits = { ...each.traits, flags: new Set(round % 2 === 0 ? ["seen"] : []) };
      await go();
    }
    expect(told.at(-1)?.newest.map(({ receipt }) => receipt.ref)).toEqual(["7", "8", "9", "10"]);
  });
});

describe("a target that went back", () => {
  it("is looked at anew: what it lost is copied again, what it has is found, and it is said", async () => {
    await go();
    held().splice(8);
    expect(await go()).toMatchObject({ copied: 0, known: 10 });
    says = () => ({ why: "its clock says so" });
    const { notices, ...rest } = await go();
    expect(rest).toEqual({ copied: 2, known: 0, adopted: 8, outcome: "complete" });
    expect(notices.join()).toContain("INBOX in the target is not as it was left (its clock says so)");
    says = () => undefined;
    expect(await go()).toMatchObject({ copied: 0, known: 10, notices: [] });
  });

  it("that had to be made again is filled again, although nothing is told of how it stood", async () => {
    const plain = (): Sink => {
      const inner = memorySink(store);
      return {
        ...inner,
        async open(folder) {
          const { stand: _, setback: __, ...rest } = await inner.open(folder);
          return rest;
        },
      };
    };
    await go({}, plain());
    store.folders.delete("INBOX");
    expect(await go({}, plain())).toMatchObject({ copied: 10, known: 0 });
    expect(held().length).toBe(10);
  });

  it("keeps no flag of ours on mail that has the name of a lost copy", async () => {
    await go();
    const lost = held().pop();
    held().push({ ref: lost?.ref ?? "", bytes: mail("other").bytes, traits: mail("other").traits });
    const last = source[0]?.mail[9];
    if (last !== undefined) last.traits = { ...last.traits, flags: new Set(["deleted"]) };
    says = ({ newest }) => ({ strange: newest.slice(-1) });
    expect(await go()).toMatchObject({ copied: 1, adopted: 9 });
    expect(held().map(({ traits }) => [...traits.flags].join())).toEqual([...Array(10).fill(""), "deleted"]);
  });

  it("is believed where the bytes of a strange copy are those that were recorded", async () => {
    await go();
    says = ({ newest }) => ({ strange: newest });
    expect(await go()).toMatchObject({ copied: 0, known: 10, notices: [] });
  });

  it.each([
    [1, 0],
    [2, 2],
    [5, 5],
  ])("of which %i of 10 are gone gets %i again", async (gone, copied) => {
    await go();
    held().splice(0, gone);
    says = () => ({ thinned: true });
    expect((await go()).copied).toBe(copied);
    says = () => undefined;
    expect((await go({ recheck: true })).copied).toBe(gone - copied);
    expect(held().length).toBe(10);
  });

  it("is noticed by the first pass that opens it, however many were needed for that", async () => {
    await go();
    held().splice(8);
    says = () => ({ why: "it went back" });
    const inner = sink();
    let opens = 0;
    const failing: Sink = {
      ...inner,
      async open(...args) {
        if (++opens === 1) throw new MailError("connection", "cut", { scope: "account", remedy: "retry" });
        return await inner.open(...args);
      },
    };
    expect(await go({}, failing)).toMatchObject({ copied: 2, adopted: 8 });
    expect(opens).toBeGreaterThan(1);
  });
});

it("what was recorded is forgotten once in a run, however many passes that takes", async () => {
  await go();
  held().splice(5);
  const cut = new MailError("connection", "cut", { scope: "folder", remedy: "retry" });
  const source2 = memorySource(source, { breakAt: new Map([[3, cut]]) });
  const options = { stateDirectory, recheck: true, patience: { attempts: 3, firstDelayMs: 1 } };
  expect((await run(source2, sink(), options, signal).finished).balance).toMatchObject({ copied: 5, adopted: 5 });
  const names = readdirSync(stateDirectory, { recursive: true, encoding: "utf8" });
  const journal = names.find((name) => /INBOX-.*\.jsonl$/.test(name)) ?? "";
  expect(readFileSync(join(stateDirectory, journal), "latin1").split('"s":"forget"').length - 1).toBe(1);
});

describe("a folder that did not move at its source", () => {
  const paths = ["A", "B", "C", "D", "E"];
  const asked: { path: string; closely: boolean | undefined; at: string | undefined }[] = [];
  beforeEach(() => {
    asked.length = 0;
    source = paths.map((path) => ({ path: [path], generation: "1", state: "1", mail: [mail(path)] }));
  });
  let gone: string | undefined;
  const target = () =>
    sink({
      async isGone({ path }, _generation, _signal, stood, closely) {
        asked.push({ path: path.join(), closely, at: stood?.at });
        return path[0] === gone;
      },
    });

  it("is opened all the same where its target says that it went back", async () => {
    gone = undefined;
    await go({}, target());
    told.length = 0;
    expect(await go({}, target())).toMatchObject({ known: 5 });
    expect(told).toEqual([]);
    expect(asked.map(({ at }) => typeof at)).toEqual(paths.map(() => "string"));
    gone = "C";
    says = () => ({ why: "it went back" });
    store.folders.get("C")?.splice(0);
    expect(await go({}, target())).toMatchObject({ copied: 1, known: 4 });
  });

  it("is opened where its target cannot be asked, with the patience that a pass has", async () => {
    gone = undefined;
    await go({}, target());
    let asks = 0;
    const cut: Sink = {
      ...target(),
      async isGone() {
        asks++;
        throw new MailError("connection", "too many connections", { scope: "account", remedy: "wait" });
      },
    };
    expect(await go({}, cut)).toMatchObject({ copied: 0, known: 5 });
    expect(asks).toBe(5);
  });

  it("is looked at closely where the last run that copied anything wrote it, and that for few", async () => {
    gone = undefined;
    await go({}, target());
    await go({}, target());
    expect(asked.filter(({ closely }) => closely === true).length).toBe(3);
    for (const each of [2, 4]) {
      const folder = source[each];
      folder?.mail.push(mail(`new ${each}`));
      if (folder !== undefined) folder.state = "2";
    }
    await go({}, target());
    // A run that copied nothing is not the one that is meant.
    await go({}, target());
    asked.length = 0;
    await go({}, target());
    expect(asked.filter(({ closely }) => closely === true).map(({ path }) => path)).toEqual(["C", "E"]);
  });
});
