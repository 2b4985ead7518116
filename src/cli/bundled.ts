#!/usr/bin/env node
// The executable as it is shipped: bundle/main.js.

import { join } from "node:path";
import { loadCompiled } from "./compiled.ts";
import type * as Process from "./process.ts";
import { tuneProcess } from "./tune.ts";

// Before anything is loaded: V8 takes what it compiled under the same settings, and nothing else.
tuneProcess();
void (loadCompiled(join(__dirname, "program.cjs")) as typeof Process).runProcess();
