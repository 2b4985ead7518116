// Parts of a source or a target that were lost: who says so, and until when.

import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { filtersMessages, type RunOptions } from "./context.ts";
import type { EventStream } from "./event-stream.ts";

/** Whether this run looks for everything that the source has once more: then nothing of what the target lost can be missed any longer. */
export function looksForAll({ missing = [] }: Source, options: RunOptions): boolean {
  const { include = [], exclude = [], uses = [] } = options.select ?? {};
  return (
    options.recheck === true &&
    include.length + exclude.length + uses.length + missing.length === 0 &&
    !filtersMessages(options)
  );
}

export async function tellMissing(
  source: Source,
  { missing = [], sealed }: Sink,
  options: RunOptions,
  events: EventStream,
): Promise<void> {
  if (missing.length === 0) return;
  const again = "run it once with --recheck over all folders: what the source still has of it is then copied again";
  const now = "what the source still has of it is copied again; when that is done, it is not missed any longer";
  const once = "it is written once: a backup to another name, or to mboxzip:DIR, has what the source still has";
  const then = sealed === undefined ? (looksForAll(source, options) ? now : again) : once;
  await events.emit({ type: "notice", text: `${missing.join("; ")}; ${then}` });
}
