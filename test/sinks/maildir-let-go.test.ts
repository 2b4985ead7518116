// Thousands of folders: one that nobody works in any more is let go, and is the same when it is opened again.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, it } from "vitest";
import { stageBytes } from "../../src/mail/body.ts";
import type { Message } from "../../src/mail/message.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import type { Sink, SinkFolder } from "../../src/sinks/sink.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const { signal } = new AbortController();

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-let-go-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

function letter(n: number): Message {
  const traits = { flags: new Set<never>(), keywords: new Set([`word${n}`]), labels: new Set<string>() };
  const body = stageBytes(Buffer.from(`Message-ID: <${n}@example.org>\n\nbody ${n}\n`), true);
  return { entry: { origin: { folder: [], generation: "1", id: String(n) }, traits }, body, traits };
}

/** Opens a folder, stores one message there, and keeps nothing of it. */
async function fill(sink: Sink, name: string, n: number): Promise<WeakRef<SinkFolder>> {
  const folder = await sink.open({ path: [name], selectable: true }, signal);
  await folder.append(letter(n), signal);
  return new WeakRef(folder);
}

it("what was opened and is done with is not kept", async () => {
  await using sink = await openMaildirSink({ path: join(root, "mail") }, signal);
  const opened: WeakRef<SinkFolder>[] = [];
  for (let n = 0; n < 20; n++) opened.push(await fill(sink, `Box ${n}`, n));
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  // The last one may still be on its way.
  expect(opened.filter((folder) => folder.deref() !== undefined).length).toBeLessThan(3);
});

it("opened again it is no new folder, and holds what it held, keywords too", async () => {
  await using sink = await openMaildirSink({ path: join(root, "mail") }, signal);
  for (const name of ["INBOX", "Box"]) {
    await fill(sink, name, 1);
    // The last one may still be on its way.
    for (let n = 0; n < 3; n++) await fill(sink, `${name} and ${n}`, n);
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect((await sink.open({ path: [name], selectable: true }, signal)).created).toBe(false);
    await fill(sink, name, 2);
    collect();
    const folder = await sink.open({ path: [name], selectable: true }, signal);
    expect(folder.created).toBe(false);
    const words: string[] = [];
    for await (const { traits } of folder.copies(undefined, signal)) words.push(...traits.keywords);
    expect(words.sort()).toEqual(["word1", "word2"]);
  }
});
