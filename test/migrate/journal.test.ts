// The ledger on disk: what it remembers, whom it belongs to, and what it answers within one run.

import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { memoryLedger, openLedger } from "../../src/migrate/journal.ts";
import type { DoneRecord } from "../../src/migrate/ledger.ts";
import { all, done, INBOX, journalIn, keyOf, origin, PAIR, scratch } from "./journal-kit.ts";

const head = { generation: "7", listed: 1, sourceState: "7/42" };

describe("a ledger remembers across runs", () => {
  it("every part of a record", async () => {
    await using place = await scratch();
    const record: DoneRecord = {
      state: "altered",
      origin: { folder: ["Größe", "a/b\n", "\ud800"], generation: "1\u0000", id: "日本\\\"'" },
      key: keyOf("x"),
      size: 123_456_789_012,
      receipt: { ref: "1700:é" },
      traits: {
        flags: new Set(["seen", "answered", "flagged", "deleted", "draft"]),
        keywords: new Set(["$Forwarded", "kéy"]),
        labels: new Set(["a\u2028b"]),
        received: { epochSeconds: -5, zoneMinutes: -210 },
      },
      firstSeen: 1_700_000_001,
      proved: true,
    };
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("Größe/ü");
      await folder.begin("1700");
      await folder.put(record);
      expect(await folder.find(record.origin)?.read()).toEqual(record);
    }
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("Größe/ü");
    expect(folder.size).toBe(1);
    expect(await folder.find(record.origin)?.read()).toEqual(record);
    expect(await all(folder, record.origin.folder)).toEqual([record]);
    expect(folder.find(record.origin)?.sameTraits(record.traits)).toBe(true);
  });

  it("the heads, the position and the generation of the last clean close", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(folder.clean).toBe(false);
      await folder.begin("9");
      await folder.put(done(origin("1")));
      await folder.close("1:1", [{ source: INBOX, head }]);
      expect(folder.clean).toBe(true);
    }
    await using ledger = await openLedger(place.path, PAIR);
    expect((await ledger.glance("INBOX"))?.head(INBOX)).toEqual(head);
    const folder = await ledger.folder("INBOX");
    expect(folder).toMatchObject({ clean: true, sinkGeneration: "9", sinkPosition: "1:1", size: 1 });
    expect(folder.head(INBOX)).toEqual(head);
    expect(folder.head(["Other"])).toBeUndefined();
  });

  it("the heads of the other source folders when one of them moves", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("Both");
    await folder.close(undefined, [
      { source: ["A"], head },
      { source: ["B"], head },
    ]);
    await folder.close(undefined, [{ source: ["A"], head: { ...head, listed: 2 } }]);
    expect(folder.head(["A"])?.listed).toBe(2);
    expect(folder.head(["B"])).toEqual(head);
  });

  it("failed and removed origins, and the record behind a removed one", async () => {
    await using place = await scratch();
    const first = done(origin("1"));
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.put(first);
      await folder.put({ state: "removed", origin: first.origin });
      await folder.put({ state: "failed", origin: origin("2"), code: "too-large" });
      await folder.put({ state: "removed", origin: origin("3") });
    }
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect(folder.find(origin("1"))?.state).toBe("removed");
    expect(await folder.find(origin("1"))?.read()).toEqual(first);
    expect(folder.find(origin("2"))?.state).toBe("failed");
    expect(await folder.find(origin("2"))?.read()).toBeUndefined();
    expect(await folder.find(origin("3"))?.read()).toBeUndefined();
    expect(folder.size).toBe(0);
    expect(await all(folder)).toEqual([]);
  });

  it("keeps folders apart whose names are alike", async () => {
    await using place = await scratch();
    const names = ["a/b", "a_b", "a.b", "A.b", "ä", "ö", "", "x".repeat(500), "../../escape", "a\nb"];
    {
      await using ledger = await openLedger(place.path, PAIR);
      for (const name of names) await (await ledger.folder(name)).put(done(origin(`id of ${name}`)));
    }
    expect((await readdir(place.path)).length).toBe(names.length);
    await using ledger = await openLedger(place.path, PAIR);
    for (const name of names) {
      const folder = await ledger.folder(name);
      expect(folder.size).toBe(1);
      expect(folder.find(origin(`id of ${name}`))?.state).toBe("done");
    }
  });

  it("in files that their owner alone can read", async () => {
    await using place = await scratch();
    const directory = `${place.path}/deep/ledger`;
    await using ledger = await openLedger(directory, PAIR);
    await (await ledger.folder("INBOX")).begin("1");
    expect((await stat(await journalIn(directory))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it("and writes nothing before there is something to write", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(`${place.path}/ledger`, PAIR);
      const folder = await ledger.folder("INBOX");
      folder.find(origin("1"));
      folder.settle(origin("1"));
      expect(await ledger.glance("INBOX")).toBeUndefined();
    }
    expect(await readdir(place.path)).toEqual([]);
  });
});

describe("a ledger belongs to one job", () => {
  it("and is refused to another pair, with the file's name and a way out", async () => {
    await using place = await scratch();
    await using mine = await openLedger(place.path, PAIR);
    await (await mine.folder("INBOX")).begin("1");
    await using other = await openLedger(place.path, { ...PAIR, sink: "maildir:other" });
    const path = await journalIn(place.path);
    for (const attempt of [other.folder("INBOX"), other.glance("INBOX")]) {
      const error: unknown = await attempt.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(MailError);
      expect(error).toMatchObject({ code: "config", message: expect.stringContaining(path) });
      expect((error as MailError).details.hint).toContain(path);
    }
  });

  it("and to a program of another version", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      await (await ledger.folder("INBOX")).begin("1");
    }
    const path = await journalIn(place.path);
    const { frame } = await import("../../src/core/lines.ts");
    const lines = (await readFile(path, "latin1")).split("\n");
    lines[0] = frame(JSON.stringify({ v: 3, ...PAIR, folder: "INBOX" })).trimEnd();
    await writeFile(path, lines.join("\n"), "latin1");
    await using ledger = await openLedger(place.path, PAIR);
    await expect(ledger.folder("INBOX")).rejects.toMatchObject({ code: "config" });
    expect(await readFile(path, "latin1")).toBe(lines.join("\n"));
  });

  it("gives the same object for the same name, and another after that one is disposed of", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const [one, two] = await Promise.all([ledger.folder("INBOX"), ledger.folder("INBOX")]);
    expect(one).toBe(two);
    await one.put(done(origin("1")));
    await one[Symbol.asyncDispose]();
    await one[Symbol.asyncDispose]();
    await expect(one.put(done(origin("2")))).rejects.toThrow();
    const three = await ledger.folder("INBOX");
    expect(three).not.toBe(one);
    expect(three.size).toBe(1);
  });

  it("what lies in the place of its file and is none is told and kept aside", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    await (await ledger.folder("INBOX")).begin("1");
    const path = await journalIn(place.path);
    await rm(path);
    await mkdir(path);
    const notices: string[] = [];
    await using again = await openLedger(place.path, PAIR, { onNotice: (text) => notices.push(text) });
    const folder = await again.folder("INBOX");
    expect(folder.size).toBe(0);
    expect(notices.join()).toContain(`${path} is a folder`);
    await folder.begin("1");
    expect((await readdir(dirname(path))).filter((name) => name.includes(".damaged-"))).toHaveLength(1);
  });
});

describe("within a run", () => {
  it("begin is durable, and makes the ledger unclean until close", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    await folder.begin("1");
    await folder.close("p", []);
    await folder.begin("1");
    await folder.begin("1");
    expect(folder.clean).toBe(false);
    await using crashed = await openLedger(place.path, PAIR);
    expect(await crashed.glance("INBOX")).toBeUndefined();
    const seen = await crashed.folder("INBOX");
    expect(seen).toMatchObject({ clean: false, sinkGeneration: "1", sinkPosition: "p" });
  });

  it("a crash under a new generation leaves that generation and no position", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.begin("1");
      await folder.close("p", []);
      await folder.begin("2");
      // What the caller compares with stays what it was when the run began.
      expect(folder.sinkGeneration).toBe("1");
    }
    await using ledger = await openLedger(place.path, PAIR);
    expect(await ledger.folder("INBOX")).toMatchObject({ sinkGeneration: "2", sinkPosition: undefined, clean: false });
  });

  it("a record put after close makes it unclean again", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    await folder.close(undefined, []);
    await folder.put({ state: "removed", origin: origin("1") });
    expect(folder.clean).toBe(false);
    expect(await ledger.glance("INBOX")).toBeUndefined();
    await folder.close(undefined, []);
    expect(folder.clean).toBe(true);
  });

  it("closing again with nothing new writes nothing", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    await folder.begin("1");
    await folder.close("p", [{ source: INBOX, head }]);
    const path = await journalIn(place.path);
    const before = await readFile(path);
    await folder.close("p", [{ source: INBOX, head }]);
    await folder.close("p", []);
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  it("a receipt is claimed once, whoever asks first", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    await folder.put(done(origin("1"), { receipt: { ref: "1:1" } }));
    expect(folder.holds({ ref: "1:1" })).toBe(true);
    expect(folder.claim({ ref: "1:1" })).toBe(false);
    expect(folder.holds({ ref: "1:2" })).toBe(false);
    expect(folder.claim({ ref: "1:2" })).toBe(true);
    expect(folder.claim({ ref: "1:2" })).toBe(false);
    expect(folder.holds({ ref: "1:2" })).toBe(true);
    const pending = folder.put(done(origin("3"), { receipt: { ref: "1:3" } }));
    expect(folder.claim({ ref: "1:3" })).toBe(false);
    await pending;
  });

  it("a removed origin's copy keeps its receipt in the next run", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.put(done(origin("1"), { receipt: { ref: "1:1" } }));
      await folder.put({ state: "removed", origin: origin("1") });
    }
    await using ledger = await openLedger(place.path, PAIR);
    expect((await ledger.folder("INBOX")).claim({ ref: "1:1" })).toBe(false);
  });

  it("an origin is settled once, with a record or without", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    expect(folder.settle(origin("1"))).toBe(true);
    expect(folder.settle(origin("1"))).toBe(false);
    await folder.put(done(origin("1")));
    expect(folder.settle(origin("1"))).toBe(false);
    expect(folder.settle(origin("1", "8"))).toBe(true);
    expect(folder.settle(origin("1", "7", ["Other"]))).toBe(true);
    await folder.forget();
    expect(folder.settle(origin("1"))).toBe(false);
  });

  it("traits are compared as sets, keywords without case, the date not at all", async () => {
    const folder = await memoryLedger().folder("INBOX");
    const traits = {
      flags: new Set(["seen"] as const),
      keywords: new Set(["Later", "$Junk"]),
      labels: new Set(["A", "b"]),
      received: { epochSeconds: 5 },
    };
    await folder.put(done(origin("1"), { traits }));
    const known = folder.find(origin("1"));
    const { received: _, ...undated } = traits;
    expect(known?.sameTraits(undated)).toBe(true);
    expect(known?.sameTraits({ ...traits, keywords: new Set(["$JUNK", "later"]) })).toBe(true);
    expect(known?.sameTraits({ ...traits, labels: new Set(["b", "A"]) })).toBe(true);
    expect(known?.sameTraits({ ...traits, labels: new Set(["a", "b"]) })).toBe(false);
    expect(known?.sameTraits({ ...traits, keywords: new Set(["Later"]) })).toBe(false);
    expect(known?.sameTraits({ ...traits, flags: new Set() })).toBe(false);
    expect(known?.sameTraits({ ...traits, keywords: new Set(["Later", "$Junk", "A"]), labels: new Set(["b"]) })).toBe(
      false,
    );
  });

  it("what is forgotten is gone, but for the day on which it was first seen, and that for good", async () => {
    await using place = await scratch();
    const old = done(origin("1"), { firstSeen: 100 });
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.begin("1");
      await folder.put(old);
      await folder.close("p", [{ source: INBOX, head }]);
      await folder.forget();
      expect(folder.find(old.origin)).toBeUndefined();
      expect(folder).toMatchObject({ size: 0, clean: false, sinkGeneration: undefined, sinkPosition: undefined });
      expect(folder.head(INBOX)).toBeUndefined();
      expect(folder.claim({ ref: "1:7-1" })).toBe(true);
    }
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      expect(folder.find(old.origin)).toBeUndefined();
      expect(folder.firstSeen(old.origin)).toBe(100);
      await folder.put({ ...old, firstSeen: 999 });
      expect(await folder.find(old.origin)?.read()).toMatchObject({ firstSeen: 100 });
      await folder.put({ state: "failed", origin: old.origin, code: "io" });
      await folder.close(undefined, []);
    }
    await using ledger = await openLedger(place.path, PAIR);
    expect((await ledger.folder("INBOX")).firstSeen(old.origin)).toBe(100);
  });

  it("records are given in the order in which they were last written, of one folder, each once", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    for (const id of ["1", "2", "3"]) await folder.put(done(origin(id)));
    await folder.put(done(origin("9", "7", ["Other"])));
    await folder.put(done(origin("1"), { proved: true }));
    expect((await all(folder)).map((record) => record.origin.id)).toEqual(["2", "3", "1"]);
  });

  it("records that are written again while they are read are met exactly once", async () => {
    await using place = await scratch();
    await using ledger = await openLedger(place.path, PAIR);
    const folder = await ledger.folder("INBOX");
    const ids = Array.from({ length: 200 }, (_, i) => String(i));
    await Promise.all(ids.map((id) => folder.put(done(origin(id)))));
    const met: string[] = [];
    for await (const record of folder.records(INBOX)) {
      met.push(record.origin.id);
      await folder.put({ ...record, proved: true });
      // One that the reader has not come to yet, and a new one.
      await folder.put(done(origin(String((met.length * 7) % 200)), { proved: true }));
      await folder.put(done(origin(`new ${met.length}`)));
    }
    expect(met.sort()).toEqual([...ids].sort());
  });
});

describe("a dry run's ledger", () => {
  it("knows what is on disk, takes in what is new, and writes nothing", async () => {
    await using place = await scratch();
    {
      await using ledger = await openLedger(place.path, PAIR);
      const folder = await ledger.folder("INBOX");
      await folder.begin("1");
      await folder.put(done(origin("1")));
      await folder.close("p", [{ source: INBOX, head }]);
    }
    const path = await journalIn(place.path);
    const before = await readFile(path);
    {
      await using dry = memoryLedger({ directory: place.path, pair: PAIR });
      expect((await dry.glance("INBOX"))?.head(INBOX)).toEqual(head);
      const folder = await dry.folder("INBOX");
      expect(folder).toMatchObject({ clean: true, size: 1 });
      await folder.begin("1");
      await folder.put(done(origin("2")));
      expect(await folder.find(origin("1"))?.read()).toEqual(done(origin("1")));
      expect(await folder.find(origin("2"))?.read()).toEqual(done(origin("2")));
      expect(await folder.adopt(origin("1", "8"), keyOf("7 1"))).toMatchObject({ origin: origin("1", "8") });
      expect((await all(folder)).map((record) => record.origin)).toEqual([origin("2"), origin("1", "8")]);
      await folder.close("q", []);
      await (await dry.folder("Other")).put(done(origin("3")));
    }
    expect((await readFile(path)).equals(before)).toBe(true);
    expect((await readdir(place.path)).length).toBe(1);
  });

  it("works without any disk", async () => {
    const ledger = memoryLedger();
    const folder = await ledger.folder("INBOX");
    for (let i = 0; i < 500; i++) await folder.put(done(origin("1"), { size: i }));
    await folder.put(done(origin("2")));
    await folder.close("p", []);
    expect(folder).toMatchObject({ clean: true, size: 2 });
    expect(await folder.find(origin("1"))?.read()).toMatchObject({ size: 499 });
    expect((await all(folder)).length).toBe(2);
    await ledger[Symbol.asyncDispose]();
  });
});
