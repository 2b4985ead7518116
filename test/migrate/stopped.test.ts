// What a run says of its course: of all that was planned, in the order of the source, and without the time in which it waited for its user.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { run } from "../../src/migrate/run.ts";
import { type MemoryFolder, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-stopped-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const NEVER = new AbortController().signal;
const folder = (name: string, count: number): MemoryFolder => ({
  path: [name],
  generation: "7",
  mail: Array.from({ length: count }, (_, i) => mail(`${name}${i}`)),
});

it("a stopped run tells what is done and what is open of every folder, begun or not", async () => {
  const folders = [folder("A", 2), folder("B", 60), folder("C", 3)];
  // One folder at a time, the largest first.
  const sink = { ...memorySink(newStore()), limits: { writes: 1, folders: 1 } };
  const going = run(memorySource(folders), sink, { stateDirectory }, NEVER);
  let copied = 0;
  for await (const event of going) if (event.type === "message-settled" && ++copied === 5) going.stop();
  const { outcome, progress = [], balance } = await going.finished;
  expect(outcome).toBe("stopped");
  expect(progress.map(({ folder: [name] }) => name)).toEqual(["A", "B", "C"]);
  expect(progress.map(({ done, open = Number.NaN }) => done + open)).toEqual([2, 60, 3]);
  expect(progress[1]?.done).toBe(balance.copied);
  expect(balance.copied).toBeLessThan(60);
});

it("does not close the balance where the folders that were begun came to their end, and others were not begun", async () => {
  const folders = [folder("A", 3), folder("B", 2), folder("C", 1)];
  const sink = { ...memorySink(newStore()), limits: { writes: 1, folders: 1 } };
  const going = run(memorySource(folders), sink, { stateDirectory }, NEVER);
  for await (const event of going) if (event.type === "folder-finished") going.stop();
  const { outcome, closes, folders: sums } = await going.finished;
  expect(sums.every((one) => one.closes)).toBe(true);
  expect(sums.length).toBeLessThan(3);
  expect([outcome, closes]).toEqual(["stopped", false]);
});

it("folders are summed up in the order of the source, whichever was done first", async () => {
  const folders = [folder("A", 2), folder("B", 60), folder("C", 30)];
  const going = run(memorySource(folders), memorySink(newStore()), { stateDirectory }, NEVER);
  for await (const _ of going);
  const { folders: sums, progress } = await going.finished;
  expect(sums.map(({ folder: [name] }) => name)).toEqual(["A", "B", "C"]);
  expect(progress).toBeUndefined();
});

it("the seconds are those of the work, not of a question that waits for its answer", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const confirm = async (): Promise<boolean> => {
      vi.setSystemTime(Date.now() + 3_600_000);
      return true;
    };
    const options = { stateDirectory, remove: { confirm } };
    const going = run(memorySource([folder("A", 2)]), memorySink(newStore()), options, NEVER);
    for await (const _ of going);
    expect(await going.finished).toMatchObject({ removed: 2, seconds: 0 });
  } finally {
    vi.useRealTimers();
  }
});

it("messages of a folder that is given up are named by their headers", async () => {
  const broken = memorySink(newStore());
  const sink = {
    ...broken,
    async open() {
      throw new MailError("protocol", "no such luck", { scope: "folder", remedy: "give-up" });
    },
  };
  const source = Object.assign(memorySource([folder("A", 2)]), {
    async *describe(origins: readonly { folder: readonly string[]; generation: string; id: string }[]) {
      for (const origin of origins) yield { origin, head: Buffer.from(`Subject: about ${origin.id}\r\n\r\n`) };
    },
  });
  const going = run(source, sink, { stateDirectory, patience: { attempts: 1, firstDelayMs: 1 } }, NEVER);
  const subjects: (string | undefined)[] = [];
  for await (const event of going) if (event.type === "message-settled") subjects.push(event.subject);
  expect((await going.finished).balance.failed).toBe(2);
  expect(subjects).toEqual(["about A0", "about A1"]);
});
