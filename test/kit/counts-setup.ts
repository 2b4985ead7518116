// Gives all tests one file to count into, and prints the sums when they have ended.

import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COUNTS_FILE, sumsIn } from "./counts.ts";

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
    const { size } = statSync(file);
    const { line } = sumsIn(file);
    rmSync(directory, { recursive: true });
    if (size > 0) console.log(`\nFaults and hostile input in this run: ${line}\n`);
  };
}
