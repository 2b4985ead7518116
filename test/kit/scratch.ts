// Where suites put what they need only for a while: memory, where the system offers it, since many fsyncs prove nothing more there.

import { accessSync, constants } from "node:fs";
import { tmpdir } from "node:os";

const MEMORY = "/dev/shm";

/** A directory for temporary files that no test of durability looks at. */
export function quickDisk(): string {
  try {
    accessSync(MEMORY, constants.W_OK | constants.X_OK);
    return MEMORY;
  } catch {
    return tmpdir();
  }
}
