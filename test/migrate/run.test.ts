// The engine's promises, on adapters in memory that misbehave on demand.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { FULL_FIDELITY } from "../../src/mail/fidelity.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { keysIn, type MemoryFolder, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-engine-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const PATIENCE = { attempts: 3, firstDelayMs: 1 };

async function go(source: Source, sink: Sink, options: Partial<RunOptions> = {}) {
  const going = run(source, sink, { stateDirectory, patience: PATIENCE, ...options }, new AbortController().signal);
  const events: MigrationEvent[] = [];
  for await (const event of going) events.push(event);
  return { summary: await going.finished, events };
}

const inbox = (...messages: MemoryFolder["mail"]): MemoryFolder => ({
  path: ["INBOX"],
  generation: "7",
  mail: messages,
});
const cut = (outcome: "none" | "unknown") =>
  new MailError("connection", "cut", { scope: "account", remedy: "retry", outcome });
const settledAs = (events: readonly MigrationEvent[]) =>
  events.flatMap((event) => (event.type === "message-settled" ? [event.as] : []));

describe("the run balances", () => {
  it("settles every listed origin exactly once, across folders", async () => {
    const folders = [inbox(mail("a"), mail("b")), { path: ["Work", "2024"], generation: "1", mail: [mail("c")] }];
    const { summary, events } = await go(memorySource(folders), memorySink(newStore()));
    expect(summary).toMatchObject({ outcome: "complete", listed: 3, closes: true });
    expect(summary.balance.copied).toBe(3);
    expect(settledAs(events)).toEqual(["copied", "copied", "copied"]);
  });

  it("names as failed what a source listed and never delivered", async () => {
    const source = memorySource([inbox(mail("a"), mail("b"))], { swallow: new Set(["b"]) });
    const { summary, events } = await go(source, memorySink(newStore()));
    expect(summary).toMatchObject({ outcome: "partial", closes: true, listed: 2 });
    expect(summary.balance).toMatchObject({ copied: 1, failed: 1 });
    const failed = events.find((event) => event.type === "message-settled" && event.as === "failed");
    expect(failed).toMatchObject({
      entry: { origin: { id: "b" } },
      error: { message: expect.stringContaining("never delivered") },
    });
  });

  it("does not close over a folder that cannot be read at all, and the others go on", async () => {
    const source = memorySource([inbox(mail("a")), { path: ["Gone"], generation: "1", mail: [mail("b")] }]);
    const broken: Source = {
      ...source,
      read(slice, options) {
        if (slice.folder.path[0] !== "Gone") return source.read(slice, options);
        throw new MailError("not-found", "no such folder", { scope: "folder", remedy: "give-up" });
      },
    };
    const { summary } = await go(broken, memorySink(newStore()));
    expect(summary).toMatchObject({ outcome: "partial", closes: false, balance: { copied: 1 } });
    expect(summary.folders.find(({ folder }) => folder[0] === "Gone")?.error).toBe("no such folder");
  });

  it("does not close over a folder that the target cannot take, and names it", async () => {
    const sink = memorySink(newStore());
    const narrow: Sink = {
      ...sink,
      describe(folder) {
        if (folder.path[0] === "INBOX") return sink.describe(folder);
        throw new MailError("config", "no room for that name", { scope: "folder", remedy: "give-up" });
      },
    };
    const folders = [inbox(mail("a")), { path: ["Odd"], generation: "1", mail: [mail("b")] }];
    const { summary } = await go(memorySource(folders), narrow);
    expect(summary).toMatchObject({ outcome: "partial", closes: false, balance: { copied: 1 } });
    expect(summary.folders.find(({ folder }) => folder[0] === "Odd")?.error).toBe("no room for that name");
  });

  it("counts a message that vanished while it was read", async () => {
    const gone = new MailError("not-found", "gone", { scope: "message", remedy: "give-up" });
    const source = memorySource([inbox(mail("a"), mail("b"))], { content: new Map([["a", gone]]) });
    const { summary } = await go(source, memorySink(newStore()));
    expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 2 });
    expect(summary.balance).toMatchObject({ vanished: 1, copied: 1 });
  });
});

describe("a second run", () => {
  it("copies nothing, and looks at the target not once", async () => {
    const store = newStore();
    const folders = [inbox(mail("a"), mail("b"))];
    await go(memorySource(folders), memorySink(store));
    const again = memorySink(store);
    const { summary } = await go(memorySource(folders), again);
    expect(summary.balance).toMatchObject({ copied: 0, "already-copied": 2 });
    expect(again.counts).toMatchObject({ appends: 0, listings: 0 });
  });

  it("does not even list a folder whose state has not moved", async () => {
    const store = newStore();
    const folders = [{ ...inbox(mail("a")), state: "7:2:1:99" }];
    await go(memorySource(folders), memorySink(store));
    const source = memorySource(folders);
    const { summary } = await go(source, memorySink(store));
    expect(source.reads).toEqual([]);
    expect(summary.balance["already-copied"]).toBe(1);
  });

  it("copies what is new, and carries flags that changed in both directions", async () => {
    const store = newStore();
    const first = mail("a", undefined, { flags: new Set(["seen"]), keywords: new Set(["$Old"]) });
    const folder = inbox(first);
    await go(memorySource([folder]), memorySink(store));
    const held = store.folders.get("INBOX") ?? [];
    if (held[0] !== undefined) held[0].traits = { ...held[0].traits, keywords: new Set(["$Old", "mine"]) };
    first.traits = { ...first.traits, flags: new Set(["flagged"]), keywords: new Set(["$New"]) };
    folder.mail.push(mail("b"));
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 1, "already-copied": 1 });
    expect(summary.traitsUpdated).toBe(1);
    expect([...(held[0]?.traits.flags ?? [])]).toEqual(["flagged"]);
    expect([...(held[0]?.traits.keywords ?? [])].sort()).toEqual(["$New", "mine"]);
  });

  it("makes no second copy when UIDVALIDITY changed at the source", async () => {
    const store = newStore();
    const folder = inbox(
      mail("1"),
      mail("2", "Message-ID: <t@x>\r\n\r\ntwin\r\n"),
      mail("3", "Message-ID: <t@x>\r\n\r\ntwin\r\n"),
    );
    await go(memorySource([folder]), memorySink(store));
    folder.generation = "8";
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance["already-copied"]).toBe(3);
    expect(store.folders.get("INBOX")).toHaveLength(3);
  });

  it("leaves deleted what the target's user deleted, until --recheck brings it back", async () => {
    const store = newStore();
    const folder = inbox(...[..."abcdefghij"].map((id) => mail(id)));
    await go(memorySource([folder]), memorySink(store));
    // One in ten, and not the newest: a store that went back in time would have lost those.
    store.folders.get("INBOX")?.splice(0, 1);
    await go(memorySource([folder]), memorySink(store));
    expect(store.folders.get("INBOX")).toHaveLength(9);
    const { summary } = await go(memorySource([folder]), memorySink(store), { recheck: true });
    expect(summary.balance).toMatchObject({ copied: 1, adopted: 9 });
    expect(store.folders.get("INBOX")).toHaveLength(10);
  });

  it("finds its copies again when the target folder got a new generation", async () => {
    const store = newStore();
    const folder = inbox(mail("a"), mail("b"));
    await go(memorySource([folder]), memorySink(store));
    store.generation = "2";
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 2 });
  });
});

describe("nothing lost, nothing twice", () => {
  const twin = "Message-ID: <twin@x>\r\n\r\nthe same\r\n";
  const mailbox = () => inbox(mail("1"), mail("2", twin), mail("3", twin), mail("4", twin), mail("5"));

  for (const noReceipts of [false, true])
    for (const stored of [false, true])
      it(`when a connection dies ${stored ? "after" : "before"} an append was stored${noReceipts ? ", without UIDPLUS" : ""}`, async () => {
        const store = newStore();
        const folder = mailbox();
        let left = 2;
        const sink = memorySink(store, {
          noReceipts,
          append: (text, when) =>
            when === stored && text.includes("the same") && left-- > 0 ? cut("unknown") : undefined,
        });
        const { summary } = await go(memorySource([folder]), sink);
        expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 5 });
        expect(await keysIn(store.folders.get("INBOX") ?? [])).toEqual(await keysIn(folder.mail));
        const { summary: second } = await go(memorySource([folder]), memorySink(store, { noReceipts }));
        expect(second.balance["already-copied"]).toBe(5);
        expect(store.folders.get("INBOX")).toHaveLength(5);
      });

  it("when the ledger is lost", async () => {
    const store = newStore();
    const folder = mailbox();
    await go(memorySource([folder]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 5 });
    expect(store.folders.get("INBOX")).toHaveLength(5);
  });

  it("when the target is emptied and made anew after a run that only found its copies", async () => {
    const store = newStore();
    const folder = mailbox();
    await go(memorySource([folder]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    await go(memorySource([folder]), memorySink(store));
    store.generation = "2";
    store.folders.clear();
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance.copied).toBe(5);
  });

  it("when another program filled the target with half of it, twins among it", async () => {
    const store = newStore();
    const folder = mailbox();
    await go(memorySource([inbox(mail("1"), mail("2", twin))]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 3, adopted: 2 });
    expect(await keysIn(store.folders.get("INBOX") ?? [])).toEqual(await keysIn(folder.mail));
  });

  it("with the flags that each twin has, when one of them was copied before the ledger was lost", async () => {
    const store = newStore();
    const unseen = mail("1", twin);
    const seen = mail("2", twin, { flags: new Set(["seen"]) });
    await go(memorySource([inbox(seen)]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    await go(memorySource([inbox(unseen, seen)]), memorySink(store));
    const flags = (store.folders.get("INBOX") ?? []).map(({ traits }) => [...traits.flags].join());
    expect(flags.sort()).toEqual(["", "seen"]);
  });

  it("when messages share Message-ID and size but not their bytes", async () => {
    const store = newStore();
    await go(memorySource([inbox(mail("1", "Message-ID: <s@x>\r\n\r\nbody A\r\n"))]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    const folder = inbox(mail("1", "Message-ID: <s@x>\r\n\r\nbody B\r\n"));
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance.copied).toBe(1);
    expect(store.folders.get("INBOX")).toHaveLength(2);
  });

  it("when the source's connection dies again and again, as long as it gets on", async () => {
    const store = newStore();
    const folder = mailbox();
    const breakAt = new Map([2, 3, 5, 7].map((n) => [n, cut("none")]));
    const { summary, events } = await go(memorySource([folder], { breakAt }), memorySink(store));
    expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 5 });
    expect(summary.balance.copied).toBe(5);
    expect(events.filter(({ type }) => type === "retry-scheduled").length).toBeGreaterThan(1);
    expect(await keysIn(store.folders.get("INBOX") ?? [])).toEqual(await keysIn(folder.mail));
  });
});

describe("what cannot be carried is set aside, and the rest goes on", () => {
  it("a message that the target refuses", async () => {
    const refusal = new MailError("malformed", "NO [CANNOT] no such thing", { scope: "message", remedy: "give-up" });
    const sink = memorySink(newStore(), { append: (text) => (text.includes("body b") ? refusal : undefined) });
    const folder = inbox(mail("a"), mail("b"), mail("c"));
    const { summary, events } = await go(memorySource([folder]), sink);
    expect(summary).toMatchObject({ outcome: "partial", closes: true });
    expect(summary.balance).toMatchObject({ copied: 2, failed: 1 });
    const failed = events.find((event) => event.type === "message-settled" && event.as === "failed");
    expect(failed).toMatchObject({ error: refusal, quarantine: expect.stringMatching(/\.eml$/) });
  });

  it("is tried again in the next run, and leaves the quarantine when it succeeds", async () => {
    const store = newStore();
    const refusal = new MailError("malformed", "NO", { scope: "message", remedy: "give-up" });
    const folder = inbox(mail("a"));
    await go(memorySource([folder]), memorySink(store, { append: () => refusal }));
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 1, failed: 0 });
    const left = (await readdir(stateDirectory, { recursive: true })).filter((name) => /\.(eml|txt)$/.test(name));
    expect(left).toEqual([]);
  });

  it("a copy that came out altered is no copy, and its bytes are kept", async () => {
    const sink = memorySink(newStore(), { alter: (bytes) => Buffer.from(bytes.toString().replace("body", "BODY")) });
    const { summary, events } = await go(memorySource([inbox(mail("a"))]), sink, { prove: true });
    expect(summary.balance).toMatchObject({ altered: 1, copied: 0 });
    expect(events.find((event) => event.type === "message-settled")).toMatchObject({
      quarantine: expect.stringMatching(/\.eml$/),
    });
  });

  it("asks again for a list of folders that was cut, each folder once", async () => {
    const source = memorySource([inbox(mail("a")), { path: ["B"], generation: "1", mail: [mail("b")] }]);
    let left = 2;
    const shaky: Source = {
      ...source,
      async *folders() {
        let given = 0;
        for await (const folder of source.folders()) {
          if (given++ === 1 && left-- > 0) throw cut("none");
          yield folder;
        }
      },
    };
    const { summary, events } = await go(shaky, memorySink(newStore()));
    expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 2 });
    expect(events.filter(({ type }) => type === "retry-scheduled")).toHaveLength(2);
  });

  it("gives up after its patience and says what ended it", async () => {
    const sink = memorySink(newStore(), { append: () => cut("none") });
    const source = memorySource([inbox(mail("a"))]);
    const going = run(source, sink, { stateDirectory, patience: PATIENCE }, new AbortController().signal);
    await expect(going.finished).rejects.toMatchObject({ code: "connection" });
  });
});

describe("nothing is deleted without proof", () => {
  it("removes exactly what was read back, and keeps an altered copy's original", async () => {
    const store = newStore();
    const folder = inbox(mail("a"), mail("b"), mail("c"));
    const sink = memorySink(store, {
      alter: (bytes) => (bytes.includes("body b") ? Buffer.concat([bytes, Buffer.from("x")]) : bytes),
    });
    const { summary } = await go(memorySource([folder]), sink, { remove: {} });
    expect(folder.mail.map(({ id }) => id)).toEqual(["b"]);
    expect(summary).toMatchObject({ removed: 2, kept: 1, outcome: "partial" });
    expect(sink.counts.sealed).toBe(1);
  });

  it("removes nothing from a folder that could not be read to its end", async () => {
    const folder = inbox(mail("a"), mail("b"));
    let reads = 0;
    const source = memorySource([folder]);
    const broken: Source = {
      ...source,
      async *read(slice, options) {
        for await (const incoming of source.read(slice, options)) {
          if (reads++ > 0) throw new MailError("protocol", "nonsense", { scope: "folder", remedy: "give-up" });
          yield incoming;
        }
        if (reads > 1) throw new MailError("protocol", "nonsense", { scope: "folder", remedy: "give-up" });
      },
    };
    const { summary } = await go(broken, memorySink(newStore()), { remove: {} });
    expect(summary).toMatchObject({ removed: 0, outcome: "partial" });
    expect(folder.mail).toHaveLength(2);
  });

  it("leaves what the options filtered, though an earlier run copied it", async () => {
    const store = newStore();
    const received = (epochSeconds: number) => ({ received: { epochSeconds } });
    const folder = inbox(mail("old", undefined, received(100)), mail("new", undefined, received(900)));
    await go(memorySource([folder]), memorySink(store));
    const { summary } = await go(memorySource([folder]), memorySink(store), { remove: {}, before: 500 });
    expect(summary.removed).toBe(1);
    expect(folder.mail.map(({ id }) => id)).toEqual(["new"]);
  });

  it("leaves the newer with olderThanSeconds, and proves them at once", async () => {
    const store = newStore();
    const folder = inbox(mail("a"));
    const { summary } = await go(memorySource([folder]), memorySink(store), { remove: { olderThanSeconds: 3600 } });
    expect(summary).toMatchObject({ removed: 0, kept: 0, outcome: "complete" });
    expect(folder.mail).toHaveLength(1);
  });
});

describe("nothing is dropped in silence", () => {
  it("reports each trait that the target cannot take, in sum", async () => {
    const fidelity = {
      ...FULL_FIDELITY,
      flags: new Set(["seen"] as const),
      keywords: new Set<string>(),
      received: false,
    };
    const traits = {
      flags: new Set(["seen", "flagged"] as const),
      keywords: new Set(["$A"]),
      received: { epochSeconds: 5 },
    };
    const folder = inbox(mail("a", undefined, traits), mail("b", undefined, traits));
    const { summary } = await go(memorySource([folder]), memorySink(newStore(), {}, fidelity));
    expect(summary.losses).toEqual([
      { loss: { kind: "flag", name: "flagged" }, messages: 2 },
      { loss: { kind: "keyword", name: "$A" }, messages: 2 },
      { loss: { kind: "received" }, messages: 2 },
    ]);
  });

  it("reports the date of a copy that was found with another one", async () => {
    const store = newStore();
    const at = (epochSeconds: number) => ({ received: { epochSeconds } });
    await go(memorySource([inbox(mail("a", undefined, at(5)), mail("b", undefined, at(7)))]), memorySink(store));
    await rm(stateDirectory, { recursive: true });
    const folder = inbox(mail("a", undefined, at(6)), mail("b", undefined, at(7)));
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance.adopted).toBe(2);
    expect(summary.losses).toEqual([{ loss: { kind: "received" }, messages: 1 }]);
  });

  it("names the folders there are when a filter matches none", async () => {
    const going = go(memorySource([inbox(mail("a"))]), memorySink(newStore()), {
      select: { include: ["Wrok"], exclude: [] },
    });
    await expect(going).rejects.toMatchObject({ code: "config", details: { hint: expect.stringContaining("INBOX") } });
  });
});

describe("a dry run", () => {
  it("changes nothing and plans every message", async () => {
    const store = newStore();
    const sink = memorySink(store);
    const { summary } = await go(memorySource([inbox(mail("a"), mail("b"))]), sink, { dryRun: true });
    expect(summary.balance.planned).toBe(2);
    expect(store.folders.size).toBe(0);
    expect(await readdir(stateDirectory)).toEqual([]);
  });
});

describe("folders on their way", () => {
  it("are mapped, put below another, and merged without losing twins", async () => {
    const store = newStore();
    const same = "Message-ID: <x@x>\r\n\r\nsame\r\n";
    const folders = [
      inbox(mail("1", same)),
      { path: ["Old"], generation: "1", mail: [mail("1", same), mail("2")] },
      { path: ["Old", "Sub"], generation: "1", mail: [mail("3")] },
    ];
    const options = { map: [{ from: ["Old"], to: ["INBOX"] }], into: ["Archive"] };
    const { summary } = await go(memorySource(folders), memorySink(store), options);
    expect(summary.balance.copied).toBe(4);
    expect([...store.folders].map(([name, held]) => [name, held.length]).sort()).toEqual([
      ["Archive/INBOX", 3],
      ["Archive/INBOX/Sub", 1],
    ]);
    const { summary: second } = await go(memorySource(folders), memorySink(store), options);
    expect(second.balance["already-copied"]).toBe(4);
  });

  it("stop between two messages, and go on in the next run", async () => {
    const store = newStore();
    const folder = inbox(...Array.from({ length: 50 }, (_, i) => mail(`m${i}`)));
    const going = run(
      memorySource([folder]),
      memorySink(store),
      { stateDirectory, patience: PATIENCE },
      new AbortController().signal,
    );
    let seen = 0;
    for await (const event of going) if (event.type === "message-settled" && ++seen === 5) going.stop();
    const summary = await going.finished;
    // What was listed and not yet carried is in the sum, and keeps it from closing.
    expect(summary).toMatchObject({ outcome: "stopped", listed: 50, closes: false });
    const had = store.folders.get("INBOX")?.length ?? 0;
    expect(had).toBeGreaterThanOrEqual(5);
    expect(had).toBeLessThan(50);
    await go(memorySource([folder]), memorySink(store));
    expect(await keysIn(store.folders.get("INBOX") ?? [])).toEqual(await keysIn(folder.mail));
  });
});
