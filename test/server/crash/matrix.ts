// For one way: killed at each of its steps (or at the edges of each kind), run again, and once more. Nothing lost, nothing twice.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Built, build } from "../../kit/build.ts";
import { type Death, edges, start } from "../../kit/crash.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { nameOf, type Scene, scene, type Way } from "./scenes.ts";

/** Each death takes three commands; a slow machine shall not fail for its slowness. */
const TIME_LIMIT_MS = 1_800_000;
/** A way whose steps vary by timing is killed at some further ones, which then do not exist in every run. */
const SPARE = 3;

interface Options {
  readonly way: Way;
  /** "each": every step; "edges": first, middle and last of each kind. */
  readonly at: "each" | "edges";
}

/** Declares the tests of one file: its own server, its own build. */
export function crashMatrix(matrix: readonly Options[]): void {
  let dovecot: Dovecot;
  let root: string;
  let built: Built;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "mailferry-steps-"));
    built = await build();
    dovecot = await startDovecot({ users: [] });
  });
  afterAll(async () => {
    await dovecot?.stop();
    built?.remove();
    await rm(root, { recursive: true, force: true });
  });

  const run = ({ args }: Scene, death?: Death, count = false) =>
    start({ main: built.main, args, password: dovecot.password, scratch: root }, death, count);

  async function stepsOf(way: Way): Promise<readonly string[]> {
    const ended = await run(await scene({ dovecot, root }, way), undefined, true);
    expect(ended.code, ended.stderr).toBe(0);
    return ended.steps;
  }

  async function dieAndGoOn(way: Way, death: Death): Promise<boolean> {
    const play = await scene({ dovecot, root }, way);
    const died = await run(play, death);
    const where = `${nameOf(way)}: killed at step ${death.at}${death.torn ? ", torn" : ""}: ${died.steps.at(-1)}`;
    const isKilled = died.signal === "SIGKILL";
    if (!isKilled) expect(died.code, `${where}\n${died.stderr}`).toBe(0);
    const second = await run(play);
    expect(second.code, `${where}\n${second.stderr}`).toBe(0);
    expect(await play.held(), where).toEqual(play.wanted);
    expect(await play.left(), where).toEqual(play.keeps);
    const third = await run(play);
    expect(third.code, `${where}, third run\n${third.stderr}`).toBe(0);
    expect(third.summary.balance?.copied ?? 0, `${where}, third run`).toBe(0);
    expect(third.summary.traitsUpdated ?? 0, `${where}, third run`).toBe(0);
    expect(await play.held(), `${where}, third run`).toEqual(play.wanted);
    return isKilled;
  }

  for (const { way, at } of matrix)
    it(
      `${nameOf(way)}: killed at ${at === "each" ? "every step" : "the edges of every kind of step"}, then run again`,
      async () => {
        const steps = await stepsOf(way);
        const numbers = at === "each" ? Array.from({ length: steps.length + SPARE }, (_, i) => i + 1) : edges(steps);
        const deaths: Death[] = numbers.flatMap((number) =>
          steps[number - 1] === "write" ? [{ at: number }, { at: number, torn: true }] : [{ at: number }],
        );
        let killed = 0;
        for (const death of deaths) if (await dieAndGoOn(way, death)) killed++;
        // Most of the steps exist in every run, or this proves nothing.
        expect(killed).toBeGreaterThan(numbers.length / 2);
      },
      TIME_LIMIT_MS,
    );
}
