// With --recheck, copies in an archive whose bytes are not those that were stored go aside, so that the originals take their place.

import { mapOrdered } from "../core/pool.ts";
import type { SinkFolder } from "../sinks/sink.ts";
import type { RunContext } from "./context.ts";
import type { JobState } from "./job.ts";
import type { FolderLedger } from "./ledger.ts";

/** Copies that are read at once. */
const AT_ONCE = 8;

/** Before the records are forgotten: they alone know what the bytes were. */
export async function setSpoiltAside(
  { events, hard }: RunContext,
  { job }: JobState,
  ledger: FolderLedger,
  folder: SinkFolder,
): Promise<void> {
  const setAside = folder.setAside?.bind(folder);
  if (setAside === undefined) return;
  const moved = mapOrdered(ledger.records(), AT_ONCE, async ({ state, receipt, key }) =>
    state === "done" && receipt !== undefined ? await setAside(receipt, key, hard) : undefined,
  );
  for await (const path of moved) {
    if (path === undefined) continue;
    const text = `a copy whose bytes are not those that were stored is set aside as ${path}; what the source still has of it is copied again`;
    await events.emit({ type: "notice", text, folder: job.folder.path });
  }
  for (const path of (await folder.sweep?.()) ?? []) {
    const text = `what lies among the mail and is no file is set aside as ${path}`;
    await events.emit({ type: "notice", text, folder: job.folder.path });
  }
}
