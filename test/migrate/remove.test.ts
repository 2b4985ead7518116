// Deleting at the source: exactly what was proved goes, within its bounds, and what stays is named with its reason.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { configError, MailError } from "../../src/mail/errors.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { type MemoryFolder, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

const { signal } = new AbortController();
let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "mailferry-remove-"));
});
afterEach(() => rm(place, { recursive: true, force: true }));

const PATIENCE = { attempts: 2, firstDelayMs: 1 };

async function go(source: Source, sink: Sink, options: Partial<RunOptions> = {}) {
  const going = run(source, sink, { stateDirectory: place, patience: PATIENCE, ...options }, signal);
  const events: MigrationEvent[] = [];
  for await (const event of going) events.push(event);
  return { summary: await going.finished, events };
}

const folderOf = (name: string, ids: readonly string[]): MemoryFolder => ({
  path: [name],
  generation: "7",
  mail: ids.map((id) => mail(id)),
});
const noticesOf = (events: readonly MigrationEvent[]): string =>
  events.flatMap((event) => (event.type === "notice" ? [event.text] : [])).join("\n");
const keptOf = (events: readonly MigrationEvent[]): string[] =>
  events.flatMap((event) => (event.type === "message-kept" ? [`${event.origin.id} ${event.why}`] : [])).sort();
const removalsOf = (events: readonly MigrationEvent[]) =>
  events.flatMap((event) => (event.type === "folder-removed" ? [event] : []));
const TEN = Array.from({ length: 10 }, (_, i) => `m${i}`);

describe("--max-delete", () => {
  it.each([
    [{ count: 9 }, 0],
    [{ count: 10 }, 10],
    [{ count: 0 }, 0],
    [{ percent: 99 }, 0],
    [{ percent: 100 }, 10],
  ])("bounds the whole run: with %j, %i of 10 go; above it none at all", async (most, gone) => {
    const folders = [folderOf("A", TEN.slice(0, 4)), folderOf("B", TEN.slice(4))];
    const { summary, events } = await go(memorySource(folders), memorySink(newStore()), { remove: { most } });
    expect(summary).toMatchObject({
      removed: gone,
      kept: 10 - gone,
      outcome: gone === 10 ? "complete" : "partial",
      balance: { copied: 10 },
    });
    expect(folders.flatMap((folder) => folder.mail)).toHaveLength(10 - gone);
    if (gone === 0) {
      expect(noticesOf(events)).toContain("nothing is deleted at the source: 10 messages would go, and the bound is");
      expect(keptOf(events)).toEqual(TEN.map((id) => `${id} over-limit`));
      expect(removalsOf(events).map(({ removed, stayed }) => [removed, stayed])).toEqual(
        expect.arrayContaining([
          [0, { "over-limit": 4 }],
          [0, { "over-limit": 6 }],
        ]),
      );
    }
  });

  it("takes its share of what was listed, and counts only what is due", async () => {
    const store = newStore();
    const folder = folderOf("A", TEN);
    await go(memorySource([folder]), memorySink(store));
    const left = { remove: { most: { percent: 30 } }, maxSize: 1 };
    // All are left out: none is due, and none is above the bound.
    expect((await go(memorySource([folder]), memorySink(store), left)).summary).toMatchObject({
      removed: 0,
      kept: 0,
      outcome: "complete",
    });
  });
});

describe("the question", () => {
  it("is asked once, with the number that would go; no keeps everything", async () => {
    const asked: number[] = [];
    const folders = [folderOf("A", TEN.slice(0, 4)), folderOf("B", TEN.slice(4))];
    const confirm = (answer: boolean) => async (messages: number) => {
      asked.push(messages);
      return answer;
    };
    const store = newStore();
    const no = await go(memorySource(folders), memorySink(store), { remove: { confirm: confirm(false) } });
    expect(no.summary).toMatchObject({ removed: 0, kept: 10, outcome: "partial" });
    expect(keptOf(no.events)).toEqual(TEN.map((id) => `${id} declined`));
    const yes = await go(memorySource(folders), memorySink(store), { remove: { confirm: confirm(true) } });
    expect(yes.summary).toMatchObject({ removed: 10, kept: 0, outcome: "complete" });
    expect(asked).toEqual([10, 10]);
  });

  it("comes after the bound, and not where nothing would go", async () => {
    const confirm = async (): Promise<boolean> => {
      throw new Error("not to be asked");
    };
    const remove = { confirm, most: { count: 3 } };
    const bounded = await go(memorySource([folderOf("A", TEN)]), memorySink(newStore()), { remove });
    expect(bounded.summary).toMatchObject({ removed: 0, kept: 10 });
    const none = await go(memorySource([folderOf("A", [])]), memorySink(newStore()), { remove });
    expect(none.summary).toMatchObject({ removed: 0, kept: 0, outcome: "complete" });
  });
});

describe("what stays", () => {
  it("is named with its reason: no equal copy, too new, and all of a folder that is not whole", async () => {
    const store = newStore();
    const good = folderOf("Good", ["a", "b"]);
    const broken = folderOf("Broken", ["c", "d"]);
    const sink = memorySink(store, {
      alter: (bytes) => (bytes.includes("body b") ? Buffer.concat([bytes, Buffer.from("x")]) : bytes),
    });
    const source = memorySource([good, broken]);
    await go(source, sink);
    const half: Source = {
      ...source,
      async *read(slice, options) {
        yield* source.read(slice, options);
        if (slice.folder.path[0] === "Broken")
          throw new MailError("protocol", "nonsense", { scope: "folder", remedy: "give-up" });
      },
    };
    const { summary, events } = await go(half, sink, { remove: {} });
    expect(summary).toMatchObject({ removed: 1, kept: 3, outcome: "partial", closes: false });
    expect(keptOf(events)).toEqual(["b not-proved", "c folder-incomplete", "d folder-incomplete"]);
    expect(good.mail.map(({ id }) => id)).toEqual(["b"]);
    expect(broken.mail).toHaveLength(2);
    const young = await go(memorySource([broken]), sink, { remove: { olderThanSeconds: 3600 } });
    expect(keptOf(young.events)).toEqual(["c too-new", "d too-new"]);
    expect(young.summary).toMatchObject({ kept: 0, outcome: "complete" });
  });

  it("is all of a folder whose copies cannot be reached, though an earlier run made them", async () => {
    const folder = folderOf("A", ["a", "b"]);
    const sink = memorySink(newStore());
    await go(memorySource([folder]), sink);
    const shut: Sink = {
      ...sink,
      open: () => Promise.reject(new MailError("config", "no right", { scope: "folder", remedy: "give-up" })),
    };
    const { summary, events } = await go(memorySource([folder]), shut, { remove: {} });
    expect(keptOf(events)).toEqual(["a folder-incomplete", "b folder-incomplete"]);
    expect(summary).toMatchObject({ removed: 0, kept: 2, outcome: "partial" });
    expect(folder.mail).toHaveLength(2);
  });

  it("is what the server did not confirm, or what it was cut short before", async () => {
    const folder = folderOf("A", ["a", "b", "c"]);
    const source = memorySource([folder]);
    const deaf: Source = {
      ...source,
      async *remove(origins, until) {
        for await (const origin of source.remove(origins)) if (origin.id !== "b") yield origin;
        until.throwIfAborted();
      },
    };
    const { summary, events } = await go(deaf, memorySink(newStore()), { remove: {} });
    expect(summary).toMatchObject({ removed: 2, kept: 1, outcome: "partial" });
    expect(keptOf(events)).toEqual(["b not-confirmed"]);
    expect(removalsOf(events)).toMatchObject([{ removed: 2, stayed: { "not-confirmed": 1 } }]);

    const other = folderOf("A", ["a", "b", "c"]);
    const inner = memorySource([other, folderOf("B", ["d"])]);
    const cutOff: Source = {
      ...inner,
      async *remove(origins) {
        for await (const origin of inner.remove(origins)) {
          yield origin;
          if (origin.folder[0] === "A")
            throw new MailError("not-found", "made anew", { scope: "folder", remedy: "give-up" });
        }
      },
    };
    const options = { remove: {}, stateDirectory: join(place, "other") };
    const second = await go(cutOff, memorySink(newStore()), options);
    // The first went alone; the other folder is none the worse for it.
    expect(second.summary).toMatchObject({ removed: 3, kept: 1, outcome: "partial" });
    expect(keptOf(second.events)).toEqual(["c cut-short"]);
  });
});

describe("what never was to go", () => {
  const bad = new MailError("malformed", "cannot be had", { scope: "message", remedy: "give-up" });
  /** A store that knows at once that it changed one message. */
  const altering = (sink: Sink): Sink => ({
    ...sink,
    open: async (folder, until) => {
      const opened = await sink.open(folder, until);
      const append: typeof opened.append = async (item, limit) => {
        const stored = await opened.append(item, limit);
        const isChanged = Buffer.from(item.body.head).includes("changed");
        return isChanged ? { ...stored, altered: "NUL became 0x80" } : stored;
      };
      return { ...opened, append };
    },
  });

  it("is in its folder's line with its reason: filtered, altered, failed; and no message of it is called kept", async () => {
    const large = [mail("large1", "x".repeat(500)), mail("large2", "x".repeat(600)), mail("large3", "x".repeat(700))];
    const mixed = folderOf("Mixed", ["good", "changed1", "changed2", "broken"]);
    mixed.mail.push(...large);
    const folders = [mixed, folderOf("Plain", ["p"]), { path: ["Left"], generation: "7", mail: [...large] }];
    const source = memorySource(folders, { content: new Map([["broken", bad]]) });
    const { summary, events } = await go(source, altering(memorySink(newStore())), { remove: {}, maxSize: 400 });
    expect(summary).toMatchObject({ removed: 2, kept: 0, outcome: "partial", closes: true });
    const lines = removalsOf(events).map(({ folder, removed, stayed }) => [folder.join("/"), removed, stayed]);
    expect(lines.sort()).toEqual([
      // Nothing went, and that is said too.
      ["Left", 0, { filtered: 3 }],
      ["Mixed", 1, { filtered: 3, altered: 2, failed: 1 }],
      ["Plain", 1, {}],
    ]);
    expect(keptOf(events)).toEqual([]);
    expect(folders.map(({ mail: left }) => left.length)).toEqual([6, 0, 3]);
  });
});

describe("a removal that was killed between the mark and the deletion", () => {
  const marked = (folder: MemoryFolder): void => {
    for (const held of folder.mail) held.traits = { ...held.traits, flags: new Set([...held.traits.flags, "deleted"]) };
  };
  const killedWhileMarking = (folder: MemoryFolder): Source => {
    const source = memorySource([folder]);
    return {
      ...source,
      async *remove(origins) {
        for await (const _ of origins);
        marked(folder);
        yield* [];
        throw new MailError("connection", "the line was cut", { scope: "account", remedy: "retry" });
      },
    };
  };

  it("leaves no mark in the copies, whether the next run deletes or not", async () => {
    for (const remove of [{ remove: {} }, {}]) {
      const folder = folderOf("A", ["a", "b"]);
      const store = newStore();
      const stateDirectory = await mkdtemp(join(place, "state"));
      await go(killedWhileMarking(folder), memorySink(store), { remove: {}, stateDirectory });
      const { summary } = await go(memorySource([folder]), memorySink(store), { ...remove, stateDirectory });
      expect(summary).toMatchObject({ traitsUpdated: 0, removed: "remove" in remove ? 2 : 0, outcome: "complete" });
      expect(store.folders.get("A")?.map(({ traits }) => [...traits.flags])).toEqual([[], []]);
    }
  });

  it("carries over every other change, and a mark that was there before", async () => {
    const folder = folderOf("A", ["a", "b"]);
    const [first, second] = folder.mail;
    if (first === undefined || second === undefined) throw new Error("no mail");
    first.traits = { ...first.traits, flags: new Set(["deleted"]) };
    const store = newStore();
    await go(killedWhileMarking(folder), memorySink(store), { remove: {} });
    second.traits = { ...second.traits, flags: new Set(["deleted", "seen"]) };
    await go(memorySource([folder]), memorySink(store));
    expect(store.folders.get("A")?.map(({ traits }) => [...traits.flags])).toEqual([["deleted"], ["seen"]]);
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.traitsUpdated).toBe(0);
  });
});

it("a source that cannot delete safely is refused before anything is copied", async () => {
  const store = newStore();
  const source: Source = {
    ...memorySource([folderOf("A", TEN)]),
    checkRemove: () => Promise.reject(configError("no UIDPLUS")),
  };
  await expect(go(source, memorySink(store), { remove: {} })).rejects.toMatchObject({ code: "config" });
  expect(store.folders.size).toBe(0);
  expect((await go(source, memorySink(store))).summary.balance.copied).toBe(10);
});

it("how a source deletes, where it is not for good, is said", async () => {
  const source: Source = { ...memorySource([folderOf("A", ["a"])]), checkRemove: async () => "it goes to Trash" };
  const { events } = await go(source, memorySink(newStore()), { remove: {} });
  expect(noticesOf(events)).toContain("it goes to Trash");
});

describe("a FILE.zip", () => {
  const refused = (id: string) =>
    new Map([[id, new MailError("malformed", "cannot be had", { scope: "message", remedy: "give-up" })]]);
  const zip = () => openMboxZipSink({ path: join(place, "mail.zip"), job: "job" }, signal);
  const files = async (): Promise<string[]> => (await readdir(place)).filter((name) => name.startsWith("mail")).sort();

  it("waits for another run of what failed, and deletes nothing until then", async () => {
    const folder = folderOf("A", ["a", "b"]);
    {
      await using sink = await zip();
      const { summary, events } = await go(memorySource([folder], { content: refused("b") }), sink, { remove: {} });
      expect(summary).toMatchObject({ outcome: "partial", removed: 0, balance: { copied: 1, failed: 1 } });
      expect(noticesOf(events)).toContain("not finished yet: 1 message failed");
    }
    expect(await files()).toEqual(["mail.zip.part.d"]);
    await using sink = await zip();
    const { summary } = await go(memorySource([folder]), sink, { remove: {} });
    expect(summary).toMatchObject({ outcome: "complete", removed: 2, balance: { copied: 1, "already-copied": 1 } });
    expect(await files()).toContain("mail.zip");
    expect(folder.mail).toEqual([]);
  });

  it("is finished without what failed twice, and says so in every later run", async () => {
    const folder = folderOf("A", ["a", "b"]);
    const bad = () => memorySource([folder], { content: refused("b") });
    for (const text of ["not finished yet", "finished without 1 message that"]) {
      await using sink = await zip();
      const { summary, events } = await go(bad(), sink);
      expect(summary).toMatchObject({ outcome: "partial", balance: { failed: 1 } });
      expect(noticesOf(events)).toContain(text);
    }
    expect(await files()).toEqual(["mail.zip", "mail.zip.quarantine"]);
    await using sink = await zip();
    expect(sink.sealed).toMatchObject({ messages: 1, failed: 1 });
    const { summary, events } = await go(bad(), sink);
    expect(summary.outcome).toBe("partial");
    expect(noticesOf(events)).toContain("without 1 that failed");
  });

  it("is left open when a folder did not come to its end", async () => {
    const source = memorySource([folderOf("A", ["a"]), folderOf("B", ["b"])]);
    const half: Source = {
      ...source,
      read(slice, options) {
        if (slice.folder.path[0] !== "B") return source.read(slice, options);
        throw new MailError("not-found", "no such folder", { scope: "folder", remedy: "give-up" });
      },
    };
    {
      await using sink = await zip();
      expect((await go(half, sink)).summary).toMatchObject({ outcome: "partial", closes: false });
    }
    expect(await files()).toEqual(["mail.zip.part.d"]);
    await using sink = await zip();
    expect((await go(source, sink)).summary).toMatchObject({ outcome: "complete", balance: { copied: 1 } });
  });

  it("counts the age of its copies from the day it was finished", async () => {
    const folder = folderOf("A", ["a"]);
    {
      await using sink = await zip();
      await go(memorySource([folder]), sink, { remove: { olderThanSeconds: 3600 } });
    }
    expect(folder.mail).toHaveLength(1);
    await using sink = await zip();
    const aged: Sink = { ...sink, sealed: { messages: 1, failed: 0, since: Math.floor(Date.now() / 1000) - 7200 } };
    const young = await go(memorySource([folder]), sink, { remove: { olderThanSeconds: 3600 } });
    expect(young.summary).toMatchObject({ removed: 0, kept: 0, outcome: "complete" });
    const due = await go(memorySource([folder]), aged, { remove: { olderThanSeconds: 3600 } });
    expect(due.summary).toMatchObject({ removed: 1, outcome: "complete" });
    expect(folder.mail).toEqual([]);
  });
});

it("a clock that was set back since the copies were made keeps nothing at the source where no age is asked for", async () => {
  const folder = folderOf("A", ["a", "b"]);
  const sink = memorySink(newStore());
  await go(memorySource([folder]), sink);
  const now = Date.now();
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now - 3_600_000);
  try {
    const { summary } = await go(memorySource([folder]), sink, { remove: {} });
    expect(summary).toMatchObject({ outcome: "complete", removed: 2, kept: 0 });
  } finally {
    clock.mockRestore();
  }
});
