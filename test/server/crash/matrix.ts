// For each way: killed at its steps, run again, and once more. Nothing lost, nothing twice, and the third run has nothing to do.
//
// In an ordinary run a draw of the steps by seed dies as real processes, and the runs after it go on in this process.
// MAILFERRY_SEED draws others. With MAILFERRY_SOAK_SECONDS every step of every way is taken, in the seed's order until the
// time is over, and each run is a process of its own.

import { expect, it } from "vitest";
import { count } from "../../kit/counts.ts";
import { type Death, type Ended, start, startHere } from "../../kit/crash.ts";
import { deathsAtEdges, drawDeaths, everyDeath, shuffled } from "../../kit/deaths.ts";
import { masked } from "../../kit/other-servers.ts";
import { randomFrom } from "../../kit/random.ts";
import { FIRST_SEED, SOAK_SECONDS } from "../../kit/seeds.ts";
import { EIGHT_BIT, nameOf, type Scene, scene as sceneOf, type Way } from "./scenes.ts";
import { expectComplete, type StageOptions, useStage } from "./stage.ts";

/** A machine that is slow, or busy with other things, shall not fail for it. */
const TIME_LIMIT_MS = 1_800_000 + SOAK_SECONDS * 1000;
/** Deaths at a time: a run waits most of its time, for disks, servers, and copies that a server may yet store. */
const LANES = 4;

interface Options {
  readonly way: Way;
  /** How many steps an ordinary run dies at, drawn by seed. */
  readonly deaths: number;
  /** At which it dies besides: what this file is there for, whatever is drawn. */
  readonly also?: readonly Death[];
  /** What a soak dies at: every step, or first, middle and last of each kind. */
  readonly soak: "each" | "edges";
}

/** Declares the tests of one file: its own server, its own build. */
export function crashMatrix(matrix: readonly Options[], options: StageOptions = {}): void {
  const stage = useStage(options);
  const { commandOf } = stage;
  const scene = (place: Parameters<typeof sceneOf>[0], way: Way): Promise<Scene> =>
    options.masks === true ? sceneOf(place, way, EIGHT_BIT, masked) : sceneOf(place, way);

  async function stepsOf(way: Way): Promise<readonly string[]> {
    const play = await scene(stage.place(), way);
    const ended = await start(commandOf(play), { count: true });
    expect(ended.code, ended.stderr).toBe(0);
    await expectComplete(play, nameOf(way));
    return ended.steps;
  }

  /** Whether it died: some steps do not exist in every run. */
  async function dieAndGoOn(way: Way, death: Death, again: (play: Scene) => Promise<Ended>): Promise<boolean> {
    const play = await scene(stage.place(), way);
    const died = await start(commandOf(play), { death });
    const where = `${nameOf(way)}, seed ${FIRST_SEED}: killed before ${death.kind}/${death.nth}${death.torn ? ", torn" : ""}`;
    const isKilled = died.signal === "SIGKILL";
    if (!isKilled) expect(died.code, `${where}\n${died.stderr}`).toBe(0);
    const second = await again(play);
    expect(second.code, `${where}\n${second.stderr}`).toBe(0);
    await expectComplete(play, where);
    const files = play.files();
    const third = await again(play);
    expect(third.code, `${where}, third run\n${third.stderr}`).toBe(0);
    expect(third.summary.balance?.copied ?? 0, `${where}, third run`).toBe(0);
    expect(third.summary.traitsUpdated ?? 0, `${where}, third run`).toBe(0);
    await expectComplete(play, `${where}, third run`);
    expect(play.files(), `${where}, third run`).toEqual(files);
    if (isKilled) count("crash points");
    return isKilled;
  }

  if (SOAK_SECONDS > 0) {
    it(
      "every step of every way, as far as the time goes",
      async () => {
        const until = performance.now() + SOAK_SECONDS * 1000;
        const all: { way: Way; death: Death }[] = [];
        for (const { way, soak } of matrix) {
          const steps = await stepsOf(way);
          const deaths = soak === "each" ? everyDeath(steps) : deathsAtEdges(steps);
          all.push(...deaths.map((death) => ({ way, death })));
        }
        let done = 0;
        await inLanes(shuffled(all, randomFrom(FIRST_SEED)), async ({ way, death }) => {
          if (performance.now() > until) return;
          await dieAndGoOn(way, death, (play) => start(commandOf(play)));
          done++;
        });
        console.log(`seed ${FIRST_SEED}: ${done} of ${all.length} deaths tried`);
      },
      TIME_LIMIT_MS,
    );
    return;
  }
  for (const [i, { way, deaths, also = [] }] of matrix.entries())
    it(
      `${nameOf(way)}: killed at its steps, then run again`,
      async () => {
        // Each way draws other kinds of steps: together they have them all.
        const drawn = [...also, ...drawDeaths(await stepsOf(way), deaths, randomFrom(FIRST_SEED + i * 1000))];
        let killed = 0;
        await inLanes(drawn, async (death) => {
          if (await dieAndGoOn(way, death, (play) => startHere(commandOf(play)))) killed++;
        });
        // Most of the steps exist in every run, or this proves nothing.
        expect(killed).toBeGreaterThan(drawn.length / 2);
      },
      TIME_LIMIT_MS,
    );
}

/** The first failure stops all lanes, and is told when they have. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (failure !== undefined) return;
      await work(item).catch((error: unknown) => {
        failure ??= { error };
      });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  if (failure !== undefined) throw failure.error;
}
