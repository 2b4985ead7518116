// Which steps of a run are chosen for a death: every one, the edges of each kind, or a draw by seed.

import type { Death } from "./crash.ts";
import type { Random } from "./random.ts";

/** Half of these can be done, and half of them may be what a death leaves. */
const isDivisible = (kind: string): boolean => /^(write|send [A-Z])/.test(kind);

/** The steps that change what is held or known, or hear that it was changed: none of them is left to chance. */
const WEIGHTY =
  /journal (done|mark|removed)|APPEND|UID STORE|EXPUNGE|DELE|QUIT|rename (zip|maildir cur)|rm archive notes|write (spool|zip part|maildir tmp)/;

/** Whole and, where that is possible, half carried out. */
function both(deaths: readonly Death[]): Death[] {
  return deaths.flatMap((death) => (isDivisible(death.kind) ? [death, { ...death, torn: true }] : [death]));
}

/** Before every step. */
export function everyDeath(steps: readonly string[]): Death[] {
  return both(
    [...kindsOf(steps)].flatMap(([kind, many]) => Array.from({ length: many }, (_, i) => ({ kind, nth: i + 1 }))),
  );
}

/** Of each kind of step the first, the middle and the last. */
export function deathsAtEdges(steps: readonly string[]): Death[] {
  return both([...kindsOf(steps)].flatMap(edgesOf));
}

/**
 * So many deaths: before one edge of each weighty kind; then in the middle of one of each, and before an edge of every other
 * kind; then further ones. Which, is the seed's choice.
 */
export function drawDeaths(steps: readonly string[], many: number, random: Random): Death[] {
  const kinds = [...kindsOf(steps)];
  const isWeighty = ([kind]: Kind): boolean => WEIGHTY.test(kind);
  const edge = (kind: Kind): Death => random.pick(edgesOf(kind));
  const torn = kinds
    .filter((kind) => isWeighty(kind) && isDivisible(kind[0]))
    .map((kind) => ({ ...edge(kind), torn: true }));
  const others = kinds.filter((kind) => !isWeighty(kind)).map(edge);
  const drawn = [
    ...shuffled(kinds.filter(isWeighty).map(edge), random),
    ...shuffled([...torn, ...others], random),
    ...shuffled(everyDeath(steps), random),
  ];
  return [...new Map(drawn.map((death) => [JSON.stringify(death), death])).values()].slice(0, many);
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return Array.from(items, () => left.splice(random.upTo(left.length), 1)).flat();
}

/** A kind of step, and how many there are of it. */
type Kind = readonly [kind: string, many: number];

/** How many steps there are of each kind. */
function kindsOf(steps: readonly string[]): Map<string, number> {
  const many = new Map<string, number>();
  for (const kind of steps) many.set(kind, (many.get(kind) ?? 0) + 1);
  return many;
}

function edgesOf([kind, many]: Kind): Death[] {
  return [...new Set([1, (many >> 1) + 1, many])].map((nth) => ({ kind, nth }));
}
