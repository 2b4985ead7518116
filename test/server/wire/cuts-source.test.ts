// A source whose wire is cut after any octet, in either direction: nothing lost, nothing twice, and the run goes on by itself.
//
// mutation: src/migrate/folder.ts: "vain = settled > settledBefore ? 1 : vain + 1;" -> "vain = patience.attempts;" (tests: "readImap")
// mutation: src/migrate/remove.ts: "if (!good) return await stays(record, due ? \"not-proved\" : \"too-new\");" -> "return await stays(record, \"not-proved\");" (tests: "moveImap")
// mutation: src/sources/pop3.ts: "await session.quit();" -> "session.close();" (tests: "drainPop")
// mutation: src/migrate/remove.ts: "await patiently(\"deleting at the source\", remove, { patience, events: context.events }, context.soft);" -> "throw new MailError(\"io\", \"\", { scope: \"folder\", remedy: \"retry\" });" (tests: "drainPop")

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
