// A target whose wire is cut after any octet, in either direction, between a server's commit and its answer too: nothing lost,
// nothing twice, and the run goes on by itself.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JobName, openYard, type Yard } from "./jobs.ts";
import { sweep } from "./sweep.ts";

const LIMIT_MS = 600_000;

let yard: Yard;
let single: Yard;
let nameless: Yard;
let masking: Yard;
beforeAll(async () => {
  yard = await openYard();
  // Dovecot tells what it is told to tell, so each message goes in a command of its own, with synchronising literals.
  single = await openYard({ extraConfig: "imap_capability = IMAP4rev1 LITERAL- UIDPLUS NAMESPACE\n" });
  nameless = await openYard({ uidplus: false });
  masking = await openYard({ masks: true });
});
afterAll(async () => {
  await yard?.[Symbol.asyncDispose]();
  await single?.[Symbol.asyncDispose]();
  await nameless?.[Symbol.asyncDispose]();
  await masking?.[Symbol.asyncDispose]();
});

const ONCE = 1;
/** Each reconnection but the last few meets the same fate. */
const OFTEN = 3;
const SWEEPS = 5;

describe.each<readonly [string, () => Yard, JobName, number, number, number]>([
  ["messages in groups", () => yard, "writeImap", ONCE, 80, 110],
  ["one message a command", () => single, "writeImap", ONCE, 55, 80],
  ["messages in groups, whose copies get no name", () => nameless, "writeImap", ONCE, 45, 65],
  ["messages in groups, which are altered", () => masking, "writeImap", ONCE, 30, 45],
  ["both ends, three times", () => yard, "bothImap", OFTEN, 40, 55],
])("%s", (_, of, name, connections, up, down) => {
  it.each([
    ["up", up],
    ["down", down],
  ] as const)(
    "cut after any octet that goes %s, everything arrives once",
    async (direction, cases) => {
      const { itself, adopted } = await sweep(of(), {
        job: of().jobs[name],
        direction,
        cases,
        counted: "cuts",
        sweeps: SWEEPS * 2,
        fault: (random) => ({ how: random.chance(1 / 3) ? "end" : "reset", connections }),
      });
      if (connections === ONCE) expect(itself).toBeGreaterThan(10);
      // What was stored and never confirmed was found, and not stored again.
      if (direction === "down") expect(adopted).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );
});
