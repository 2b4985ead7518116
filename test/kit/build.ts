// The program as it is shipped, built once for all suites that start it: plain JavaScript starts in a third of the time.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { errno } from "../../src/mail/errors.ts";

/** The variable that names the place of the build; test/kit/run-setup.ts makes and removes it. */
export const BUILD_DIRECTORY = "MAILFERRY_TEST_BUILD";

const root = fileURLToPath(new URL("../..", import.meta.url));
const LIMIT_MS = 120_000;
const LOOK_MS = 50;

/** The command's main file. The first who asks builds it, which takes some seconds; whoever asks meanwhile waits. */
export async function builtMain(): Promise<string> {
  const directory = process.env[BUILD_DIRECTORY];
  if (directory === undefined) throw new Error("only tests have a built program: vitest's globalSetup makes its place");
  const outcome = join(directory, "outcome");
  if (claim(join(directory, "claimed"))) {
    const failure = await buildInto(directory).then(
      () => "",
      (error: unknown) => `it cannot be built: ${String(error)}`,
    );
    // Others see it whole or not at all.
    writeFileSync(`${outcome}.new`, failure);
    renameSync(`${outcome}.new`, outcome);
  }
  const until = performance.now() + LIMIT_MS;
  let failure = outcomeIn(outcome);
  while (failure === undefined && performance.now() < until) {
    await sleep(LOOK_MS);
    failure = outcomeIn(outcome);
  }
  if (failure !== "") throw new Error(failure ?? "another suite began to build the program and never ended");
  return join(directory, "dist", "bundle", "main.js");
}

/** Whether nobody has been here before. */
function claim(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (errno(error) === "EEXIST") return false;
    throw error;
  }
}

function outcomeIn(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function buildInto(directory: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module", version }));
  const program = await import("../../build.ts");
  // Types are another command's to judge: here a change that breaks them shall break what it does, and nothing else.
  await program.buildInto(join(directory, "dist"), false);
}
