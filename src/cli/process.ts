// What belongs to the process and not to the command.

import { EXIT } from "./exit.ts";
import { lastWords, program } from "./program.ts";

export { program };

/** Runs the command that the process was started with, and ends the process. */
export async function runProcess(): Promise<never> {
  // Nobody awaited what failed here: a bug, whatever it is.
  process.on("uncaughtException", (error: unknown) => {
    process.stderr.write(lastWords(error));
    process.exit(EXIT.bug);
  });

  // Whoever reads us may go away (`mailferry folders … | head`): a run goes on, only its words are lost.
  // A disk that is full under them is no reason to leave mail behind either, and told in the end: what was printed is not whole.
  let lost: string | undefined;
  for (const [name, stream] of [
    ["standard output", process.stdout],
    ["standard error", process.stderr],
  ] as const)
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED")
        lost ??= `${name} could not be written (${error.message})`;
      stream.destroy();
    });

  const done = await program(process.argv.slice(2), process.env);
  process.exitCode = done;
  // Everything is closed by now. A handle that a library leaves behind must not keep the process, nor cut what is still written.
  const written = async (stream: NodeJS.WriteStream, text = ""): Promise<void> => {
    if (!stream.destroyed) await new Promise<void>((resolve) => stream.write(text, () => resolve()));
  };
  await written(process.stdout);
  if (lost !== undefined) await written(process.stderr, `mailferry: ${lost}: what was printed there is not whole.\n`);
  await written(process.stderr);
  process.exit(lost !== undefined && done === EXIT.complete ? EXIT.temporary : done);
}
