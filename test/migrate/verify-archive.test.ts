// A Maildir archive verified by itself: every change to what was stored is found.

import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { run } from "../../src/migrate/run.ts";
import { verifyArchive } from "../../src/migrate/verify-archive.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { mail, memorySource } from "../kit/memory.ts";

const signal = new AbortController().signal;
let root: string;
let path: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-archive-"));
  path = join(root, "maildir");
  const folders = [
    { path: ["INBOX"], generation: "1", mail: [mail("a"), mail("b", undefined, { labels: new Set(["kept aside"]) })] },
    { path: ["Work", "2024"], generation: "1", mail: [mail("c", undefined, { labels: new Set(["too"]) })] },
  ];
  await using sink = await openMaildirSink({ path }, signal);
  await run(memorySource(folders), sink, { stateDirectory: root }, signal).finished;
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function problems(): Promise<string[]> {
  const found: string[] = [];
  await using source = await openMaildirSource({ path }, signal);
  const { messages } = await verifyArchive(source, join(path, "mailferry"), signal, (text) => found.push(text));
  expect(messages).toBeGreaterThan(0);
  return found;
}

async function files(below: string, ending: RegExp): Promise<string[]> {
  const entries = await readdir(join(path, below), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

it("a sound archive has no problem", async () => {
  expect(await problems()).toEqual([]);
});

it("a flipped byte in any message is found", async () => {
  const all = [...(await files("cur", /./)), ...(await files(".Work.2024/cur", /./))];
  expect(all).toHaveLength(3);
  for (const file of all) {
    const { length } = await readFile(file);
    for (const at of [0, Math.floor(length / 2), length - 2]) {
      await flip(file, at);
      expect(await problems()).toEqual([expect.stringContaining("has other bytes than were stored")]);
      await flip(file, at);
    }
  }
});

it("a message that is gone is found, and a whole folder", async () => {
  const [file = ""] = await files("cur", /./);
  await unlink(file);
  expect(await problems()).toEqual(["INBOX: 1 message that was stored is no longer there"]);
  await rm(join(path, ".Work.2024"), { recursive: true });
  expect(await problems()).toContainEqual(expect.stringContaining("the folder is gone"));
});

it("a flipped byte in a journal is found, and in a folder's own id", async () => {
  const [journal = ""] = await files("mailferry/ledger", /\.jsonl$/);
  const bytes = await readFile(journal);
  await flip(journal, bytes.indexOf('"done"'));
  expect(await problems()).toContainEqual(expect.stringContaining("is damaged"));
  await flip(journal, bytes.indexOf('"done"'));
  await flip(join(path, ".Work.2024", "mailferry-folder"), 0);
  expect(await problems()).toContainEqual(expect.stringContaining("belongs to no folder"));
});
