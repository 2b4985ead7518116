// The same random runs into targets that are not what one would wish: each message is there once in the end, and no run says that
// it brought what is not there.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunSummary } from "../../src/migrate/events.ts";
import { newStore, type StoredCopy } from "../kit/memory.ts";
import { SOAK_SECONDS } from "../kit/seeds.ts";
import { ALTERATIONS } from "../scripted/altering.ts";
import { bodies, compared, each, held, there } from "./random-cases.ts";
import { adventure, calm, copyOf, deliver, meddle, type World, worldOf } from "./random-kit.ts";

const KINDS = 4;
const CASES = 40;
/** Copies whose absence says that a store went back. */
const NEWEST = 4;
const TIME_LIMIT_MS = 300_000 + SOAK_SECONDS * 1000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-random-targets-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A run that says that all is well is believed. */
function expectTrue(world: World, summary: RunSummary | undefined): void {
  if (summary?.outcome !== "complete" || !summary.closes || summary.balance.failed > 0) return;
  const got = bodies(held(world));
  for (const body of bodies(there(world))) expect(got, world.story.join(" | ")).toContain(body);
}

async function expectAllOnce(world: World): Promise<void> {
  const summary = await calm(world);
  expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { failed: 0 } });
  const { wanted, got } = compared(world);
  expect(got).toEqual(wanted);
  const second = await calm(world);
  expect(second.balance).toMatchObject({ copied: 0, adopted: 0, altered: 0, "already-copied": there(world).length });
  expect(bodies(held(world))).toEqual(wanted);
}

it(
  "a server that makes other octets of those above 127 in a header: no second copies, neither after kills nor with the ledger lost nor by --recheck",
  () =>
    each(
      root,
      "altered",
      KINDS,
      async (seed, directory, told) => {
        const world = told(worldOf(seed + 30_000, directory, {}, { hasEightBit: true }));
        const { random } = world;
        world.target = { rewrite: ALTERATIONS.mask8 };
        for (let runs = 1 + random.upTo(4); runs > 0; runs--) {
          await adventure(world, random.chance(0.2) ? { recheck: true } : {});
          if (random.chance(0.6)) await meddle(world);
        }
        await expectAllOnce(world);
        await calm(world, { recheck: true });
        expect(bodies(held(world))).toEqual(bodies(there(world)));
      },
      CASES,
    ),
  TIME_LIMIT_MS,
);

it(
  "a server that names no copy and puts one over the other for a while: nothing is said to be there that is not",
  () =>
    each(
      root,
      "overwriting",
      KINDS,
      async (seed, directory, told) => {
        const world = told(worldOf(seed + 40_000, directory, {}, { noReceipts: true }));
        const { random } = world;
        for (let runs = 1 + random.upTo(4); runs > 0; runs--) {
          world.target = { overwrites: () => random.chance(0.6) };
          expectTrue(world, random.chance(0.5) ? await adventure(world) : await calm(world));
          world.target = {};
          if (random.chance(0.6)) await meddle(world);
        }
        await calm(world);
        await expectAllOnce(world);
      },
      CASES,
    ),
  TIME_LIMIT_MS,
);

it(
  "a target that goes back in time: what it forgot comes again, and what others put in its place is left alone",
  () =>
    each(
      root,
      "back",
      KINDS,
      async (seed, directory, told) => {
        const world = told({ ...worldOf(seed + 50_000, directory), hasState: false });
        const { random } = world;
        let before = copyOf(random.chance(0.3) ? newStore() : world.store);
        let foreign = 0;
        for (let runs = 2 + random.upTo(4); runs > 0; runs--) {
          if (random.chance(0.5)) expectTrue(world, await calm(world));
          else await adventure(world);
          if (random.chance(0.4)) {
            world.store = copyOf(before);
            world.story.push("target put back");
            for (const items of world.store.folders.values())
              for (let n = random.upTo(4); n > 0; n--)
                items.push({
                  ref: String(world.store.next++),
                  bytes: Buffer.from(`Message-ID: <foreign${++foreign}@y>\r\n\r\nforeign ${foreign}\r\n`),
                  traits: { flags: new Set(), keywords: new Set(["theirs"]), labels: new Set() },
                });
          } else if (random.chance(0.5)) before = copyOf(world.store);
          if (random.chance(0.4)) await meddle(world);
        }
        await calm(world);
        const summary = await calm(world);
        expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { failed: 0, copied: 0 } });
        const isForeign = ({ bytes }: { bytes: Buffer }): boolean => bytes.includes("foreign");
        for (const { traits } of held(world).filter(isForeign))
          expect(traits).toEqual({ flags: new Set(), keywords: new Set(["theirs"]), labels: new Set() });
        const ours = held(world).filter((item) => !isForeign(item));
        expect(bodies(ours)).toEqual(bodies(there(world)));
      },
      CASES,
    ),
  TIME_LIMIT_MS,
);

it(
  "a reader who moves copies to another folder, while they are made and afterwards: they stay there, and none is made again",
  () =>
    each(
      root,
      "moved",
      KINDS,
      async (seed, directory, told) => {
        const world = told(worldOf(seed + 60_000, directory, {}, { noReceipts: false }));
        const { random } = world;
        const more = (upTo: number): void => {
          for (const folder of world.folders) for (let n = random.upTo(upTo); n > 0; n--) deliver(world, folder);
        };
        more(60);
        const archive: StoredCopy[] = [];
        world.store.folders.set("Archive", archive);
        const taken = new Map<StoredCopy[], number>();
        // More than a fifth, or the newest, would be what a store that went back in time has lost.
        const move = (): void => {
          const from = random.pick([...world.store.folders.values()].filter((held) => held !== archive));
          const before = taken.get(from) ?? 0;
          if (from.length <= NEWEST || before + 1 > 0.15 * (from.length + before)) return;
          const [copy] = from.splice(random.upTo(from.length - NEWEST), 1);
          if (copy === undefined) return;
          archive.push({ ...copy, ref: String(world.store.next++) });
          taken.set(from, before + 1);
        };
        for (let runs = 1 + random.upTo(4); runs > 0; runs--) {
          world.target = { step: () => void (world.store.folders.size > 1 && random.chance(0.1) && move()) };
          expectTrue(world, await calm(world));
          for (let n = random.upTo(3); n > 0; n--) move();
          world.story.push(`${archive.length} moved`);
          world.target = {};
          more(20);
        }
        await expectAllOnce(world);
      },
      CASES / 2,
    ),
  TIME_LIMIT_MS,
);
