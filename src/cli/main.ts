#!/usr/bin/env node
// The executable: what belongs to the process and not to the command.

import { setFlagsFromString } from "node:v8";
import { EXIT } from "./exit.ts";
import { program } from "./program.ts";

// What lives is small and the same throughout a run, but each message leaves garbage that outlives a collection or two while it
// waits for the disk. V8 lets that grow to four times what lives before it looks; at half as much again, a run stays 40 to 60 MB
// smaller for a tenth more of CPU. Read at the next collection, so it need not stand on the command line.
setFlagsFromString("--heap-growing-percent=50");
// The young generation stays as small as it starts (1 MB): grown to its 16 MB, three times over, it gained nothing that could be
// measured in time, and cost 35 MB.
setFlagsFromString("--semi-space-growth-factor=1");

// Nobody awaited what failed here: a bug, whatever it is.
process.on("uncaughtException", (error) => {
  process.stderr.write(`mailferry: this is a bug: ${error.stack ?? error.message}\n`);
  process.exit(EXIT.bug);
});

// Whoever reads us may go away (`mailferry folders … | head`): a run goes on, only its words are lost.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    stream.destroy();
  });

const code = await program(process.argv.slice(2), process.env);
process.exitCode = code;
// Everything is closed by now. A handle that a library leaves behind must not keep the process, nor cut what is still written.
for (const stream of [process.stdout, process.stderr])
  if (!stream.destroyed) await new Promise<void>((resolve) => stream.write("", () => resolve()));
process.exit(code);
