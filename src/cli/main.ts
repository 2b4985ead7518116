#!/usr/bin/env node
// The executable: what belongs to the process and not to the command.

import { EXIT } from "./exit.ts";
import { lastWords, program } from "./program.ts";
import { tuneProcess } from "./tune.ts";

tuneProcess();

// Nobody awaited what failed here: a bug, whatever it is.
process.on("uncaughtException", (error: unknown) => {
  process.stderr.write(lastWords(error));
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
