// An archive whose id is not the one that its ledger knows: no run goes on with it, least of all one that deletes.

import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readArchiveId } from "../../src/formats/archive.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { type MemoryFolder, mail, memorySource } from "../kit/memory.ts";

const { signal } = new AbortController();
let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "mailferry-remove-id-"));
});
afterEach(() => rm(place, { recursive: true, force: true }));

const go = (source: Source, sink: Sink, options: Partial<RunOptions> = {}) =>
  run(source, sink, { stateDirectory: place, ...options }, signal).finished;
const folderOf = (name: string, ids: readonly string[]): MemoryFolder => ({
  path: [name],
  generation: "7",
  mail: ids.map((id) => mail(id)),
});

describe("an archive with another id than its ledger knows", () => {
  it.each([
    ["maildir", "mailferry", (path: string) => openMaildirSink({ path }, signal)],
    ["mboxzip", "mailferry", (path: string) => openMboxZipSink({ path, job: "job" }, signal)],
  ] as const)("is still the one that its list of files says: %s", async (kind, home, opened) => {
    const folder = folderOf("A", ["a", "b"]);
    const path = await mkdtemp(join(place, "archive"));
    {
      await using sink = await opened(path);
      await go(memorySource([folder]), sink);
    }
    const before = await readArchiveId(path);
    const file = join(path, home, "archive.json");
    await writeFile(file, (await readFile(file, "utf8")).replace(/"id":"./, '"id":"-'));
    await using sink = await opened(path);
    expect(sink.identity).toBe(`${kind}:${before}`);
    const summary = await go(memorySource([folder]), sink, { remove: {} });
    expect(summary).toMatchObject({ removed: 2, balance: { copied: 0, "already-copied": 2 } });
    expect(folder.mail).toEqual([]);
  });

  const openers = {
    maildir: (path: string) => openMaildirSink({ path }, signal),
    mboxzip: (path: string) => openMboxZipSink({ path, job: "job" }, signal),
  };
  const idFile = (path: string): string => join(path, "mailferry", "archive.json");
  const zipsIn = async (path: string) => (await readdir(path)).filter((name) => name.endsWith(".zip"));
  /** Another id, in place of its own; gives it. */
  const rewritten = async (path: string): Promise<string> => {
    const { id, ...rest } = JSON.parse(await readFile(idFile(path), "utf8")) as { id: string };
    const other = id.replace(/^./, (char) => (char === "0" ? "1" : "0"));
    await writeFile(idFile(path), JSON.stringify({ ...rest, id: other }));
    return other;
  };
  /** The id is lost, and the zips, which then say whose they are, are another archive's. */
  const exchanged = async (path: string): Promise<string | undefined> => {
    const other = await mkdtemp(join(place, "other"));
    {
      await using sink = await openers.mboxzip(other);
      await go(memorySource([folderOf("A", ["a", "b"])]), sink);
    }
    await rm(idFile(path));
    for (const name of await zipsIn(path)) await rm(join(path, name));
    for (const name of await zipsIn(other)) await copyFile(join(other, name), join(path, name));
    return await readArchiveId(other);
  };

  it.each([
    ["maildir", "rewritten", rewritten],
    ["mboxzip", "rewritten", rewritten],
    ["mboxzip", "exchanged", exchanged],
  ] as const)("stops the run, and nothing is deleted: %s, %s", async (kind, _, change) => {
    // Also where nothing has moved at the source, and the end of the ledger is all that is read.
    for (const state of [{}, { state: "unmoved" }]) {
      const folder = { ...folderOf("A", ["a", "b"]), ...state };
      const path = await mkdtemp(join(place, "archive"));
      {
        await using sink = await openers[kind](path);
        await go(memorySource([folder]), sink);
      }
      const before = await readArchiveId(path);
      // As an older version left it: the list of an archive's own files says whose it is, too.
      await rm(join(path, "mailferry", "inventory.jsonl"));
      const id = await change(path);
      await using sink = await openers[kind](path);
      expect(id).not.toBe(before);
      expect(sink.identity).toBe(`${kind}:${id}`);
      await expect(go(memorySource([folder]), sink, { remove: {} })).rejects.toMatchObject({
        code: "config",
        message: expect.stringContaining("belongs to another source and target"),
      });
      expect(folder.mail).toHaveLength(2);
    }
  });
});
