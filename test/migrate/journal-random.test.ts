// Any sequence of operations, runs and crashes: the ledger answers as a plain model does.

import { describe, expect, it } from "vitest";
import type { Origin } from "../../src/mail/model.ts";
import { openLedger } from "../../src/migrate/journal.ts";
import type { FolderLedger, Ledger } from "../../src/migrate/ledger.ts";
import { SOAK_SECONDS, seeds } from "../kit/seeds.ts";
import { all, done, keyOf, Model, origin, PAIR, random, scratch, someTraits } from "./journal-kit.ts";

const CASES = 12;
const FOLDERS = [["INBOX"], ["Größe", "a/b"]];

async function compare(folder: FolderLedger, model: Model, origins: readonly Origin[]): Promise<void> {
  expect(folder.size).toBe(model.size());
  for (const of of origins) {
    const name = Model.name(of);
    expect(folder.firstSeen(of), name).toBe(model.days.get(name));
    const known = folder.find(of);
    model.listed.add(name);
    expect(known?.state, name).toBe(model.records.get(name)?.state);
    expect(await known?.read(), name).toEqual(model.done(name));
    const record = model.done(name);
    if (record !== undefined) expect(known?.sameTraits(record.traits), name).toBe(true);
  }
  for (const path of FOLDERS) expect(await all(folder, path)).toEqual(model.live(path));
}

async function play(seed: number): Promise<void> {
  const pick = random(seed);
  const one = <T>(items: readonly T[]): T => items[Math.floor(pick() * items.length)] as T;
  const ids = ["1", "2", "3", "10", "007", "4294967296", "99999999999999999", "a", "ü", ""];
  const anyOrigin = (): Origin => origin(one(ids), one(["1", "2"]), one(FOLDERS));
  const origins = FOLDERS.flatMap((path) => ["1", "2"].flatMap((g) => ids.map((id) => origin(id, g, path))));
  const keys = ["a", "b", "c"].map(keyOf);
  const model = new Model();
  await using place = await scratch();
  let ledger: Ledger = await openLedger(place.path, PAIR);
  let folder = await ledger.folder("Target");
  let next = 0;

  const step = async (): Promise<void> => {
    const dice = pick();
    if (dice < 0.4) {
      const record = done(anyOrigin(), {
        state: pick() < 0.8 ? "done" : "altered",
        key: one(keys),
        traits: someTraits(pick),
        firstSeen: Math.floor(pick() * 1000),
        proved: pick() < 0.5,
        size: Math.floor(pick() * 1e6),
        receipt: { ref: `1:${pick() < 0.8 ? ++next : Math.floor(pick() * 20)}` },
      });
      const { receipt, ...unnamed } = record;
      const given = pick() < 0.2 || receipt === undefined ? unnamed : record;
      await folder.put(given);
      model.put(given);
    } else if (dice < 0.48) {
      const record = { state: "removed", origin: anyOrigin() } as const;
      await folder.put(record);
      model.put(record);
    } else if (dice < 0.53) {
      const record = { state: "failed", origin: anyOrigin(), code: "too-large" } as const;
      await folder.put(record);
      model.put(record);
    } else if (dice < 0.6) {
      const ref = `1:${Math.floor(pick() * 40)}`;
      expect(folder.holds({ ref })).toBe(model.holds(ref));
      expect(folder.claim({ ref })).toBe(model.claim(ref));
    } else if (dice < 0.68) {
      const of = anyOrigin();
      expect(folder.settle(of)).toBe(!model.settled.has(Model.name(of)));
      model.settled.add(Model.name(of));
    } else if (dice < 0.74) {
      const [path, generation] = [one(FOLDERS), one(["1", "2"])];
      folder.listedAll(path, generation);
      model.listings.add(JSON.stringify([path, generation]));
    } else if (dice < 0.84) {
      const [by, key] = [anyOrigin(), one(keys)];
      if (model.records.has(Model.name(by))) return;
      const candidates = model.adoptable(by, key);
      const adopted = await folder.adopt(by, key);
      expect(adopted === undefined).toBe(candidates.length === 0);
      if (adopted === undefined) return;
      const { origin: _, firstSeen: ____, ...content } = adopted;
      const from = candidates.find((name) => {
        const { origin: __, firstSeen: ___, ...other } = model.done(name) ?? done(by);
        return JSON.stringify(content, plain) === JSON.stringify(other, plain);
      });
      if (from === undefined) throw new Error("adopted a record that was not to be had");
      model.adopted(from, by);
    } else if (dice < 0.86) {
      await folder.forget();
      model.forget();
    } else if (dice < 0.9) {
      await folder.close(one([undefined, "p"]), []);
      expect(folder.clean).toBe(true);
    } else if (dice < 0.95) {
      await ledger[Symbol.asyncDispose]();
      ledger = await openLedger(place.path, PAIR);
      folder = await ledger.folder("Target");
      model.reopened();
    } else await compare(folder, model, origins);
  };
  try {
    for (let i = 0; i < 250; i++) await step();
    await compare(folder, model, origins);
    await folder.close("end", []);
    await compare(folder, model, origins);
  } finally {
    await ledger[Symbol.asyncDispose]();
  }
}

function plain(_: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value;
}

describe("whatever happens, in whatever order", () => {
  it(
    "the ledger answers as the model does",
    async () => {
      for (const seed of seeds(CASES))
        await play(seed).catch((error: unknown) => {
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        });
    },
    300_000 + SOAK_SECONDS * 1000,
  );
});
