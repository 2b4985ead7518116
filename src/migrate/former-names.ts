// A change of rules between versions moves no folder that a ledger already leads somewhere.

import type { FolderPath } from "../mail/model.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import type { RunOptions } from "./context.ts";
import { memoryLedger } from "./journal.ts";
import { ledgerDirectoryOf, pairDirectory } from "./pair.ts";
import { targetPath } from "./plan.ts";

/** Before the folders are listed; reads nothing unless the source has folders that were called otherwise. */
export function callAsBefore(source: Source, sink: Sink, options: RunOptions, signal: AbortSignal): void {
  const home = sink.home ?? pairDirectory(options.stateDirectory, source.identity, sink.identity);
  const pair = { source: source.identity, sink: sink.identity };
  source.callAsBefore?.(async (path: FolderPath): Promise<boolean> => {
    const ledger = memoryLedger({ directory: ledgerDirectoryOf(home, source.identity), pair });
    try {
      const { name } = await sink.describe({ path: targetPath(path, options), selectable: true }, signal);
      return (await ledger.folder(name)).head(path) !== undefined;
    } catch {
      // Whoever opens it for good says what is wrong with it.
      return false;
    } finally {
      await ledger[Symbol.asyncDispose]();
    }
  });
}
