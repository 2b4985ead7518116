// What the process asks of V8 and of malloc.

import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Once, before anything else is done: for a process that is the command's own, and no library's. */
export function tuneProcess(): void {
  // What lives is small and the same throughout a run, but each message leaves garbage that outlives a collection or two while it
  // waits for the disk. V8 lets that grow to four times what lives before it looks; at half as much again, a run stays 40 to 60 MB
  // smaller for a tenth more of CPU. Read at the next collection, so it need not stand on the command line.
  setFlagsFromString("--heap-growing-percent=50");
  growYoungGeneration();
  // V8 gives a function to its optimising compiler after so many octets of bytecode that ran; its own bound (67,584) suits programs
  // that do one thing. Here some hundred functions crossed it in the first second, and the compiling took half as much CPU as the
  // run, from the core that the server needs. Ten times as much is still crossed early in a run that lasts.
  setFlagsFromString("--interrupt-budget=660000");
  // glibc gives freed memory back to the system at once, and takes it anew for the next message, a page fault for each 4 KB of it:
  // up to a quarter of a run with large messages. It keeps twice as much as the largest piece that was ever mapped by itself and
  // freed (mallopt(3), M_MMAP_THRESHOLD), so that it is shown one. Nothing of it is touched, so that it takes no memory.
  Buffer.allocUnsafeSlow(16 << 20);
}

/**
 * Once, to 4 MB, and no further. At the 1 MB that it begins with, what a message needs on its way outlives a collection, and is copied:
 * a fifth of the time of a run with many small ones. At the 16 MB that V8 would go to, three times over, a run takes 35 MB more.
 * The size itself can only be given on Node's command line; how it grows, at any time.
 */
function growYoungGeneration(): void {
  const size = (): number =>
    getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")?.space_size ?? 0;
  const before = size();
  setFlagsFromString("--semi-space-growth-factor=4");
  // It grows when as much has outlived collections as it holds.
  let kept: unknown[] = [];
  while (size() <= 2 * before && kept.length < 8192) for (let n = 0; n < 64; n++) kept.push(new Array(64).fill(n));
  kept = [];
  setFlagsFromString("--semi-space-growth-factor=1");
}
