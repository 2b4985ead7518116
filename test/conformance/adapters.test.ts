// Every adapter that lives on disk (and the engine's own test doubles) through the shared suites.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import { memorySink, memorySource, newStore } from "../kit/memory.ts";
import { scratch, writeMaildir, writeMboxTree } from "./disk.ts";
import { sinkConformance } from "./sink.ts";
import { sourceConformance } from "./source.ts";

const NEVER = new AbortController().signal;

// The suites themselves are right only if an honest store passes them.
sourceConformance("the source in memory", {
  async make(folders) {
    const source = memorySource(
      folders.map(({ path, mail }) => ({
        path,
        generation: "1",
        mail: mail.map(({ bytes, traits }, i) => ({ id: String(i + 1), bytes, traits })),
      })),
    );
    return { source, dispose: async () => undefined };
  },
});

sinkConformance("the sink in memory", {
  async make() {
    const store = newStore();
    return {
      sink: memorySink(store),
      reopenSink: async () => memorySink(store),
      async asSource() {
        const folders = [...store.folders].map(([name, mail]) => ({ name, mail }));
        return memorySource(
          folders.map(({ name, mail }) => ({
            path: name.split(/(?<!\\)\//).map((part) => part.replace(/\\(.)/g, "$1")),
            generation: store.generation,
            mail: mail.map(({ ref, bytes, traits }) => ({ id: ref, bytes, traits })),
          })),
        );
      },
      dispose: async () => undefined,
    };
  },
  skip: {
    "says not-found for a copy that is gone": "its source is a copy of the store",
    "refuses to append under an aborted signal, and works on": "it knows no signals",
  },
});

sourceConformance("mbox (a tree)", {
  async make(folders) {
    const place = await scratch();
    await writeMboxTree(place.path, folders);
    return { source: await openMboxSource({ path: place.path }, NEVER), dispose: place.dispose };
  },
  skip: { "deletes exactly the messages that it is told to": "an mbox is only ever read" },
});

sourceConformance("Maildir", {
  async make(folders) {
    const place = await scratch();
    await writeMaildir(place.path, folders);
    return { source: await openMaildirSource({ path: place.path }, NEVER), dispose: place.dispose };
  },
});

sinkConformance("Maildir", {
  async make() {
    const place = await scratch();
    const path = join(place.path, "Mail");
    return {
      sink: await openMaildirSink({ path }, NEVER),
      reopenSink: () => openMaildirSink({ path }, NEVER),
      asSource: () => openMaildirSource({ path }, NEVER),
      async dispose() {
        const beside = (await readdir(place.path)).filter((name) => name !== "Mail");
        await place.dispose();
        expect(beside, "files outside the target").toEqual([]);
      },
    };
  },
});
