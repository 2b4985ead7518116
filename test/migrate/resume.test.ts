// What a run did not finish, or did not look at, is finished by the next one: each way to be cut short by itself.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { keysIn, type MemoryFolder, mail, memorySink, memorySource, newStore, type SinkFaults } from "../kit/memory.ts";

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-resume-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const NEVER = new AbortController().signal;

async function go(source: Source, sink: Sink, options: Partial<RunOptions> = {}) {
  const patience = { attempts: 3, firstDelayMs: 1 };
  const going = run(source, sink, { stateDirectory, patience, ...options }, NEVER);
  const events: MigrationEvent[] = [];
  for await (const event of going) events.push(event);
  return { summary: await going.finished, events };
}

const inbox = (...messages: MemoryFolder["mail"]): MemoryFolder => ({
  path: ["INBOX"],
  generation: "7",
  mail: messages,
});
const dated = (id: string, epochSeconds: number) => mail(id, undefined, { received: { epochSeconds } });
const refusal = (remedy: "retry" | "give-up", outcome: "none" | "unknown" = "none") =>
  new MailError("protocol", "NO", { scope: "message", remedy, outcome });
const cut = () => new MailError("connection", "cut", { scope: "account", remedy: "retry", outcome: "unknown" });
const held = (store: ReturnType<typeof newStore>) => store.folders.get("INBOX") ?? [];
const many = () => inbox(...Array.from({ length: 30 }, (_, i) => mail(`m${i}`)));

/** Everything is in the target already, put there by something else. */
async function filledBy(folder: MemoryFolder) {
  const store = newStore();
  await go(memorySource([folder]), memorySink(store));
  await rm(stateDirectory, { recursive: true });
  return store;
}

describe("mail that something else put into the target is found later too", () => {
  it("when the first run was filtered", async () => {
    const folder = inbox(dated("old", 100), dated("new", 900));
    const store = await filledBy(folder);
    await go(memorySource([folder]), memorySink(store), { since: 500 });
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 1, "already-copied": 1 });
  });

  it("when the first run was stopped", async () => {
    const folder = many();
    const store = await filledBy(folder);
    const going = run(memorySource([folder]), memorySink(store), { stateDirectory }, NEVER);
    for await (const event of going) if (event.type === "message-settled") going.stop();
    expect((await going.finished).outcome).toBe("stopped");
    await go(memorySource([folder]), memorySink(store));
    expect(held(store)).toHaveLength(30);
  });

  it("when the first run was over another folder with the same target", async () => {
    const folders = [inbox(mail("a")), { path: ["Old"], generation: "1", mail: [mail("b")] }];
    const map = [{ from: ["Old"], to: ["INBOX"] }];
    const store = newStore();
    await go(memorySource(folders), memorySink(store), { map });
    await rm(stateDirectory, { recursive: true });
    await go(memorySource(folders), memorySink(store), { map, select: { include: ["INBOX"], exclude: [] } });
    const { summary } = await go(memorySource(folders), memorySink(store), { map });
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 1 });
  });
});

describe("nothing twice", () => {
  it("when a crash is followed by a run that looks at nothing", async () => {
    const store = newStore();
    const folder = inbox(dated("a", 100), dated("b", 100));
    const killed = new AbortController();
    const step = (what: string) => {
      if (what === "stored") killed.abort();
    };
    const going = run(memorySource([folder]), memorySink(store, { step }), { stateDirectory }, killed.signal);
    await going.finished;
    await go(memorySource([folder]), memorySink(store), { since: 500 });
    await go(memorySource([folder]), memorySink(store));
    expect(held(store)).toHaveLength(2);
  });

  it("when a copy was found, and the wire was cut before its record was written", async () => {
    const folder = inbox(mail("a", undefined, { flags: new Set(["seen"]) }));
    const store = await filledBy(folder);
    const [copy] = held(store);
    if (copy !== undefined) copy.traits = { ...copy.traits, flags: new Set() };
    let cuts = 1;
    const step = (what: string) => {
      if (what === "update" && cuts-- > 0) throw cut();
    };
    const { summary } = await go(memorySource([folder]), memorySink(store, { step }));
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 1 });
    expect(held(store)).toHaveLength(1);
  });

  it("when a message was refused for good, though the target had stored it", async () => {
    const store = newStore();
    const folder = inbox(mail("a"), mail("b"));
    const sink = memorySink(store, {
      append: (text, stored) => (stored && text.includes("body a") ? refusal("give-up", "unknown") : undefined),
    });
    expect((await go(memorySource([folder]), sink)).summary.balance).toMatchObject({ copied: 1, failed: 1 });
    const { summary } = await go(memorySource([folder]), memorySink(store));
    expect(summary.balance).toMatchObject({ adopted: 1, "already-copied": 1 });
    expect(held(store)).toHaveLength(2);
  });
});

it("a message that the target alters is found again without the ledger, and its original set aside again", async () => {
  const store = newStore();
  const folder = inbox(mail("a", "Message-ID: <n@x>\r\n\r\na\0b\r\n", { received: { epochSeconds: 5 } }));
  const alter = (bytes: Buffer) => Buffer.from(bytes.toString("latin1").replaceAll("\0", "\x80"), "latin1");
  await go(memorySource([folder]), memorySink(store, { alter }), { prove: true });
  await rm(stateDirectory, { recursive: true });
  const { summary, events } = await go(memorySource([folder]), memorySink(store, { alter }));
  expect(summary.balance).toMatchObject({ altered: 1, copied: 0 });
  expect(held(store)).toHaveLength(1);
  expect(events.find(({ type }) => type === "message-settled")).toMatchObject({
    quarantine: expect.stringMatching(/\.eml$/),
  });
});

describe("nothing lost", () => {
  it("when the target's user deletes a copy just as it is found: the message is copied, and is not called vanished", async () => {
    const folder = inbox(mail("a", undefined, { flags: new Set(["seen"]) }));
    const store = await filledBy(folder);
    const [copy] = held(store);
    if (copy !== undefined) copy.traits = { ...copy.traits, flags: new Set() };
    const step = (what: string) => {
      if (what === "update") held(store).splice(0, 1);
    };
    const { summary } = await go(memorySource([folder]), memorySink(store, { step }));
    expect(summary.balance).toMatchObject({ copied: 1, vanished: 0 });
    expect(await keysIn(held(store))).toEqual(await keysIn(folder.mail));
  });

  it("when a maildrop gives the id of a deleted message to a new one", async () => {
    const store = newStore();
    const folder = inbox(mail("uidl"));
    await go(memorySource([folder]), memorySink(store), { remove: {} });
    folder.mail.push(mail("uidl", "Message-ID: <n@x>\r\n\r\nanother\r\n"));
    const { summary } = await go(memorySource([folder]), memorySink(store), { remove: {} });
    expect(summary).toMatchObject({ removed: 1, balance: { copied: 1 } });
    expect(held(store)).toHaveLength(2);
  });

  it("and nothing twice, when a deleted message is listed again", async () => {
    const store = newStore();
    const folder = inbox(mail("a"));
    await go(memorySource([folder]), memorySink(store), { remove: {} });
    folder.mail.push(mail("a"));
    const { summary } = await go(memorySource([folder]), memorySink(store), { remove: {} });
    expect(summary).toMatchObject({ removed: 1, balance: { copied: 0, "already-copied": 1 } });
    expect(folder.mail).toEqual([]);
    expect(held(store)).toHaveLength(1);
  });

  it("where two folders share a target that was made anew, and one of them has not moved", async () => {
    const folders: MemoryFolder[] = [
      { ...inbox(mail("a")), state: "1" },
      { path: ["Old"], generation: "1", mail: [mail("b")], state: "1" },
    ];
    const options = { map: [{ from: ["Old"], to: ["INBOX"] }] };
    const store = newStore();
    await go(memorySource(folders), memorySink(store), options);
    store.generation = "2";
    store.folders.clear();
    folders[1]?.mail.push(mail("c"));
    if (folders[1] !== undefined) folders[1].state = "2";
    const { summary } = await go(memorySource(folders), memorySink(store), options);
    expect(summary.balance.copied).toBe(3);
  });
});

describe("flags that were not carried over are carried later, though the folder has not moved", () => {
  it("after --no-flags", async () => {
    const store = newStore();
    const message = mail("a");
    const folder: MemoryFolder = { ...inbox(message), state: "1" };
    await go(memorySource([folder]), memorySink(store));
    message.traits = { ...message.traits, flags: new Set(["seen"]) };
    folder.state = "2";
    await go(memorySource([folder]), memorySink(store), { flags: false });
    await go(memorySource([folder]), memorySink(store));
    expect([...(held(store)[0]?.traits.flags ?? [])]).toEqual(["seen"]);
  });

  it("after the target refused them, which is reported and keeps no other message back", async () => {
    const store = newStore();
    const message = mail("a");
    const folder: MemoryFolder = { ...inbox(message), state: "1" };
    await go(memorySource([folder]), memorySink(store));
    message.traits = { ...message.traits, flags: new Set(["seen"]) };
    folder.mail.push(mail("b"));
    folder.state = "2";
    const step = (what: string) => {
      if (what === "update") throw refusal("give-up");
    };
    const { summary } = await go(memorySource([folder]), memorySink(store, { step }));
    expect(summary).toMatchObject({ closes: true, balance: { copied: 1, "already-copied": 1 } });
    expect(summary.losses).toEqual([{ loss: { kind: "flag", name: "seen" }, messages: 1 }]);
    await go(memorySource([folder]), memorySink(store));
    expect([...(held(store)[0]?.traits.flags ?? [])]).toEqual(["seen"]);
  });
});

describe("a run always ends", () => {
  it("as stopped, when its signal is aborted for another reason than AbortError (a time-out)", async () => {
    const timer = new AbortController();
    const store = newStore();
    const step = () => timer.abort(new DOMException("too long", "TimeoutError"));
    const going = run(memorySource([many()]), memorySink(store, { step }), { stateDirectory }, timer.signal);
    expect(await going.finished).toMatchObject({ outcome: "stopped" });
  });

  it("when it is aborted while its reader has long stopped reading", async () => {
    const folder = inbox(...Array.from({ length: 5000 }, (_, i) => mail(`m${i}`)));
    const aborter = new AbortController();
    let stored = 0;
    const step = (what: string) => {
      if (what === "stored" && ++stored === 4090) setImmediate(() => setImmediate(() => aborter.abort()));
    };
    const going = run(memorySource([folder]), memorySink(newStore(), { step }), { stateDirectory }, aborter.signal);
    const reader = going[Symbol.asyncIterator]();
    await reader.next();
    expect(await going.finished).toMatchObject({ outcome: "stopped" });
  });

  it("with the other folders carried, when the target can take no folder of one name", async () => {
    const store = newStore();
    const sink = memorySink(store);
    const picky: Sink = {
      ...sink,
      async describe(folder) {
        if (folder.path[0] !== "INBOX")
          throw new MailError("malformed", "name too long", { scope: "folder", remedy: "give-up" });
        return await sink.describe(folder);
      },
    };
    const folders = [inbox(mail("a")), { path: ["x".repeat(300)], generation: "1", mail: [mail("b")] }];
    const { summary } = await go(memorySource(folders), picky);
    expect(summary).toMatchObject({ outcome: "partial", closes: false, balance: { copied: 1 } });
    expect(summary.folders.find(({ error }) => error !== undefined)?.error).toBe("name too long");
  });
});

describe("a finished FILE.zip", () => {
  const zip = () => openMboxZipSink({ path: join(stateDirectory, "a.zip"), job: "job" }, NEVER);
  const drain = async (folder: MemoryFolder, faults = {}) => {
    await using sink = await zip();
    return await go(memorySource([folder], faults), sink, { remove: {} });
  };
  const cutAtRemoval = () => {
    let left = 2;
    return {
      step: (what: string) => {
        if (what === "remove" && left-- <= 0)
          throw new MailError("connection", "cut", { scope: "account", remedy: "retry" });
      },
    };
  };

  it("lets the next run delete what the one before it proved and could not delete any more", async () => {
    const folder = inbox(mail("a"), mail("b"), mail("c"), mail("d"));
    expect((await drain(folder, cutAtRemoval())).summary).toMatchObject({ removed: 2, outcome: "partial" });
    const { summary } = await drain(folder);
    expect(summary).toMatchObject({ outcome: "complete", removed: 2, balance: { copied: 0, "already-copied": 2 } });
    expect(folder.mail).toEqual([]);
  });

  it("keeps at the source what it does not hold, and says so", async () => {
    const folder = inbox(mail("a"), mail("b"), mail("c"));
    await drain(folder, cutAtRemoval());
    folder.mail.push(mail("late"));
    const { summary, events } = await drain(folder);
    expect(summary).toMatchObject({ outcome: "partial", removed: 1, balance: { failed: 1 } });
    expect(folder.mail.map(({ id }) => id)).toEqual(["late"]);
    expect(events.find((event) => event.type === "message-settled" && event.as === "failed")).toMatchObject({
      error: { message: expect.stringContaining("finished") },
    });
  });
});

it("a new folder whose first messages were stored without our knowing is looked into before the next try", async () => {
  const path = join(stateDirectory, "mail");
  await using sink = await openMaildirSink({ path }, NEVER);
  let torn = 0;
  const tearing: Sink = {
    ...sink,
    // Its own way, and the folder that it says to have made, again in the second pass.
    async open(folder, signal) {
      const { appendAll: _, ...opened } = await sink.open(folder, signal);
      return {
        ...opened,
        created: true,
        async append(message, stop) {
          const stored = await opened.append(message, stop);
          if (torn++ < 30) throw cut();
          return stored;
        },
      };
    },
  };
  const { summary } = await go(memorySource([many()]), tearing);
  expect(torn).toBe(30);
  expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 30 });
  expect(summary.balance.copied + summary.balance.adopted).toBe(30);
  expect(await readdir(join(path, "cur"))).toHaveLength(30);
});

describe("a folder that was there before, by its store's word empty for ever", () => {
  /** Its folder is opened as one in which nothing ever was, whatever is in it. */
  const pristine = (sink: Sink, isPristine: boolean, opened?: () => void): Sink => ({
    ...sink,
    async open(folder, signal) {
      const made = await sink.open(folder, signal);
      opened?.();
      return { ...made, created: false, pristine: isPristine };
    },
  });

  it("is not looked into", async () => {
    const store = newStore();
    store.folders.set("INBOX", []);
    const sink = memorySink(store);
    const { summary } = await go(memorySource([many()]), pristine(sink, true));
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 30 } });
    expect(sink.counts.listings).toBe(0);
  });

  it("is looked into when it is not empty", async () => {
    const folder = many();
    const store = await filledBy(folder);
    const { summary } = await go(memorySource([folder]), pristine(memorySink(store), false));
    expect(summary.balance).toMatchObject({ copied: 0, adopted: 30 });
  });

  it("is looked into by the run after one that died, as what that one sent may be stored late", async () => {
    const folder = many();
    const store = newStore();
    store.folders.set("INBOX", []);
    const dying: SinkFaults = { append: () => cut() };
    await expect(go(memorySource([folder]), pristine(memorySink(store, dying), true))).rejects.toThrow("cut");
    const late = folder.mail.slice(0, 12).map(({ bytes, traits }) => ({ ref: String(store.next++), bytes, traits }));
    const { summary } = await go(
      memorySource([folder]),
      pristine(memorySink(store), true, () => void store.folders.get("INBOX")?.push(...late.splice(0))),
    );
    expect(summary).toMatchObject({ outcome: "complete", balance: { copied: 18, adopted: 12 } });
    expect(held(store)).toHaveLength(30);
  });
});
