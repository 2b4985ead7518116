// A run onto a target that is finished: each message is found by its origin or its bytes, or named as not in it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { type MemoryFolder, mail, memorySource, type SourceFaults } from "../kit/memory.ts";

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-finished-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const NEVER = new AbortController().signal;

/** `more`: octets by which the source's word on sizes is wrong. */
async function backup(folder: MemoryFolder, options: Partial<RunOptions> = {}, faults: SourceFaults = {}, more = 0) {
  await using sink = await openMboxZipSink({ path: join(stateDirectory, "a.zip"), job: "job" }, NEVER);
  // As a server has it, of which nothing is read to say whose a message is.
  const source = Object.assign(memorySource([folder], faults), { describe: async function* () {} });
  const { read } = source;
  source.read = (slice, { want, ...rest }) =>
    read(slice, { ...rest, want: (entry) => want({ ...entry, size: (entry.size ?? 0) + more }) });
  const going = run(source, sink, { stateDirectory, ...options }, NEVER);
  const events: MigrationEvent[] = [];
  for await (const event of going) events.push(event);
  return { summary: await going.finished, events };
}

const inbox = (...messages: MemoryFolder["mail"]): MemoryFolder => ({
  path: ["INBOX"],
  generation: "7",
  mail: messages,
});

it("one that the source calls by a new name is known by its bytes, as often as it is held", async () => {
  await backup(inbox(mail("a"), mail("b")));
  const renamed = { ...inbox(mail("a"), mail("b"), { ...mail("a"), id: "twin" }), generation: "8" };
  const { summary, events } = await backup(renamed);
  expect(summary).toMatchObject({ outcome: "partial", targetFinished: true, closes: true, listed: 3 });
  expect(summary.balance).toMatchObject({ "already-copied": 2, failed: 1, copied: 0 });
  expect(events.find((event) => event.type === "message-settled" && event.as === "failed")).toMatchObject({
    entry: { origin: { id: "twin" } },
    error: { message: expect.stringContaining("does not hold") },
  });
});

it("mail that was moved out and back is known by its bytes, and what has another size is not read for it", async () => {
  await backup(inbox(mail("a"), mail("b"), mail("c")));
  const moved = inbox({ ...mail("b"), id: "b2" }, { ...mail("b"), id: "b3" }, mail("a"), { ...mail("c"), id: "c2" });
  const many = Array.from({ length: 25 }, (_, i) => mail(`longer${i}`));
  const read: string[] = [];
  const step = (what: string): void => void (what === "content" && read.push(what));
  const { summary, events } = await backup({ ...moved, mail: [...many, ...moved.mail] }, {}, { step });
  expect(summary).toMatchObject({ outcome: "partial", closes: true, listed: 29 });
  expect(summary.balance).toMatchObject({ "already-copied": 3, failed: 26 });
  expect(events.filter((event) => event.type === "message-settled" && event.as === "already-copied")).toMatchObject(
    ["a", "b2", "c2"].map((id) => ({ entry: { origin: { id } } })),
  );
  // As soon as all that is held was found, nothing more is read.
  expect(read).toHaveLength(3);
});

it("where a source says other sizes than its messages have, each is read that may be held", async () => {
  await backup(inbox(mail("a"), mail("b")));
  const { summary } = await backup(inbox(mail("a"), { ...mail("b"), id: "b2" }), {}, {}, 7);
  expect(summary).toMatchObject({ outcome: "complete", balance: { "already-copied": 2, failed: 0 } });
  const renamed = await backup({ ...inbox(mail("a"), mail("b")), generation: "8" }, {}, {}, 7);
  expect(renamed.summary).toMatchObject({ outcome: "complete", balance: { "already-copied": 2, failed: 0 } });
});

it("a finished file is compared with one listing where every message is found by its name", async () => {
  await backup(inbox(mail("a"), mail("b")));
  let reads = 0;
  const step = (what: string): void => void (what === "read" && reads++);
  expect((await backup(inbox(mail("b"), mail("a")), {}, { step })).summary).toMatchObject({ outcome: "complete" });
  expect(reads).toBe(1);
});

it("new mail is not transferred to say that it is not there", async () => {
  await backup(inbox(mail("a")));
  let contents = 0;
  const step = (what: string): void => {
    if (what === "content") contents++;
  };
  const many = Array.from({ length: 25 }, (_, i) => mail(`new${i}`));
  const { summary } = await backup(inbox(mail("a"), ...many), {}, { step });
  expect(summary.balance).toMatchObject({ "already-copied": 1, failed: 25 });
  expect(contents).toBe(0);
});

it("what the options leave out by the date in its header is not missed", async () => {
  const dated = (id: string, year: number) =>
    mail(id, `Received: from x by y; Tue, 2 Jan ${year} 10:00:00 +0000\r\nMessage-ID: <${id}@x>\r\n\r\n${id}\r\n`);
  const since = Date.UTC(2020, 0) / 1000;
  await backup(inbox(dated("old", 2010), dated("new", 2024)), { since });
  const { summary } = await backup(inbox(dated("old", 2010), dated("new", 2024)), { since });
  expect(summary).toMatchObject({ outcome: "complete", balance: { "already-copied": 1, filtered: 1, failed: 0 } });
});

it("one that cannot be read any more fails by its name, and the others are compared", async () => {
  await backup(inbox(mail("a"), mail("b")));
  const content = new Map([["a", new MailError("protocol", "no such luck", { scope: "message", remedy: "give-up" })]]);
  const { summary, events } = await backup({ ...inbox(mail("a"), mail("b")), generation: "8" }, {}, { content });
  expect(summary.balance).toMatchObject({ "already-copied": 1, failed: 1 });
  expect(events.find((event) => event.type === "message-settled" && event.as === "failed")).toMatchObject({
    error: { message: "no such luck" },
  });
});
