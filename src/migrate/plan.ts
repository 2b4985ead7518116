// Which folders go where: filters, --map and --into, and the targets that several source folders share.

import { MailError } from "../mail/errors.ts";
import { type Folder, type FolderPath, samePath } from "../mail/model.ts";
import type { FolderPlan, Sink } from "../sinks/sink.ts";
import { type FolderMap, leadsTo } from "./select.ts";

export type { FolderMap, Selection } from "./select.ts";

export interface FolderJob {
  readonly folder: Folder;
  /** As the sink is asked for it. */
  readonly target: Folder;
  readonly plan: FolderPlan;
}

/** Where a source folder's mail goes, before the sink's own naming. */
export function targetPath(path: FolderPath, options: FolderMap): FolderPath {
  let result = path;
  for (const { from, to } of options.map ?? []) {
    if (!leadsTo(from, path)) continue;
    result = [...to, ...path.slice(from.length)];
    break;
  }
  return options.into === undefined ? result : [...options.into, ...result];
}

/**
 * `refused` is told of a folder that the sink cannot take, and why; the others go on. Else throws what source and sink throw.
 * Returns the jobs of a run, those that share a target folder together (they go one after the other).
 */
export async function planFolders(
  chosen: readonly Folder[],
  sink: Sink,
  options: FolderMap,
  refused: (folder: Folder, error: MailError) => void,
  signal: AbortSignal,
): Promise<readonly (readonly FolderJob[])[]> {
  const byName = new Map<string, FolderJob[]>();
  for (const folder of chosen) {
    if (!folder.selectable) continue;
    const path = targetPath(folder.path, options);
    const { name: _, use, state: __, ...rest } = folder;
    const moved = !samePath(path, folder.path);
    const target: Folder = { ...rest, path, ...(use === undefined || moved ? {} : { use }) };
    let plan: FolderPlan;
    try {
      plan = await sink.describe(target, signal);
    } catch (error) {
      if (!(error instanceof MailError) || error.details.scope !== "folder") throw error;
      refused(folder, error);
      continue;
    }
    const others = byName.get(plan.name);
    if (others === undefined) byName.set(plan.name, [{ folder, target, plan }]);
    else others.push({ folder, target, plan });
  }
  return [...byName.values()];
}
