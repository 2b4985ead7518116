// The owner of an archive deleted copies in it: they stay deleted, their originals stay, and that is no failure.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { RunSummary } from "../../src/migrate/events.ts";
import { run } from "../../src/migrate/run.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { mail, memorySource } from "../kit/memory.ts";

const signal = new AbortController().signal;

it("a run that deletes keeps their originals, says why once, and is complete, night after night", async () => {
  const root = await mkdtemp(join(tmpdir(), "mailferry-copy-deleted-"));
  try {
    const path = join(root, "archive");
    const held = Array.from({ length: 12 }, (_, i) => mail(`m${i}`));
    const folders = [{ path: ["INBOX"], generation: "1", mail: held }];
    const night = async (removes: boolean): Promise<{ summary: RunSummary; why: string[] }> => {
      await using sink = await openMaildirSink({ path }, signal);
      const options = { stateDirectory: root, ...(removes ? { remove: {} } : {}) };
      const running = run(memorySource(folders), sink, options, signal);
      const why: string[] = [];
      for await (const event of running) if (event.type === "message-kept") why.push(event.why);
      return { summary: await running.finished, why };
    };
    await night(false);
    const copies = (await readdir(join(path, "cur"))).sort();
    expect(copies).toHaveLength(12);
    await rm(join(path, "cur", copies[3] ?? ""));
    for (let nights = 0; nights < 3; nights++) {
      const { summary, why } = await night(true);
      expect(why).toEqual(nights === 0 ? ["copy-deleted"] : []);
      expect(summary).toMatchObject({ outcome: "complete", kept: 0 });
      expect(held).toHaveLength(1);
      expect(await readdir(join(path, "cur"))).toHaveLength(11);
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
