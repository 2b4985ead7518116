// Nothing lost, nothing twice, whatever happens: random mail, faults, kills, lost ledgers, twins and changed flags, by seed.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Traits } from "../../src/mail/model.ts";
import { keysIn } from "../kit/memory.ts";
import { SOAK_SECONDS, seeds } from "../kit/seeds.ts";
import { adventure, calm, meddle, type World, worldOf } from "./random-kit.ts";

/** Cases of each kind; MAILFERRY_RANDOM_CASES asks for more, MAILFERRY_RANDOM_SEED for one of them. */
const CASES = Number(process.env.MAILFERRY_RANDOM_CASES ?? 100);
const ONE = process.env.MAILFERRY_RANDOM_SEED;
const KINDS = 3;
const TIME_LIMIT_MS = 300_000 + SOAK_SECONDS * 1000;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-random-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** "key flags keywords", sorted: the multiset that both ends must agree on. */
async function sorted(items: readonly { bytes: Buffer; traits: Traits }[], withTraits: boolean): Promise<string[]> {
  const lines: string[] = [];
  for (const item of items) {
    const [key = ""] = await keysIn([item]);
    const { flags, keywords } = item.traits;
    const traits = withTraits ? ` ${[...flags].sort()} ${[...keywords].sort()}` : "";
    lines.push(`${key.slice(0, 12)} ${item.bytes.toString().split("\r\n\r\n")[1]?.trim()}${traits}`);
  }
  return lines.sort();
}

const held = (world: World) => [...world.store.folders.values()].flat();
const there = (world: World) => world.folders.flatMap(({ mail }) => mail);

async function each(
  kind: string,
  test: (seed: number, directory: string, told: (world: World) => World) => Promise<void>,
) {
  for (const seed of ONE === undefined ? seeds(CASES, KINDS) : [Number(ONE)]) {
    let world: World | undefined;
    try {
      await test(seed, join(root, `${kind}${seed}`), (made) => {
        world = made;
        return made;
      });
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${seed} [${world?.story.join(" | ")}]: ${error.message}`;
      throw error;
    }
  }
}

describe("nothing lost, nothing twice, flags as at the source; the run after it copies nothing", () => {
  it(
    "over faults, kills, stops, lost ledgers, new generations, new mail and changed flags",
    () =>
      each("plain", async (seed, directory, told) => {
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
      each("narrow", async (seed, directory, told) => {
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
      each("move", async (seed, directory, told) => {
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
