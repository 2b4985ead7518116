// Every adapter that lives on disk (and the engine's own test doubles) through the shared suites.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { openMaildirs } from "../../src/endpoints/local.ts";
import { openMaildirSink } from "../../src/sinks/maildir.ts";
import { openMboxZipSink } from "../../src/sinks/mbox-zip.ts";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { openMboxSource } from "../../src/sources/mbox.ts";
import { openMboxZipSource } from "../../src/sources/mbox-zip.ts";
import { memorySink, memorySource, newStore } from "../kit/memory.ts";
import { scratch, writeMaildir, writeMboxTree } from "./disk.ts";
import type { SeedFolder } from "./seed.ts";
import { sinkConformance } from "./sink.ts";
import { append, folder } from "./sink-kit.ts";
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

sourceConformance("Maildirs and mboxes in one folder", {
  async make(folders) {
    const place = await scratch();
    // Beside Maildirs an empty file is no mailbox.
    const isMaildir = (seed: SeedFolder): boolean => seed === folders[0] || seed.mail.length === 0;
    await writeMaildir(place.path, folders.filter(isMaildir));
    await writeMboxTree(
      place.path,
      folders.filter((seed) => !isMaildir(seed)),
    );
    return { source: await openMaildirs({ path: place.path }, NEVER), dispose: place.dispose };
  },
  skip: { "deletes exactly the messages that it is told to": "an mbox is only ever read" },
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

const ARCHIVES = [
  { name: "mboxzip (a directory that grows)", file: "archive" },
  { name: "mboxzip (one FILE.zip)", file: "archive.zip" },
] as const;

for (const { name, file } of ARCHIVES) {
  sourceConformance(name, {
    async make(folders) {
      const place = await scratch();
      const path = join(place.path, file);
      {
        await using sink = await openMboxZipSink({ path, job: "seed" }, NEVER);
        for (const { path: names, mail } of folders) {
          const opened = await sink.open(folder(names), NEVER);
          for (const seed of mail) await append(opened, seed);
        }
        await sink.seal(NEVER);
      }
      return { source: await openMboxZipSource({ path }, NEVER), dispose: place.dispose };
    },
    skip: { "deletes exactly the messages that it is told to": "an archive never loses mail" },
  });

  sinkConformance(name, {
    async make() {
      const place = await scratch();
      const path = join(place.path, file);
      return {
        sink: await openMboxZipSink({ path, job: "one" }, NEVER),
        reopenSink: () => openMboxZipSink({ path, job: "one" }, NEVER),
        asSource: () => openMboxZipSource({ path }, NEVER),
        async dispose() {
          const beside = (await readdir(place.path)).filter((entry) => !entry.startsWith(file));
          await place.dispose();
          expect(beside, "files outside the target").toEqual([]);
        },
      };
    },
    skip: {
      "says not-found for a copy that is gone": "an archive never loses mail",
      ...(file === "archive.zip" && {
        "is the same for a later run: generation, copies, bytes": "a finished FILE.zip takes nothing more",
      }),
    },
  });
}
