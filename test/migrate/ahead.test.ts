// A folder of which nothing is known is asked for while its target is being opened, and nothing of it is judged before.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { type MemoryFolder, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

let stateDirectory: string;
beforeEach(async () => {
  stateDirectory = await mkdtemp(join(tmpdir(), "mailferry-ahead-"));
});
afterEach(() => rm(stateDirectory, { recursive: true, force: true }));

const NEVER = new AbortController().signal;
const inbox = (...ids: readonly string[]): MemoryFolder => ({
  path: ["INBOX"],
  generation: "7",
  mail: ids.map((id) => mail(id)),
});

async function go(source: Source, sink: Sink, options: Partial<RunOptions> = {}) {
  return await run(source, sink, { stateDirectory, patience: { attempts: 3, firstDelayMs: 1 }, ...options }, NEVER)
    .finished;
}

/** What source and target do, in turn; a target takes its time to open, and is refused as often as is said. */
function told(folders: readonly MemoryFolder[], store = newStore(), refusals = 0) {
  const log: string[] = [];
  const source = memorySource(folders, { step: (what) => log.push(what) });
  let left = refusals;
  const inner = memorySink(store, { step: (what) => log.push(what) });
  const sink: Sink = {
    ...inner,
    async open(folder) {
      log.push("opening");
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (left-- > 0) throw new MailError("connection", "cut", { scope: "account", remedy: "retry", outcome: "none" });
      return await inner.open(folder);
    },
  };
  const read: Source["read"] = async function* (slice, options) {
    try {
      yield* source.read(slice, {
        ...options,
        want(entry) {
          const answer = options.want(entry);
          const judged = (isWanted: boolean): boolean => {
            log.push(`want ${entry.origin.id}`);
            return isWanted;
          };
          return typeof answer === "boolean" ? judged(answer) : answer.then(judged);
        },
      });
    } finally {
      log.push(options.signal.aborted ? "ended" : "end");
    }
  };
  return { log, source: { ...source, read, readsAhead: true } satisfies Source, sink, store };
}

it("source and target are opened beside each other, and what is wanted is said when both are open", async () => {
  const { log, source, sink, store } = told([inbox("a", "b")]);
  expect(await go(source, sink)).toMatchObject({ outcome: "complete", balance: { copied: 2 } });
  expect(log.slice(0, 5)).toEqual(["opening", "read", "open", "want a", "want b"]);
  expect(store.folders.get("INBOX")).toHaveLength(2);
});

it("an empty folder is listed to its end all the same", async () => {
  const { source, sink, store } = told([inbox()]);
  const summary = await go(source, sink);
  expect(summary).toMatchObject({ outcome: "complete", closes: true, listed: 0 });
  const [job] = summary.folders;
  expect(job).toMatchObject({ listed: 0, closes: true });
  expect([...store.folders.keys()]).toEqual(["INBOX"]);
});

it("what was begun for a target that cannot be opened is ended, and begun again when it can", async () => {
  const { log, source, sink, store } = told([inbox("a", "b", "c")], newStore(), 2);
  expect(await go(source, sink)).toMatchObject({ outcome: "complete", closes: true, balance: { copied: 3 } });
  expect(log.filter((what) => what === "read")).toHaveLength(2);
  expect(log.slice(0, log.indexOf("open"))).toEqual([
    "opening",
    "read",
    "want a",
    "want b",
    "want c",
    "ended",
    "opening",
    "opening",
  ]);
  expect(store.folders.get("INBOX")).toHaveLength(3);
});

it("a folder that is known, or filtered, is read when its target is open", async () => {
  const folder = inbox("a");
  const { source, sink, store } = told([folder]);
  await go(source, sink);
  folder.mail.push(mail("b"));
  const second = told([folder], store);
  await go(second.source, second.sink);
  expect(second.log.slice(0, 3)).toEqual(["opening", "open", "read"]);
  await rm(stateDirectory, { recursive: true });
  const filtered = told([folder]);
  await go(filtered.source, filtered.sink, { skipDeleted: true });
  expect(filtered.log.slice(0, 3)).toEqual(["opening", "open", "read"]);
});

it("several folders that share a target are read one after the other, the first ahead", async () => {
  const other = { ...inbox("c"), path: ["Old"] };
  const { log, source, sink, store } = told([inbox("a", "b"), other]);
  const options = { map: [{ from: ["Old"], to: ["INBOX"] }] };
  expect(await go(source, sink, options)).toMatchObject({ outcome: "complete", balance: { copied: 3 } });
  expect(log.slice(0, 3)).toEqual(["opening", "read", "open"]);
  expect(store.folders.get("INBOX")).toHaveLength(3);
});

it("once a target was refused, the others are opened before their folders are read", async () => {
  const folders = ["A", "B", "C"].map((name) => ({ ...inbox(`in ${name}`), path: [name] }));
  const { log, source, sink } = told(folders, newStore(), 1);
  const one = { ...sink, limits: { writes: 8, folders: 1 } };
  expect(await go(source, one)).toMatchObject({ outcome: "complete", balance: { copied: 3 } });
  const order = log.filter((what) => what === "opening" || what === "read");
  expect(order).toEqual(["opening", "read", "opening", "read", "opening", "read", "opening", "read"]);
  const behind = log.slice(log.indexOf("ended"));
  expect(behind.filter((what) => what === "open" || what === "read")).toEqual([
    "open",
    "read",
    "open",
    "read",
    "open",
    "read",
  ]);
});

it("a source that does not offer it is read when its target is open", async () => {
  const { log, source, sink } = told([inbox("a")]);
  await go({ ...source, readsAhead: false }, sink);
  expect(log.slice(0, 3)).toEqual(["opening", "open", "read"]);
});
