// What the target calls the folders: told to it before it is read, as earlier runs found it, and asked of it at the end.

import { plural, showCount } from "../core/words.ts";
import { showPath } from "../mail/model.ts";
import type { Sink } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import type { Ledger } from "./ledger.ts";
import { rememberedNames } from "./pair.ts";
import { patiently } from "./patiently.ts";
import type { FolderJob } from "./plan.ts";

/** Folders that are named in one line. */
const NAMED = 5;

export async function recallNames(
  sink: Sink,
  ledger: Ledger,
  groups: readonly (readonly FolderJob[])[],
): Promise<void> {
  if (sink.recall === undefined) return;
  const paths = groups.flat().map(({ target }) => target.path);
  sink.recall(await rememberedNames(ledger, paths));
}

/** A store may list a folder otherwise than it was made: the next run goes by that. */
export async function rememberRespelled({ sink, ledger, options, events, hard }: RunContext): Promise<void> {
  if (sink.respelled === undefined) return;
  const ask = sink.respelled.bind(sink);
  const names = await patiently(
    "the names of the folders",
    () => ask(hard),
    { patience: options.patience, events },
    hard,
  );
  if (names.length === 0) return;
  for (const { path, name } of names) await ledger.rememberName(path, name);
  const some = names.slice(0, NAMED).map(({ path, listed }) => `${showPath(path)} as ${showPath(listed)}`);
  const more = names.length > NAMED ? `, and ${showCount(names.length - NAMED)} more` : "";
  const text = `the target lists ${plural(names.length, "folder")} under another name: ${some.join(", ")}${more}`;
  await events.emit({ type: "notice", text });
}
