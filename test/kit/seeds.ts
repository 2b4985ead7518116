// The seeds of a suite's cases: a fixed number in an ordinary run, further ones as long as a soak lasts.

/** MAILFERRY_SEED asks for others than the usual ones. */
export const FIRST_SEED = Number(process.env.MAILFERRY_SEED ?? 1);
export const SOAK_SECONDS = Number(process.env.MAILFERRY_SOAK_SECONDS ?? 0);

/** From the first seed on: `cases` of them, then as many as there is time for. `tests` share the time of their file. */
export function* seeds(cases: number, tests = 1): Generator<number> {
  const until = performance.now() + (SOAK_SECONDS * 1000) / tests;
  for (let i = 0; i < cases || (SOAK_SECONDS > 0 && performance.now() < until); i++) yield FIRST_SEED + i;
}
