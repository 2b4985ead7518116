// Thousands of folders: what a run holds of one that is done does not add up.

import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { run } from "../../src/migrate/run.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

const FOLDERS = 40;

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-folders-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

/** Files below the state that this process has open, but for the lock. */
function journalsOpen(): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return targets.filter((path) => path.startsWith(stateDirectory) && path.endsWith(".jsonl")).length;
}

it("the ledger of a folder that is done is closed, unless its messages are to be deleted", async () => {
  const folders = Array.from({ length: FOLDERS }, (_, n) => ({
    path: [`Box ${n}`],
    generation: "1",
    mail: [mail(`m${n}`)],
  }));
  const open: Record<string, number> = {};
  for (const how of ["copy", "move"]) {
    const sink = memorySink(newStore());
    const seal = sink.seal.bind(sink);
    sink.seal = async (...args) => {
      open[how] = journalsOpen();
      await seal(...args);
    };
    const options = { stateDirectory: join(stateDirectory, how), ...(how === "move" ? { remove: {} } : {}) };
    const { balance, removed } = await run(memorySource(folders), sink, options, new AbortController().signal).finished;
    expect([balance.copied, removed]).toEqual([FOLDERS, how === "move" ? FOLDERS : 0]);
  }
  expect(open).toEqual({ copy: 0, move: FOLDERS });
});

it("as many folders are worked on at first as the target says, and one more with each look at a run that waits", async () => {
  const folders = Array.from({ length: 6 }, (_, n) => ({ path: [`Box ${n}`], generation: "1", mail: [mail(`m${n}`)] }));
  const inner = memorySink(newStore());
  let opening = 0;
  let atFirst = 0;
  let most = 0;
  let letThrough = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letThrough = resolve;
  });
  const sink: Sink = {
    ...inner,
    limits: { ...inner.limits, folders: 4, foldersAtFirst: 2 },
    async open(folder) {
      opening++;
      most = Math.max(most, opening);
      if (opening === 1) setTimeout(() => (atFirst = opening), 100);
      // Long enough for a fifth one to come, if anything let it.
      if (opening === 4) setTimeout(letThrough, 1000);
      await gate;
      const opened = await inner.open(folder);
      opening--;
      return opened;
    },
  };
  const source = { ...memorySource(folders), limits: { sessions: 8 } };
  const { balance } = await run(source, sink, { stateDirectory }, new AbortController().signal).finished;
  expect({ copied: balance.copied, atFirst, most }).toEqual({ copied: 6, atFirst: 2, most: 4 });
}, 20_000);
