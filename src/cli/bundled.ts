#!/usr/bin/env node
// The executable as it is shipped: bundle/main.js.

import { join } from "node:path";
import { loadCompiled } from "./compiled.ts";
import { isNoFolder, NO_FOLDER } from "./no-folder.ts";
import type * as Process from "./process.ts";
import { tuneProcess } from "./tune.ts";

// Before anything is loaded: V8 takes what it compiled under the same settings, and nothing else.
tuneProcess();
try {
  void (loadCompiled(join(__dirname, "program.cjs")) as typeof Process).runProcess();
} catch (error) {
  // yargs asks for it as soon as it is loaded.
  if (!isNoFolder(error)) throw error;
  process.stderr.write(`mailferry: ${NO_FOLDER.message}. ${NO_FOLDER.hint}\n`);
  process.exitCode = 2;
}
