// A source whose wire is cut after any octet, in either direction: nothing lost, nothing twice, and the run goes on by itself.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JobName, openYard, type Yard } from "./jobs.ts";
import { sweep } from "./sweep.ts";

const LIMIT_MS = 600_000;

let yard: Yard;
beforeAll(async () => {
  yard = await openYard();
});
afterAll(() => yard?.[Symbol.asyncDispose]());

const SWEEPS: readonly (readonly [JobName, number, number])[] = [
  ["readImap", 70, 95],
  ["listImap", 40, 60],
  ["moveImap", 45, 75],
  ["readPop", 320, 160],
  ["drainPop", 110, 140],
];

describe.each(SWEEPS)("%s", (name, up, down) => {
  it.each([
    ["up", up],
    ["down", down],
  ] as const)(
    "cut after any octet that goes %s, everything arrives once",
    async (direction, cases) => {
      const { itself } = await sweep(yard, {
        job: yard.jobs[name],
        direction,
        cases,
        counted: "cuts",
        sweeps: SWEEPS.length * 2,
        fault: (random) => ({ how: random.chance(1 / 3) ? "end" : "reset", connections: 1 }),
      });
      // Those cut behind the login.
      expect(itself).toBeGreaterThan(10);
    },
    LIMIT_MS,
  );
});
