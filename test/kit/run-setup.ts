// Gives all tests one file to count into and one place for the built program, and prints the sums when they have ended.

import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BUILD_DIRECTORY } from "./build.ts";
import { COUNTS_FILE, sumsIn } from "./counts.ts";

/** vitest's globalSetup: runs before the workers start, which inherit the variables; what it returns runs at the end. */
export default function setup(): () => void {
  // Each project of the configuration asks; the first one serves them all. A soak counts over several runs in a file of its own.
  const ends: (() => void)[] = [];
  if (process.env[COUNTS_FILE] === undefined) ends.push(countHere());
  if (process.env[BUILD_DIRECTORY] === undefined) ends.push(buildHere());
  return () => {
    for (const end of ends) end();
  };
}

function countHere(): () => void {
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

function buildHere(): () => void {
  // Below node_modules, where its packages are found.
  const cache = fileURLToPath(new URL("../../node_modules/.cache", import.meta.url));
  mkdirSync(cache, { recursive: true });
  const built = mkdtempSync(join(cache, "mailferry-"));
  process.env[BUILD_DIRECTORY] = built;
  return () => {
    delete process.env[BUILD_DIRECTORY];
    rmSync(built, { recursive: true, force: true });
  };
}
