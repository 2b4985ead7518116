// A wire that is half open, loses what it carries, garbles it, or breaks again and again: noticed, and got over by a new one.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HowCut } from "../../kit/proxy.ts";
import { type JobName, openYard, type Yard } from "./jobs.ts";
import { sweep } from "./sweep.ts";

/** Far longer than a busy machine makes a living server wait; the cases wait side by side. */
const STALL_MS = 3_000;
/** A record of TLS whose length is garbled makes the server wait for octets that nobody sends. No living server is silent so long. */
const GARBLED_STALL_MS = 25_000;
const PATIENT_LANES = 16;

let clear: Yard;
let impatient: Yard;
let secured: Yard;
beforeAll(async () => {
  clear = await openYard();
  impatient = await openYard({ stallMs: STALL_MS });
  secured = await openYard({ security: "tls", stallMs: GARBLED_STALL_MS });
});
afterAll(async () => {
  await clear?.[Symbol.asyncDispose]();
  await impatient?.[Symbol.asyncDispose]();
  await secured?.[Symbol.asyncDispose]();
});

const WIRES = 4;
const JOBS: readonly JobName[] = ["readImap", "writeImap", "drainPop"];

describe.each<readonly [string, HowCut, () => Yard, number, number, number]>([
  ["half open", "half-open", () => clear, 1, 20, PATIENT_LANES],
  ["that loses everything and tells nobody", "swallow", () => impatient, 1, 16, PATIENT_LANES],
  // TLS alone can tell; in the clear a message would change unseen.
  ["that garbles what follows", "garbage", () => secured, 1, 12, 8],
  ["cut many times", "reset", () => clear, 4, 25, 8],
])("a wire %s", (_, how, of, connections, cases, lanes) => {
  it.each(JOBS.flatMap((name) => [[name, "up"] as const, [name, "down"] as const]))(
    "%s, %s: everything arrives once",
    async (name, direction) => {
      const { itself, again } = await sweep(of(), {
        job: of().jobs[name],
        direction,
        cases,
        counted: "wire faults",
        sweeps: WIRES * JOBS.length * 2,
        fault: () => ({ how, connections }),
        lanes,
      });
      expect(itself + again).toBeGreaterThanOrEqual(cases);
    },
  );
});
