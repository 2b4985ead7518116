// Counts what the suites on faults did, over all test files and processes: printed once, at the end of the run.

import { appendFileSync, readFileSync } from "node:fs";

export const COUNTED = [
  "crash points",
  "cuts",
  "wire faults",
  "scripted cases",
  "disk faults",
  "states",
  "fuzz inputs",
  "hostile names",
  "messages compared",
  "lost",
  "duplicated",
] as const;
export type Counted = (typeof COUNTED)[number];

/** The variable that names the file of counts; test/kit/run-setup.ts sets it. */
export const COUNTS_FILE = "MAILFERRY_COUNTS_FILE";

/** Adds so many. */
export function count(what: Counted, many = 1): void {
  const file = process.env[COUNTS_FILE];
  if (file !== undefined && many > 0) appendFileSync(file, `${JSON.stringify([what, many])}\n`);
}

/** Counts what is missing or there too often, message by message; call it before the assertion that would stop the test. */
export function countCompared(wanted: Iterable<string>, held: Iterable<string>): void {
  const left = new Map<string, number>();
  let compared = 0;
  for (const key of wanted) {
    left.set(key, (left.get(key) ?? 0) + 1);
    compared++;
  }
  let duplicated = 0;
  for (const key of held) {
    const many = left.get(key) ?? 0;
    if (many === 0) duplicated++;
    else left.set(key, many - 1);
  }
  count("messages compared", compared);
  count("duplicated", duplicated);
  count(
    "lost",
    [...left.values()].reduce((sum, many) => sum + many, 0),
  );
}

/** What was counted into this file, as one line: "12 crash points, …". */
export function sumsIn(file: string): { readonly line: string; of(what: Counted): number } {
  const sums = new Map<string, number>();
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const [what, many] = JSON.parse(line) as [string, number];
    sums.set(what, (sums.get(what) ?? 0) + many);
  }
  const of = (what: Counted): number => sums.get(what) ?? 0;
  return { line: COUNTED.map((what) => `${of(what).toLocaleString("en")} ${what}`).join(", "), of };
}
