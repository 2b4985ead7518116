// Thousands of folders: what a run holds of one that is done does not add up.
//
// mutation: src/migrate/folder.ts: "  await ledger[Symbol.asyncDispose]();\n" -> ""

import { readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { run } from "../../src/migrate/run.ts";
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
