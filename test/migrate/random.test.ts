// Nothing lost, nothing twice, whatever happens: random mail, faults, kills, lost ledgers, twins and changed flags, by seed.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SOAK_SECONDS } from "../kit/seeds.ts";
import { each, held, sorted, there } from "./random-cases.ts";
import { adventure, calm, meddle, worldOf } from "./random-kit.ts";

const KINDS = 3;
const TIME_LIMIT_MS = 300_000 + SOAK_SECONDS * 1000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-random-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe("nothing lost, nothing twice, flags as at the source; the run after it copies nothing", () => {
  it(
    "over faults, kills, stops, lost ledgers, new generations, new mail and changed flags",
    () =>
      each(root, "plain", KINDS, async (seed, directory, told) => {
        const world = told(worldOf(seed, directory));
        for (let runs = 1 + world.random.upTo(4); runs > 0; runs--) {
          await adventure(world);
          if (world.random.chance(0.6)) await meddle(world);
        }
        const summary = await calm(world);
        expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { failed: 0 } });
        expect(summary.listed).toBe(there(world).length);
        expect(await sorted(held(world), true)).toEqual(await sorted(there(world), true));
        const second = await calm(world);
        expect(second.balance).toMatchObject({ copied: 0, adopted: 0, "already-copied": there(world).length });
        expect(await sorted(held(world), true)).toEqual(await sorted(there(world), true));
      }),
    TIME_LIMIT_MS,
  );

  it(
    "also where runs were filtered, without flags, over some folders alone, or with --recheck",
    () =>
      each(root, "narrow", KINDS, async (seed, directory, told) => {
        const world = told(worldOf(seed + 10_000, directory));
        const { random } = world;
        for (let runs = 1 + random.upTo(4); runs > 0; runs--) {
          const narrow = random.pick([
            { since: 1000 + random.upTo(10) * 100 },
            { before: 1000 + random.upTo(10) * 100 },
            { maxSize: 40 },
            { flags: false },
            { recheck: true },
            { select: { include: ["INBOX"], exclude: [] } },
            {},
          ]);
          if (random.chance(0.5)) await adventure(world, narrow);
          else await calm(world, narrow);
          if (random.chance(0.5)) await meddle(world);
        }
        const summary = await calm(world);
        expect(summary).toMatchObject({ outcome: "complete", closes: true, balance: { failed: 0, filtered: 0 } });
        expect(await sorted(held(world), true)).toEqual(await sorted(there(world), true));
        const second = await calm(world);
        expect(second.balance).toMatchObject({ copied: 0, adopted: 0, "already-copied": there(world).length });
      }),
    TIME_LIMIT_MS,
  );

  it(
    "while it is deleted at the source: each message once in the target, and none left behind",
    () =>
      each(root, "move", KINDS, async (seed, directory, told) => {
        const world = told(worldOf(seed + 20_000, directory, { remove: {} }));
        for (let runs = 1 + world.random.upTo(4); runs > 0; runs--) {
          await adventure(world);
          const present = await sorted([...held(world), ...there(world)], false);
          for (const key of await sorted(world.ever, false)) expect(present).toContain(key);
          if (world.random.chance(0.4)) await meddle(world);
        }
        await calm(world);
        const summary = await calm(world);
        expect(summary).toMatchObject({ outcome: "complete", closes: true, kept: 0 });
        expect(there(world)).toEqual([]);
        const arrived = await sorted(held(world), false);
        const ever = await sorted(world.ever, false);
        expect(new Set(arrived)).toEqual(new Set(ever));
        if (world.forgot) expect(arrived.length).toBeLessThanOrEqual(ever.length);
        else expect(arrived).toEqual(ever);
      }),
    TIME_LIMIT_MS,
  );
});
