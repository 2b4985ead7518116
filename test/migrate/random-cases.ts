// What the suites of random runs share: a world a seed, and the mail of both ends to compare.

import { join } from "node:path";
import type { Traits } from "../../src/mail/model.ts";
import { countCompared } from "../kit/counts.ts";
import { keysIn } from "../kit/memory.ts";
import { seeds } from "../kit/seeds.ts";
import type { World } from "./random-kit.ts";

/** Cases of each kind, if not told otherwise; MAILFERRY_RANDOM_CASES asks for more, MAILFERRY_RANDOM_SEED for one of them. */
const CASES = 100;
const ASKED = process.env.MAILFERRY_RANDOM_CASES;
const ONE = process.env.MAILFERRY_RANDOM_SEED;

/** Plays a case for each seed, in a directory of its own; a failure names its seed, and what happened. `kinds` share the time. */
export async function each(
  root: string,
  kind: string,
  kinds: number,
  test: (seed: number, directory: string, told: (world: World) => World) => Promise<void>,
  cases = CASES,
): Promise<void> {
  for (const seed of ONE === undefined ? seeds(Number(ASKED ?? cases), kinds) : [Number(ONE)]) {
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

/** What the whole target holds, and the whole source. */
export const held = (world: World) => [...world.store.folders.values()].flat();
export const there = (world: World) => world.folders.flatMap(({ mail }) => mail);

/** The line that makes a message what it is, whatever a server did to its header. */
const bodyOf = (bytes: Buffer): string => bytes.toString("latin1").split("\r\n\r\n")[1]?.split("\r\n")[0] ?? "";

/** "key flags keywords", sorted: the multiset that both ends must agree on. */
export async function sorted(
  items: readonly { readonly bytes: Buffer; readonly traits: Traits }[],
  withTraits: boolean,
): Promise<string[]> {
  const lines: string[] = [];
  for (const item of items) {
    const [key = ""] = await keysIn([item]);
    const { flags, keywords } = item.traits;
    const traits = withTraits ? ` ${[...flags].sort()} ${[...keywords].sort()}` : "";
    lines.push(`${key.slice(0, 12)} ${item.bytes.toString().split("\r\n\r\n")[1]?.trim()}${traits}`);
  }
  return lines.sort();
}

/** What they are, whatever became of their octets. */
export const bodies = (items: readonly { readonly bytes: Buffer }[]): string[] =>
  items.map(({ bytes }) => bodyOf(bytes)).sort();

/** The bodies that the target should hold and those that it does; what is missing, and what is there too often, is counted. */
export function compared(world: World): { readonly wanted: string[]; readonly got: string[] } {
  const wanted = bodies(there(world));
  const got = bodies(held(world));
  countCompared(wanted, got);
  return { wanted, got };
}
