// A connection that goes bad under a job: its maildrop is away for a while, or it is dead and nobody tells.

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { EXIT, exitCodeOf } from "../../src/cli/exit.ts";
import { DEFAULT_PATIENCE } from "../../src/core/retry.ts";
import { count } from "../kit/counts.ts";
import { type HowCut, startProxy } from "../kit/proxy.ts";
import type { Act } from "../protocol/pop3/scripted-server.ts";
import { expectSame } from "./contents.ts";
import { type Bench, carry, impatient, once, openBench } from "./jobs.ts";
import { cli, nothingForeign, PLACES, type Served, serveImap, servePop3, stalls } from "./served.ts";

/** What the command's own patience waited: here a clock that costs no time. */
const slept = vi.hoisted((): number[] => []);
vi.mock("node:timers/promises", async (original) => ({
  ...(await original<typeof import("node:timers/promises")>()),
  setTimeout: async (ms: number) => void slept.push(ms),
}));

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());
beforeEach(() => void slept.splice(0));

const AWAY: readonly (readonly [string, "RETR 3" | "STAT", Act, string])[] = [
  ["closes every connection", "RETR 3", { ending: "fin" }, "connection"],
  ["resets every connection", "RETR 3", { ending: "reset" }, "connection"],
  ["says -ERR [SYS/TEMP]", "RETR 3", { send: "-ERR [SYS/TEMP] later\r\n" }, "connection"],
  ["says -ERR [IN-USE]", "RETR 3", { send: "-ERR [IN-USE] by another\r\n" }, "locked"],
  ["closes every connection, before the first message", "STAT", { ending: "fin" }, "connection"],
];

describe.each(AWAY)("a maildrop that %s", (_, when, act, code) => {
  const { attempts } = DEFAULT_PATIENCE;
  /** Without jitter: doubling up to a minute. */
  const DELAYS = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000];

  /** Away for so many new connections after it fell off. */
  const serve = async (logins: number) => {
    const away = { left: -1 };
    const server = await servePop3(
      bench,
      (line) => {
        if (away.left < 0 && line === when) {
          away.left = logins;
          return { ending: "fin" };
        }
        return away.left > 0 && line.startsWith("PASS") && away.left-- > 0 ? act : undefined;
      },
      { capabilities: ["USER", "UIDL", "RESP-CODES", "PIPELINING"] },
    );
    return { server, away };
  };

  it("is given up after as many tries as declared, with growing waits: exit 5", async () => {
    const { server, away } = await serve(1000);
    await using _server = server;
    const job = server.job();
    const { patience, waits } = impatient(attempts);
    const { failure, summary } = await once(job, { patience });
    expect(failure).toMatchObject({ code });
    expect(exitCodeOf(failure)).toBe(EXIT.temporary);
    expect(waits).toEqual(DELAYS);
    // The first one fell off, the others were not let in. An idle one that fell off is replaced in the same try.
    expect(server.sessions).toBe(when === "STAT" ? 1 + attempts : attempts);
    const held = await nothingForeign(job);
    expect(held).toBe(when === "STAT" ? 0 : 2);
    expect(summary?.balance.copied ?? 0).toBe(held);
    away.left = 0;
    await carry(job);
  });

  it("and comes back in time: all arrives in one run", async () => {
    const { server } = await serve(3);
    await using _server = server;
    const { patience, waits } = impatient(attempts);
    const { failure, summary } = await carry(server.job(), { options: { patience } });
    expect(failure).toBeUndefined();
    expect(summary).toMatchObject({ outcome: "complete", closes: true });
    expect(waits).toEqual(DELAYS.slice(0, when === "STAT" ? 3 : 4));
  });

  it("the command ends with exit 5 after its own patience", async () => {
    count("scripted cases");
    const { server, away } = await serve(1000);
    await using _server = server;
    const { argv, arrived } = server.words();
    const environment = { MAILFERRY_SOURCE_PASSWORD: "old", XDG_STATE_HOME: bench.place("state") };
    expect((await cli(argv, environment)).code).toBe(EXIT.temporary);
    expect(slept).toHaveLength(attempts - 1);
    for (const [n, ms] of slept.entries()) {
      expect(ms).toBeGreaterThanOrEqual(DELAYS[n] ?? 0);
      expect(ms).toBeLessThanOrEqual((DELAYS[n] ?? 0) * 1.25);
    }
    away.left = 0;
    for (let again = 0; again < 2; again++) expect((await cli(argv, environment)).code).toBe(EXIT.complete);
    expectSame(await server.job().wanted(), await arrived());
  });
});

const STALL_MS = 1000;
const TRIES = 5;

describe.each(PLACES)("a dead connection that nobody tells of, to %s", (place) => {
  const serve = (): Promise<Served> =>
    place === "a POP3 source" ? servePop3(bench, () => undefined) : serveImap(bench, place, {});

  it.concurrent.each(
    (["up", "down"] as const).flatMap((direction) => [0, 0.3, 0.6, 0.95].map((part) => [direction, part] as const)),
  )("is noticed and replaced (what goes %s is lost, from %f of the job on)", async (direction, part) => {
    count("wire faults");
    // How much passes until the ends are open, and how much in all.
    const seen = { open: 0, all: 0 };
    {
      await using server = await serve();
      await using proxy = await startProxy(server.port);
      const job = server.job({ port: proxy.port });
      await using _source = await job.source();
      await using _sink = await job.sink();
      seen.open = proxy.bytes[direction];
    }
    {
      await using server = await serve();
      await using proxy = await startProxy(server.port);
      await once(server.job({ port: proxy.port }));
      seen.all = proxy.bytes[direction];
    }
    // What is said in parting is missed by nobody.
    const parting = direction === "up" ? 40 : 100;
    let connections = 0;
    // Two runs may differ by a row or two: one that ends before anything is lost tells how much passes, and the next is cut.
    for (let tries = 0, isCut = false; !isCut && tries < TRIES; tries++) {
      const afterBytes = Math.floor(seen.open + 1 + part * (seen.all - seen.open - parting));
      await using server = await serve();
      const how: HowCut = "swallow";
      await using proxy = await startProxy(server.port, { cut: { direction, afterBytes, how, connections: 1 } });
      const job = server.job({ port: proxy.port, stalls: () => stalls(STALL_MS) });
      const { failure, summary } = await carry(job, {
        options: impatient(10),
        mended: () => {
          connections = proxy.accepted;
          seen.all = proxy.bytes[direction];
        },
      });
      expect(failure).toBeUndefined();
      expect(summary).toMatchObject({ outcome: "complete", closes: true });
      isCut = connections > 1 || seen.all >= afterBytes;
    }
    expect(connections).toBeGreaterThan(1);
  });
});
