#!/usr/bin/env node
// The executable, run from its source. What is shipped begins at bundled.ts.

import { runProcess } from "./process.ts";
import { tuneProcess } from "./tune.ts";

tuneProcess();
await runProcess();
