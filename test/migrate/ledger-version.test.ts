// Ledgers of version 1 are read and written on as 2; what 2 adds to a record comes back as it was written.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openLedger } from "../../src/migrate/journal.ts";
import type { DoneRecord } from "../../src/migrate/ledger.ts";
import { run } from "../../src/migrate/run.ts";
import { type MemoryFolder, type MemoryStore, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";
import { all, done, INBOX, journalIn, origin, PAIR, scratch } from "./journal-kit.ts";

const { signal } = new AbortController();
/** Written by a program that knew version 1 alone: two runs over these folders. */
const FIXTURE = fileURLToPath(new URL("../fixtures/ledger-1", import.meta.url));

const twin = (id: string) => mail(id, "Message-ID: <twin@x>\r\n\r\ntwin\r\n");
const START = { version: "9.9", selection: {} };

let stateDirectory: string;
let source: MemoryFolder[];
let store: MemoryStore;
beforeEach(() => {
  stateDirectory = mkdtempSync(join(tmpdir(), "mailferry-version-"));
  cpSync(FIXTURE, stateDirectory, { recursive: true });
  const seen = { flags: new Set(["seen" as const]) };
  source = [
    { path: INBOX, generation: "7", state: "7/4", mail: [mail("1", undefined, seen), twin("2"), twin("3"), mail("7")] },
    { path: ["Work"], generation: "7", state: "7/2", mail: [twin("1"), mail("5")] },
  ];
  store = newStore();
  const refs = { INBOX: ["1", "2", "3", "6"], Work: ["4", "5"] };
  for (const [name, held] of Object.entries(refs)) {
    const messages = source.find(({ path }) => path[0] === name)?.mail ?? [];
    store.folders.set(
      name,
      messages.map(({ bytes, traits }, at) => ({ ref: held[at] ?? "", bytes, traits })),
    );
  }
  store.next = 7;
});
afterEach(() => rmSync(stateDirectory, { recursive: true, force: true }));

async function go() {
  const sink = memorySink(store);
  const { balance, outcome } = await run(memorySource(source), sink, { stateDirectory }, signal).finished;
  return { outcome, copied: balance.copied, known: balance["already-copied"], adopted: balance.adopted };
}

function ledgerDirectory(): string {
  const path = readdirSync(stateDirectory, { recursive: true, encoding: "utf8" }).find((name) =>
    /ledger\/[^/]+$/.test(name),
  );
  return join(stateDirectory, path ?? "");
}

function journal(name: string): string {
  const file = readdirSync(ledgerDirectory()).find((each) => each.startsWith(`${name}-`) && each.endsWith(".jsonl"));
  return join(ledgerDirectory(), file ?? "");
}

const versionOf = (path: string): unknown =>
  (JSON.parse(readFileSync(path, "latin1").split("\n")[0]?.slice(9) ?? "") as { v: unknown }).v;

const KNOWN = { outcome: "complete", copied: 0, known: 6, adopted: 0 };

describe("a ledger of version 1", () => {
  it("is read on, and not touched where there is nothing to write", async () => {
    expect(await go()).toEqual(KNOWN);
    expect([versionOf(journal("INBOX")), versionOf(journal("Work"))]).toEqual([1, 1]);
  });

  it("becomes one of version 2 with the first record, and holds all that it held", async () => {
    source[0]?.mail.splice(2, 1, { ...twin("3"), traits: { ...twin("3").traits, flags: new Set(["flagged"]) } });
    source[0] = { ...(source[0] ?? expect.fail()), state: "7/5" };
    expect(await go()).toEqual(KNOWN);
    expect([versionOf(journal("INBOX")), versionOf(journal("Work"))]).toEqual([2, 1]);
    expect(store.folders.get("INBOX")?.map(({ traits }) => [...traits.flags])).toEqual([["seen"], [], ["flagged"], []]);
    await using ledger = await openLedger(ledgerDirectory(), { source: "memory:source", sink: "memory:sink" });
    const records = await all(await ledger.folder("INBOX"));
    // Of what version 1 wrote nothing is known that it did not know.
    expect(records.map(({ origin: { id }, run: by }) => [id, by])).toEqual([
      ["1", undefined],
      ["2", undefined],
      ["7", undefined],
      ["3", 1],
    ]);
    for (const { losses, announced, at } of records.slice(0, 3))
      expect([losses, announced, at]).toEqual([undefined, undefined, undefined]);
    expect((await ledger.folder("INBOX")).clean).toBe(true);
    await ledger[Symbol.asyncDispose]();
    expect(await go()).toEqual(KNOWN);
  });

  it("is written on as 2 by a program that died before it closed it", async () => {
    const path = journal("INBOX");
    const lines = readFileSync(path, "latin1").split("\n");
    writeFileSync(path, [...lines.slice(0, -2), ""].join("\n"), "latin1");
    const behind = await openLedger(ledgerDirectory(), { source: "memory:source", sink: "memory:sink" });
    expect((await behind.folder("INBOX")).clean).toBe(false);
    await behind[Symbol.asyncDispose]();
    expect(await go()).toEqual(KNOWN);
    expect(versionOf(path)).toBe(2);
    expect(await go()).toEqual(KNOWN);
  });

  it("stands whole wherever its rewriting was cut off", async () => {
    const path = journal("INBOX");
    const old = readFileSync(path);
    const part = join(ledgerDirectory(), `.${path.slice(ledgerDirectory().length + 1)}.part`);
    const change = { ...(source[0] ?? expect.fail()), state: "7/5" };
    // What was written of the new one before its name, and nothing behind it yet.
    const pair = { source: "memory:source", sink: "memory:sink" };
    const ledger = await openLedger(ledgerDirectory(), pair);
    const folder = await ledger.folder("INBOX");
    await folder.begin("1");
    await ledger[Symbol.asyncDispose]();
    const written = readFileSync(path, "latin1").split("\n");
    expect(written.at(-2)).toContain('"s":"open"');
    expect(written.at(-3)).toContain('"s":"close"');
    const renamed = Buffer.from([...written.slice(0, -2), ""].join("\n"), "latin1");
    // The counter as it was before the line that was taken away.
    const lines = renamed.toString("latin1").split("\n");
    lines[1] = old.toString("latin1").split("\n")[1] ?? "";
    for (const length of [0, 10, 300, renamed.length]) {
      writeFileSync(path, old);
      writeFileSync(part, renamed.subarray(0, length));
      source[0] = change;
      expect(await go(), `cut at ${length}`).toEqual(KNOWN);
      expect(await go(), `cut at ${length}`).toEqual(KNOWN);
    }
    writeFileSync(path, lines.join("\n"), "latin1");
    const again = await openLedger(ledgerDirectory(), pair);
    const reopened = await again.folder("INBOX");
    // As it was closed by version 1: nothing has to be looked at.
    expect(reopened).toMatchObject({ clean: true, sinkGeneration: "1", sinkPosition: "6", size: 4 });
    expect(reopened.head(INBOX)).toEqual({ generation: "7", listed: 4, sourceState: "7/4" });
    await again[Symbol.asyncDispose]();
    expect(await go()).toEqual(KNOWN);
  });
});

describe("a record of version 2", () => {
  const losses = [{ kind: "received" }, { kind: "keyword", name: "größe" }] as const;
  const full: DoneRecord = {
    ...done(origin("1")),
    state: "altered",
    losses,
    announced: 7,
    alteration: { kind: "bits" },
  };

  async function written(...records: DoneRecord[]): Promise<DoneRecord[]> {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      await ledger.beginRun(START);
      await (await ledger.folder("INBOX")).putAll(records);
    }
    await using ledger = await openLedger(place.path, PAIR);
    return await all(await ledger.folder("INBOX"));
  }

  it("has its run, its time, its losses, the octets announced and how its copy was altered", async () => {
    const before = Math.floor(Date.now() / 1000);
    const [record] = await written({ ...full, alteration: { kind: "bits", size: 12 } });
    expect(record).toEqual({
      ...full,
      alteration: { kind: "bits", size: 12 },
      run: 1,
      at: expect.any(Number),
    });
    expect(record?.at).toBeGreaterThanOrEqual(before);
    expect(record?.at).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it("tells a source that announced what it gave from one that announced nothing", async () => {
    const same = { ...done(origin("1")), announced: done(origin("1")).size };
    const [first, second] = await written(same, done(origin("2")));
    expect([first?.announced, second?.announced]).toEqual([same.announced, undefined]);
    expect([first?.losses, second?.losses]).toEqual([[], []]);
  });

  it("says when it was written also where its message was seen before", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    await ledger.beginRun(START);
    const folder = await ledger.folder("INBOX");
    const now = Math.floor(Date.now() / 1000);
    await folder.put(done(origin("1"), { firstSeen: now - 9_000_000 }));
    await folder.put(done(origin("1"), { firstSeen: now }));
    const [record] = await all(folder);
    expect(record?.firstSeen).toBe(now - 9_000_000);
    expect(record?.at).toBeGreaterThanOrEqual(now);
  });

  it("keeps all of it through a compaction, and bears the run that wrote it", async () => {
    await using place = await scratch();
    for (const number of [1, 2]) {
      await using ledger = await openLedger(place.path, PAIR);
      expect(await ledger.beginRun(START)).toBe(number);
      const folder = await ledger.folder("INBOX");
      await folder.begin("1");
      if (number === 1) await folder.put(full);
      else for (let n = 0; n < 200; n++) await folder.put(done(origin("2")));
      await folder.put({ state: "failed", origin: origin("3"), code: "io" });
      await folder.close("1", []);
    }
    expect(readFileSync(await journalIn(place.path, "INBOX"), "latin1").split("\n").length).toBeLessThan(12);
    await using ledger = await openLedger(place.path, PAIR);
    const records = await all(await ledger.folder("INBOX"));
    expect(records.map(({ run: by }) => by)).toEqual([1, 2]);
    expect(records[0]).toMatchObject(full);
  });
});
