// The same random runs into targets that are not what one would wish: each message is there once in the end, and no run says that
// it brought what is not there.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunSummary } from "../../src/migrate/events.ts";
import { SOAK_SECONDS } from "../kit/seeds.ts";
import { ALTERATIONS } from "../scripted/altering.ts";
import { bodies, compared, each, held, there } from "./random-cases.ts";
import { adventure, calm, meddle, type World, worldOf } from "./random-kit.ts";

const KINDS = 2;
const CASES = 40;
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
