// What every source promises: one call runs the whole suite for an adapter.

import { describe, expect, it } from "vitest";
import type { ContentKey } from "../../src/mail/key.ts";
import { type Entry, type Folder, type Origin, showPath } from "../../src/mail/model.ts";
import type { Incoming, ReadOptions, Source } from "../../src/sources/source.ts";
import { contentKey, expectTraits, letter, type SeedFolder, seedKey, seedTree } from "./seed.ts";

export interface MadeSource {
  readonly source: Source;
  dispose(): Promise<void>;
}

export interface SourceSuite {
  /** A source that holds exactly this mail (an inbox that always exists may be there, empty). */
  make(mail: readonly SeedFolder[]): Promise<MadeSource>;
  /** A store that has an inbox and nothing else (POP3). */
  readonly inboxOnly?: boolean;
  /** What this adapter does not do, by the promise's words, each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

const NEVER = new AbortController().signal;

export function sourceConformance(name: string, suite: SourceSuite): void {
  const used = new Set<string>();
  const tree = (): SeedFolder[] => {
    const all = seedTree();
    return suite.inboxOnly === true ? [{ path: ["INBOX"], mail: all.flatMap(({ mail }) => mail) }] : all;
  };

  const promise = (what: string, test: (made: MadeSource, seeds: SeedFolder[]) => Promise<void>): void => {
    used.add(what);
    const reason = suite.skip?.[what];
    if (reason !== undefined) {
      it.skip(`${what} (not here: ${reason})`);
      return;
    }
    it(what, async () => {
      const seeds = tree();
      const made = await suite.make(seeds);
      try {
        await test(made, seeds);
      } finally {
        await made.source[Symbol.asyncDispose]();
        await made.dispose();
      }
    });
  };

  describe(`${name} keeps the promises of a source`, () => {
    promise("lists every folder exactly once", async ({ source }, seeds) => {
      const listed = await foldersOf(source);
      const names = listed.map(({ path }) => showPath(path));
      expect(new Set(names).size).toBe(names.length);
      for (const { path } of seeds) expect(names).toContain(showPath(path));
      const known = new Set(seeds.map(({ path }) => showPath(path)));
      for (const folder of listed)
        if (folder.selectable && !known.has(showPath(folder.path)))
          expect(await entriesOf(source, folder), `mail in ${showPath(folder.path)}`).toEqual([]);
    });

    promise("offers every entry exactly once, each with an origin of its own", async ({ source }, seeds) => {
      for (const seed of seeds) {
        const folder = await folderOf(source, seed);
        const entries = await entriesOf(source, folder);
        expect(entries.length).toBe(seed.mail.length);
        expect(new Set(entries.map(({ origin }) => origin.id)).size).toBe(entries.length);
        expect(new Set(entries.map(({ origin }) => origin.generation)).size).toBeLessThanOrEqual(1);
        for (const { origin } of entries) expect(origin.folder).toEqual(seed.path);
      }
    });

    promise("gives back every message with its content key", async ({ source }, seeds) => {
      for (const seed of seeds) {
        const read = await readAll(source, await folderOf(source, seed));
        const expected = await Promise.all(seed.mail.map(seedKey));
        expect(read.map(({ key }) => key).sort()).toEqual(expected.sort());
      }
    });

    promise("tells the traits that it says it tells", async ({ source }, seeds) => {
      for (const seed of seeds) {
        const read = await readAll(source, await folderOf(source, seed));
        for (const mail of seed.mail) {
          const key = await seedKey(mail);
          const found = read.find((item) => item.key === key);
          expect(found, `a message of ${showPath(seed.path)}`).toBeDefined();
          if (found !== undefined)
            expectTraits(found.entry.traits, mail.traits, source.tells, mail.bytes.toString("latin1", 0, 40));
        }
      }
    });

    promise("announces a folder's number of messages, if any, as it is", async ({ source }, seeds) => {
      for (const seed of seeds) {
        const { messages } = await folderOf(source, seed);
        if (messages !== undefined) expect(messages).toBe(seed.mail.length);
      }
    });

    promise("yields what was wanted and nothing else, also when want takes its time", async ({ source }, seeds) => {
      const folder = await folderOf(source, largest(seeds));
      const wanted: string[] = [];
      let asked = 0;
      const want = async ({ origin }: Entry): Promise<boolean> => {
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (asked++ % 2 === 1) return false;
        wanted.push(origin.id);
        return true;
      };
      const got: string[] = [];
      await readEach(source, folder, { want, signal: NEVER }, async ({ entry, content }) => {
        got.push(entry.origin.id);
        await contentKey(content);
      });
      expect(got.sort()).toEqual(wanted.sort());
      expect(asked).toBe(largest(seeds).mail.length);
    });

    promise("skips a body that is left unread", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      const all = new Map((await readAll(source, folder)).map(({ entry, key }) => [entry.origin.id, key]));
      let number = 0;
      await readEach(source, folder, { want: () => true, signal: NEVER }, async ({ entry, content }) => {
        if (number++ % 2 === 0) return;
        expect(await contentKey(content)).toBe(all.get(entry.origin.id));
      });
      expect(number).toBe(seed.mail.length);
    });

    promise("goes on after a body that was read in part", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      const all = new Map((await readAll(source, folder)).map(({ entry, key }) => [entry.origin.id, key]));
      let number = 0;
      await readEach(source, folder, { want: () => true, signal: NEVER }, async ({ entry, content }) => {
        if (number++ % 2 === 0) for await (const _ of content) break;
        else expect(await contentKey(content)).toBe(all.get(entry.origin.id));
      });
      expect(number).toBe(seed.mail.length);
    });

    promise("reads the same slice again, with the same origins", async ({ source }, seeds) => {
      const folder = await folderOf(source, largest(seeds));
      const first = (await entriesOf(source, folder)).map(({ origin }) => origin);
      const second = (await entriesOf(source, folder)).map(({ origin }) => origin);
      expect(second).toEqual(first);
    });

    promise("says listed() at most once, after the last want and before the first body", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      for await (const slice of source.slices(folder, NEVER)) {
        let asked = 0;
        let yielded = 0;
        let askedThen: number | undefined;
        const want = (): boolean => {
          asked++;
          return true;
        };
        const listed = (): void => {
          expect(askedThen).toBeUndefined();
          expect(yielded).toBe(0);
          askedThen = asked;
        };
        for await (const { content } of source.read(slice, { want, listed, signal: NEVER })) {
          yielded++;
          await contentKey(content);
        }
        if (askedThen !== undefined) expect(askedThen).toBe(asked);
      }
    });

    promise("ends quietly on abort, between two messages, and reads again afterwards", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      const stop = new AbortController();
      let read = 0;
      await readEach(source, folder, { want: () => true, signal: stop.signal }, async ({ content }) => {
        read++;
        await contentKey(content);
        stop.abort();
      });
      expect(read).toBe(1);
      expect((await readAll(source, folder)).length).toBe(seed.mail.length);
    });

    promise("yields nothing under a signal that is aborted already", async ({ source }, seeds) => {
      const folder = await folderOf(source, largest(seeds));
      for await (const slice of source.slices(folder, NEVER)) {
        const got: Incoming[] = [];
        for await (const incoming of source.read(slice, { want: () => true, signal: AbortSignal.abort() }))
          got.push(incoming);
        expect(got).toEqual([]);
      }
    });

    promise("lets go of its session when the iterator is left early", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      for (let i = 0; i < source.limits.sessions + 2; i++)
        for await (const slice of source.slices(folder, NEVER))
          for await (const _ of source.read(slice, { want: () => true, signal: NEVER })) break;
      expect((await readAll(source, folder)).length).toBe(seed.mail.length);
    });

    promise("hands on what want throws, and reads again afterwards", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      const broken = new Error("want is broken");
      const want = (): boolean => {
        throw broken;
      };
      await expect(readEach(source, folder, { want, signal: NEVER }, async () => undefined)).rejects.toBe(broken);
      expect((await readAll(source, folder)).length).toBe(seed.mail.length);
    });

    promise("reads as many slices at once as it says", async ({ source }, seeds) => {
      const filled = seeds.filter(({ mail }) => mail.length > 0);
      const jobs = Array.from(
        { length: source.limits.sessions },
        (_, i) => filled[i % filled.length] ?? largest(seeds),
      );
      const counts = await Promise.all(
        jobs.map(async (seed) => (await readAll(source, await folderOf(source, seed))).length),
      );
      expect(counts).toEqual(jobs.map(({ mail }) => mail.length));
    });

    promise("may be disposed of twice", async ({ source }, seeds) => {
      await readAll(source, await folderOf(source, largest(seeds)));
      await source[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    });

    promise("deletes exactly the messages that it is told to", async ({ source }, seeds) => {
      const seed = largest(seeds);
      const folder = await folderOf(source, seed);
      const before = await readAll(source, folder);
      const doomed = before.filter((_, i) => i % 3 === 1).map(({ entry }) => entry.origin);
      const gone: Origin[] = [];
      if (source.remove === undefined) throw new Error("no remove: the suite needs a reason for skipping this");
      for await (const origin of source.remove(stream(doomed), NEVER)) gone.push(origin);
      expect(gone.map(({ id }) => id).sort()).toEqual(doomed.map(({ id }) => id).sort());
      const ids = new Set(doomed.map(({ id }) => id));
      const expected = before.filter(({ entry }) => !ids.has(entry.origin.id)).map(({ key }) => key);
      const left = await readAll(source, folder);
      expect(left.map(({ key }) => key).sort()).toEqual(expected.sort());
    });

    it("names in its skips only promises that exist", () => {
      for (const what of Object.keys(suite.skip ?? {})) expect([...used]).toContain(what);
    });
  });
}

function largest(seeds: readonly SeedFolder[]): SeedFolder {
  return seeds.reduce((best, seed) => (seed.mail.length > best.mail.length ? seed : best), seeds[0] ?? empty);
}

const empty: SeedFolder = { path: ["INBOX"], mail: [letter("never")] };

async function* stream<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

export async function foldersOf(source: Source): Promise<Folder[]> {
  const folders: Folder[] = [];
  for await (const folder of source.folders(NEVER)) folders.push(folder);
  return folders;
}

async function folderOf(source: Source, { path }: SeedFolder): Promise<Folder> {
  const folder = (await foldersOf(source)).find((item) => showPath(item.path) === showPath(path));
  if (folder === undefined) throw new Error(`the source does not list ${showPath(path)}`);
  return folder;
}

async function entriesOf(source: Source, folder: Folder): Promise<Entry[]> {
  const entries: Entry[] = [];
  const want = (entry: Entry): boolean => {
    entries.push(entry);
    return false;
  };
  await readEach(source, folder, { want, signal: NEVER }, async ({ entry }) => {
    throw new Error(`${entry.origin.id} was not wanted`);
  });
  return entries;
}

/** Every message of a folder, with its content key. */
export async function readAll(source: Source, folder: Folder): Promise<{ entry: Entry; key: ContentKey }[]> {
  const read: { entry: Entry; key: ContentKey }[] = [];
  await readEach(source, folder, { want: () => true, signal: NEVER }, async ({ entry, content }) => {
    read.push({ entry, key: await contentKey(content) });
  });
  return read;
}

async function readEach(
  source: Source,
  folder: Folder,
  options: ReadOptions,
  each: (incoming: Incoming) => Promise<void>,
): Promise<void> {
  for await (const slice of source.slices(folder, NEVER))
    for await (const incoming of source.read(slice, options)) await each(incoming);
}
