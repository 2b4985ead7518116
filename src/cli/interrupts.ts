// Ctrl-C and SIGTERM: the first lets what is in flight finish, the second aborts, the third ends the process.

import { EXIT, type ExitCode } from "./exit.ts";

export interface Interrupts extends Disposable {
  /** Aborted by the second signal, or by the first while nothing is running that could be stopped gently. */
  readonly signal: AbortSignal;
  /** The exit code that the signal asks for; undefined when none came. */
  readonly code: ExitCode | undefined;
  /** From now on the first signal calls `stop` instead of aborting. */
  onStop(stop: () => void): void;
}

/** Listens until it is disposed. `say` prints one line for the user. */
export function listenForInterrupts(say: (text: string) => void): Interrupts {
  const controller = new AbortController();
  let code: ExitCode | undefined;
  let stop: (() => void) | undefined;
  let count = 0;

  const on = (exit: ExitCode, again: string) => (): void => {
    code ??= exit;
    count++;
    if (count === 1 && stop !== undefined) {
      say(`stopping: what is in flight is finished first${again}`);
      stop();
    } else if (!controller.signal.aborted) {
      // Before a run has begun nothing was changed, and there is nothing to go on from.
      say(stop === undefined ? "interrupted" : "stopping at once; the next run goes on from here");
      controller.abort();
    } else process.exit(code);
  };
  const onInterrupt = on(EXIT.interrupted, " (Ctrl-C again stops at once)");
  const onTerminate = on(EXIT.terminated, "");
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  return {
    signal: controller.signal,
    get code() {
      return code;
    },
    onStop(callback) {
      stop = callback;
      if (count > 0) callback();
    },
    [Symbol.dispose]() {
      process.off("SIGINT", onInterrupt);
      process.off("SIGTERM", onTerminate);
    },
  };
}
