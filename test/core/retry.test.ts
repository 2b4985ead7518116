// Patience: delays double, have a ceiling and jitter, and add up to what is declared.

import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { DEFAULT_PATIENCE, delayBefore, delayToSettle, JITTER, LONGEST_DELAY_MS, pause } from "../../src/core/retry.ts";
import { randomFrom } from "../kit/random.ts";

/** All that can go on without a clock has gone on. */
async function aWhile(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}

/** The waits between as many tries. */
function waits(random: () => number): number[] {
  const patience = { ...DEFAULT_PATIENCE, random };
  return Array.from({ length: patience.attempts - 1 }, (_, n) => delayBefore(n + 1, patience));
}

it("the delay doubles up to a minute", () => {
  expect(waits(() => 0)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, LONGEST_DELAY_MS]);
});

it("all of it is two minutes to two and a half", () => {
  const sum = (all: readonly number[]): number => all.reduce((total, ms) => total + ms, 0) / 1000;
  expect(sum(waits(() => 0))).toBeGreaterThanOrEqual(120);
  expect(sum(waits(() => 0.999_999))).toBeLessThanOrEqual(155);
});

it("jitter spreads the same try of many clients over a quarter of its delay", () => {
  const random = randomFrom(7);
  const patience = { ...DEFAULT_PATIENCE, random: () => random.upTo(1_000_000) / 1_000_000 };
  const many = Array.from({ length: 400 }, () => delayBefore(5, patience));
  expect(Math.min(...many)).toBeGreaterThanOrEqual(16_000);
  expect(Math.max(...many)).toBeLessThanOrEqual(16_000 * (1 + JITTER));
  for (let quarter = 0; quarter < 4; quarter++)
    expect(many.filter((ms) => Math.floor((ms - 16_000) / 1000) === quarter).length).toBeGreaterThan(50);
});

it("an abort ends a pause at once, and nothing else does", async () => {
  const stopper = new AbortController();
  let isOver = false;
  const waiting = pause(3_600_000, DEFAULT_PATIENCE, stopper.signal).then(() => (isOver = true));
  await aWhile();
  expect(isOver).toBe(false);
  stopper.abort();
  await aWhile();
  expect(isOver).toBe(true);
  await waiting;
});

it("after an abort there is no pause", async () => {
  let isOver = false;
  void pause(3_600_000, DEFAULT_PATIENCE, AbortSignal.abort()).then(() => (isOver = true));
  await aWhile();
  expect(isOver).toBe(true);
});

it("what may still happen at the server is waited for longer", () => {
  const patience = { attempts: 3, firstDelayMs: 1000, random: () => 0 };
  expect(delayToSettle(1, patience)).toBe(3000);
  expect(delayToSettle(3, patience)).toBe(4000);
  expect(delayToSettle(1, { ...patience, settleMs: 7 })).toBe(1000);
});
