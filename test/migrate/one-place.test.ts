// Before anything is deleted: one deletion alone, and its copy read again. Whatever the two places are, no message is lost by it.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";
import { type RunOptions, run } from "../../src/migrate/run.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { type MemoryFolder, type MemoryStore, mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

const { signal } = new AbortController();
let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "mailferry-place-"));
});
afterEach(() => rm(place, { recursive: true, force: true }));

const PATIENCE = { attempts: 2, firstDelayMs: 1 };

async function go(source: Source, sink: Sink, options: Partial<RunOptions> = {}) {
  const going = run(source, sink, { stateDirectory: place, patience: PATIENCE, ...options }, signal);
  const events: MigrationEvent[] = [];
  for await (const event of going) events.push(event);
  const outcome = await going.finished.then(
    (summary) => ({ summary, error: undefined }),
    (error: unknown) => ({ summary: undefined, error: error as MailError }),
  );
  return { ...outcome, events };
}

const IDS = ["a", "b", "c", "d", "e", "f"];
const folderOf = (name: string, ids: readonly string[] = IDS): MemoryFolder => ({
  path: [name],
  generation: "7",
  mail: ids.map((id, i) => mail(id, `Message-ID: <${id}@example>\r\n\r\n${id.repeat(40 - i)}\r\n`)),
});

/** What another program put there: a copy of each of these. */
function filled(folders: readonly MemoryFolder[], ids: readonly string[] = IDS): MemoryStore {
  const store = newStore();
  for (const { path, mail: held } of folders)
    store.folders.set(
      path.join("/"),
      held
        .filter(({ id }) => ids.includes(id))
        .map(({ bytes, traits }) => ({ ref: String(store.next++), bytes, traits })),
    );
  return store;
}

/** The source as another name of the store: what is deleted there is gone from it, of these folders. */
function sharing(folders: readonly MemoryFolder[], store: MemoryStore, shared: readonly string[]): Source {
  const inner = memorySource(folders);
  return {
    ...inner,
    async *remove(origins) {
      for await (const origin of origins) {
        const name = origin.folder.join("/");
        const bytes = folders
          .find(({ path }) => path.join("/") === name)
          ?.mail.find(({ id }) => id === origin.id)?.bytes;
        const alone = (async function* () {
          yield origin;
        })();
        for await (const gone of inner.remove(alone)) {
          const held = store.folders.get(name) ?? [];
          // Of several that are equal nobody knows which one it is.
          const at = held.findLastIndex((copy) => bytes?.equals(copy.bytes) === true);
          if (shared.includes(name) && at !== -1) held.splice(at, 1);
          yield gone;
        }
      }
    },
  };
}

const textsIn = (store: MemoryStore, name: string): string[] =>
  (store.folders.get(name) ?? []).map(({ bytes }) => bytes.toString("latin1")).sort();
const noticesOf = (events: readonly MigrationEvent[]) => events.filter((event) => event.type === "notice");
/** Where the state of the pair lies. */
const home = (): string => join(place, readdirSync(place).find((name) => name.startsWith("pair-")) ?? "");
const MOVE = { remove: {} };

describe("one place under two names", () => {
  it("costs no message: the one that was deleted is put back, the run is refused, and nothing is left lying", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const before = textsIn(store, "A");
    const { error, events } = await go(sharing([folder], store, ["A"]), memorySink(store), MOVE);
    expect(error).toMatchObject({ code: "config", message: expect.stringContaining("one place under two names") });
    expect(error?.message).toContain("It was put back, and nothing else was deleted");
    expect(textsIn(store, "A")).toEqual(before);
    // The smallest, and it alone.
    expect(folder.mail.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e"]);
    expect(events.filter(({ type }) => type === "message-removed")).toEqual([]);
    expect(existsSync(join(home(), "trial.json"))).toBe(false);
    expect(await readdir(join(home(), "quarantine")).catch(() => [])).toEqual([]);
  });

  it("is found out by a copy that was found, not by one that this run made", async () => {
    const folder = folderOf("A");
    // The smallest is new.
    const store = filled([folder], ["a", "b", "c", "d", "e"]);
    const found = sharing([folder], store, ["A"]);
    const before = textsIn(store, "A");
    const { error } = await go(found, memorySink(store), MOVE);
    expect(error?.message).toContain("one place under two names");
    expect(textsIn(store, "A")).toHaveLength(before.length + 1);
    expect(folder.mail.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "f"]);
  });

  it("is found out though another one of two equal copies went", async () => {
    const folder = folderOf("A");
    const twin = folder.mail.at(-1) ?? mail("f");
    folder.mail.push({ ...twin, id: "g" });
    const store = filled([folder], [...IDS, "g"]);
    const before = textsIn(store, "A");
    const { error } = await go(sharing([folder], store, ["A"]), memorySink(store), MOVE);
    expect(error?.message).toContain("one place under two names");
    expect(textsIn(store, "A")).toEqual(before);
  });

  it("is found out though the target is behind: the copy is read twice", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const sink = memorySink(store);
    let looks = 0;
    const gone: Buffer[] = [];
    const lagging = sharing([folder], store, ["A"]);
    const held = store.folders.get("A") ?? [];
    const late: Sink = {
      ...sink,
      // The first look sees what there was.
      async afresh() {
        looks++;
        const missing =
          folder.mail.length < IDS.length ? before.find(({ ref }) => !held.some((one) => one.ref === ref)) : undefined;
        if (looks === 1 && missing !== undefined) {
          held.push(missing);
          gone.push(missing.bytes);
        } else if (gone.length > 0) held.pop();
      },
    };
    const before = [...held];
    const { error } = await go(lagging, late, MOVE);
    expect(error?.message).toContain("one place under two names");
    expect(looks).toBe(2);
    expect(textsIn(store, "A")).toHaveLength(IDS.length);
  });

  it("is looked for in each folder in which copies were found: accounts that are two may show one folder", async () => {
    const folders = [folderOf("Own"), folderOf("Shared")];
    const store = filled(folders);
    const { error } = await go(sharing(folders, store, ["Shared"]), memorySink(store), MOVE);
    expect(error?.message).toContain("one place under two names");
    expect(textsIn(store, "Own")).toHaveLength(IDS.length);
    expect(textsIn(store, "Shared")).toHaveLength(IDS.length);
    expect(folders.map(({ mail: held }) => held.length)).toEqual([0, IDS.length - 1]);
  });

  it("a message that cannot be put back is kept in a file that is named, and the next run puts it back", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const before = textsIn(store, "A");
    const full = new MailError("quota", "full", { scope: "account", remedy: "give-up" });
    const source = sharing([folder], store, ["A"]);
    const { error } = await go(source, memorySink(store, { append: () => full }), MOVE);
    const path = /It lies in (\S+);/.exec(error?.message ?? "")?.[1] ?? "";
    expect(before).toContain(readFileSync(path, "latin1"));
    expect(textsIn(store, "A")).toHaveLength(IDS.length - 1);
    const next = await go(source, memorySink(store));
    expect(next.error).toBeUndefined();
    expect(noticesOf(next.events)).toContainEqual(expect.objectContaining({ insist: true }));
    expect(textsIn(store, "A")).toEqual(before);
    expect(existsSync(path)).toBe(false);
  });
});

describe("killed between the deletion and the look at its copy", () => {
  const dead = new MailError("io", "killed", { scope: "account", remedy: "give-up" });
  /** The first run dies when it looks; `also` happens before. */
  async function killed(source: Source, store: MemoryStore): Promise<void> {
    const sink: Sink = { ...memorySink(store), afresh: () => Promise.reject(dead) };
    expect((await go(source, sink, MOVE)).error).toBe(dead);
    expect(existsSync(join(home(), "trial.json"))).toBe(true);
  }

  it.each([
    ["deletes or", MOVE],
    ["copies", {}],
  ])("of one place: the next run puts the message back, whether it %s not", async (_, options) => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const before = textsIn(store, "A");
    const source = sharing([folder], store, ["A"]);
    await killed(source, store);
    expect(textsIn(store, "A")).toHaveLength(IDS.length - 1);
    const { error } = await go(source, memorySink(store), options);
    expect(error?.message).toEqual(
      "remove" in options ? expect.stringContaining("one place under two names") : undefined,
    );
    expect(textsIn(store, "A")).toEqual(before);
    // And tries no other one.
    expect(folder.mail).toHaveLength(IDS.length - 1);
    expect(existsSync(join(home(), "trial.json"))).toBe(false);
  });

  it("of two places: nothing is put anywhere, and the next run deletes the rest", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const source = sharing([folder], store, []);
    await killed(source, store);
    const { summary } = await go(source, memorySink(store), MOVE);
    expect(summary).toMatchObject({ removed: 5, kept: 0, outcome: "complete" });
    expect(textsIn(store, "A")).toHaveLength(IDS.length);
    expect(folder.mail).toEqual([]);
  });

  it("a copy that its owner deleted is not put back while its original is there", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const source: Source = { ...memorySource([folder]), async *remove() {} };
    await killed(source, store);
    store.folders.get("A")?.pop();
    const { error, events } = await go(memorySource([folder]), memorySink(store));
    expect(error).toBeUndefined();
    expect(noticesOf(events).filter((event) => event.insist === true)).toEqual([]);
    expect(existsSync(join(home(), "trial.json"))).toBe(false);
    expect(folder.mail).toHaveLength(IDS.length);
  });
});

describe("two places", () => {
  it("a source that confirms no deletion: three are tried, and nothing more goes", async () => {
    const folder = folderOf("A");
    const asked: string[] = [];
    const deaf: Source = {
      ...memorySource([folder]),
      async *remove(origins) {
        for await (const { id } of origins) asked.push(id);
        yield* [];
      },
    };
    const { summary, events } = await go(deaf, memorySink(filled([folder])), MOVE);
    expect(summary).toMatchObject({ removed: 0, kept: 6, outcome: "partial" });
    expect(asked).toEqual(["f", "e", "d"]);
    expect(noticesOf(events)).toContainEqual(
      expect.objectContaining({ text: expect.stringContaining("it cannot be told whether source and target are two") }),
    );
  });

  it.each([
    ["always", true, [IDS]],
    ["appended", false, [IDS]],
    ["appended", true, [["f"], ["a", "b", "c", "d", "e"]]],
    [undefined, false, [["f"], ["a", "b", "c", "d", "e"]]],
  ] as const)("certain: %s, copies found: %s: deleted in these turns", async (apart, isFound, turns) => {
    const folder = folderOf("A");
    const inner = memorySource([folder]);
    const asked: string[][] = [];
    const source: Source = {
      ...inner,
      async *remove(origins) {
        const turn: string[] = [];
        asked.push(turn);
        const seen = (async function* () {
          for await (const origin of origins) {
            turn.push(origin.id);
            yield origin;
          }
        })();
        yield* inner.remove(seen);
      },
    };
    const sink: Sink = {
      ...memorySink(isFound ? filled([folder]) : newStore()),
      ...(apart === undefined ? {} : { apart }),
    };
    const { summary } = await go(source, sink, MOVE);
    expect(summary).toMatchObject({ removed: 6, outcome: "complete" });
    expect(asked).toEqual(turns);
  });
});

describe("a connection that breaks once, at any step", () => {
  const broken = (): MailError => new MailError("connection", "reset", { scope: "account", remedy: "retry" });
  /** Throws at the nth of the calls that it is told of, and counts them. */
  function breakingAt(nth: number): { calls: number; at(): void } {
    return {
      calls: 0,
      at() {
        if (++this.calls === nth) throw broken();
      },
    };
  }

  /** What of a source and a target talks over a connection. */
  function talking(
    folder: MemoryFolder,
    store: MemoryStore,
    steps: { at(): void },
    marks = new Set<string>(),
  ): [Source, Sink] {
    const source = memorySource([folder]);
    const at = (): void => steps.at();
    let made = 0;
    return [
      {
        ...source,
        async *folders() {
          at();
          yield* source.folders();
        },
      },
      {
        ...memorySink(store, { step: at }),
        async mark() {
          at();
          const name = `mark-${made++}`;
          marks.add(name);
          return {
            name,
            async remove() {
              at();
              marks.delete(name);
            },
          };
        },
        async afresh() {
          at();
        },
      },
    ];
  }

  it("of finding, comparing and trying: all is deleted in the same run", async () => {
    const counting = breakingAt(0);
    const folder = folderOf("A");
    await go(...talking(folder, filled([folder]), counting), MOVE);
    expect(counting.calls).toBeGreaterThan(10);
    for (let nth = 1; nth <= counting.calls; nth++) {
      await rm(place, { recursive: true, force: true });
      const again = folderOf("A");
      const store = filled([again]);
      const marks = new Set<string>();
      const { error, summary } = await go(...talking(again, store, breakingAt(nth), marks), MOVE);
      expect(error, `step ${nth} of ${counting.calls}`).toBeUndefined();
      expect(summary, `step ${nth} of ${counting.calls}`).toMatchObject({ removed: 6, outcome: "complete" });
      expect(textsIn(store, "A")).toHaveLength(IDS.length);
      expect([...marks], `step ${nth} of ${counting.calls}`).toEqual([]);
    }
  });

  it("of asking whether the original is there: one place is found out in the same run", async () => {
    const folder = folderOf("A");
    const store = filled([folder]);
    const before = textsIn(store, "A");
    const source = sharing([folder], store, ["A"]);
    let broke = 0;
    const torn: Source = {
      ...source,
      async *slices(path, abort) {
        if (folder.mail.length < IDS.length && broke++ === 0) throw broken();
        yield* source.slices(path, abort);
      },
    };
    const { error } = await go(torn, memorySink(store), MOVE);
    expect(error?.message).toContain("one place under two names");
    expect(broke).toBeGreaterThan(1);
    expect(textsIn(store, "A")).toEqual(before);
  });
});

describe("without deleting", () => {
  const markOf = (name: string) => async () => ({ name, remove: async () => undefined });
  const seen = [folderOf("A"), folderOf("there")];

  it.each([
    [
      "everything was found by the first run",
      {},
      IDS,
      undefined,
      /all 12 messages were found in the target by the first run/,
    ],
    ["one message was new", {}, IDS.slice(1), undefined, undefined],
    ["the ledger was not to be believed", { recheck: true }, IDS, undefined, undefined],
    ["a folder that was made in the target shows at the source", {}, IDS, "there", /are one account under two names/],
    ["a folder that was made in the target does not show", {}, IDS, "elsewhere", undefined],
  ] as const)("%s: the user hears what it means", async (_, options, ids, mark, said) => {
    const store = filled(seen, ids);
    const sink: Sink = { ...memorySink(store), ...(mark === undefined ? {} : { mark: markOf(mark) }) };
    const first = await go(memorySource(seen), sink, options);
    const insisted = noticesOf(first.events).filter((event) => event.insist === true);
    expect(insisted.map(({ text }) => text)).toEqual(said === undefined ? [] : [expect.stringMatching(said)]);
    expect(first.summary?.outcome).toBe("complete");
    const second = await go(memorySource(seen), sink, options);
    expect(noticesOf(second.events).filter((event) => event.insist === true)).toEqual([]);
  });
});
