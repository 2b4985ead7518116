// A soak runs, builds the program that it kills, counts over its turns, and ends well.

import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { BUILD_DIRECTORY } from "../../kit/build.ts";
import { COUNTS_FILE } from "../../kit/counts.ts";
import { root } from "../../kit/mutation-list.ts";

/** As it is started by hand, where no other run has made it a place for anything. */
function soak(...args: readonly string[]) {
  const { [COUNTS_FILE]: _, [BUILD_DIRECTORY]: __, VITEST: ___, ...env } = process.env;
  const command = ["--import", "tsx", "test/kit/soak.ts", ...args];
  return spawnSync(process.execPath, command, { cwd: root, env, encoding: "utf8" });
}

it("a soak of a moment over one death ends with 0, and has counted it", () => {
  const which = ["--only", "kills", "--files", "two-at-once", "--tests", "file.zip the second run"];
  const { status, stdout, stderr } = soak("--minutes", "0.01", "--seed", "7", ...which);
  expect(status, stdout + stderr).toBe(0);
  expect(stdout).toContain("kills, signals, sleep and locks: seed 7, 1 s a file beyond the ordinary cases, 1 files");
  expect(stdout).toMatch(/from seed 7: [1-9]\d* crash points, .* 0 lost, 0 duplicated/);
});

it("turns that there are not, and times that are none, end with 2", () => {
  for (const args of [
    ["--minutes", "0"],
    ["--files", "nobody"],
  ])
    expect(soak(...args).status).toBe(2);
});
