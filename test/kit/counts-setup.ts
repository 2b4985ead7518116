// Gives all tests one file to count into, and prints the sums when they have ended.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COUNTED, COUNTS_FILE } from "./counts.ts";

/** vitest's globalSetup: runs before the workers start, which inherit the variable; what it returns runs at the end. */
export default function setup(): (() => void) | undefined {
  // Each project of the configuration asks; the first one serves them all.
  if (process.env[COUNTS_FILE] !== undefined) return undefined;
  const directory = mkdtempSync(join(tmpdir(), "mailferry-counts-"));
  const file = join(directory, "counts");
  writeFileSync(file, "");
  process.env[COUNTS_FILE] = file;
  return () => {
    delete process.env[COUNTS_FILE];
    const sums = new Map<string, number>();
    for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
      const [what, many] = JSON.parse(line) as [string, number];
      sums.set(what, (sums.get(what) ?? 0) + many);
    }
    rmSync(directory, { recursive: true });
    if (sums.size === 0) return;
    const of = (what: string): string => `${(sums.get(what) ?? 0).toLocaleString("en")} ${what}`;
    console.log(`\nFaults and hostile input in this run: ${COUNTED.map(of).join(", ")}\n`);
  };
}
