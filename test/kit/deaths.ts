// Which steps of a run are chosen for a death: every one, the edges of each kind, or a draw by seed.

import type { Death } from "./crash.ts";
import type { Random } from "./random.ts";

/** Half of these can be done, and half of them may be what a death leaves. */
const isDivisible = (kind: string | undefined): boolean => /^(write|send [A-Z])/.test(kind ?? "");

/** The steps that change what is held or known, or hear that it was changed: none of them is left to chance. */
const WEIGHTY =
  /journal (done|mark|removed)|APPEND|UID STORE|EXPUNGE|DELE|QUIT|rename (zip|maildir cur)|rm archive notes|write (spool|zip part|maildir tmp)/;

/** A run whose steps vary by timing is killed at some further ones, which then do not exist in every run. */
const SPARE = 3;

/** Whole and, where that is possible, half carried out. */
function both(steps: readonly string[], numbers: readonly number[]): Death[] {
  return numbers.flatMap((at) => (isDivisible(steps[at - 1]) ? [{ at }, { at, torn: true }] : [{ at }]));
}

/** Every step, and some beyond the last that was seen. */
export function everyDeath(steps: readonly string[]): Death[] {
  return both(
    steps,
    Array.from({ length: steps.length + SPARE }, (_, i) => i + 1),
  );
}

/** Of each kind of step the first, the middle and the last. */
export function deathsAtEdges(steps: readonly string[]): Death[] {
  const chosen = new Set([...kindsOf(steps).values()].flatMap(edgesOf));
  return both(
    steps,
    [...chosen].sort((a, b) => a - b),
  );
}

/**
 * So many deaths: one edge of each weighty kind, then one of every other, then further steps; which ones, and whether whole
 * or torn, is the seed's choice.
 */
export function drawDeaths(steps: readonly string[], many: number, random: Random): Death[] {
  const kinds = [...kindsOf(steps)];
  const weighty = kinds.filter(([kind]) => WEIGHTY.test(kind));
  const others = kinds.filter(([kind]) => !WEIGHTY.test(kind));
  const edges = [...shuffled(weighty, random), ...shuffled(others, random)].map(([, numbers]) =>
    random.pick(edgesOf(numbers)),
  );
  const further = shuffled(Array.from(steps.keys()), random).map((index) => index + 1);
  return [...new Set([...edges, ...further])]
    .slice(0, many)
    .map((at) => (isDivisible(steps[at - 1]) && random.chance(0.5) ? { at, torn: true } : { at }));
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return Array.from(items, () => left.splice(random.upTo(left.length), 1)).flat();
}

/** The numbers of the steps of each kind, from 1. */
function kindsOf(steps: readonly string[]): Map<string, number[]> {
  const byKind = new Map<string, number[]>();
  for (const [i, kind] of steps.entries()) byKind.set(kind, [...(byKind.get(kind) ?? []), i + 1]);
  return byKind;
}

function edgesOf(numbers: readonly number[]): number[] {
  const edges = [0, numbers.length >> 1, numbers.length - 1].map((index) => numbers[index]);
  return [...new Set(edges)].filter((at) => at !== undefined);
}
