// Which folders go where: filters, --map and --into, and the targets that several source folders share.

import { folderMatcher } from "../core/glob.ts";
import { configError, MailError } from "../mail/errors.ts";
import { type Folder, type FolderPath, samePath, showPath } from "../mail/model.ts";
import type { FolderPlan, Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";

export interface Selection {
  /** Folder globs (core/glob); empty = everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface FolderMap {
  readonly select?: Selection;
  /** A folder and everything below it gets another name. The first that fits counts. */
  readonly map?: readonly { readonly from: FolderPath; readonly to: FolderPath }[];
  /** Everything goes below this folder. */
  readonly into?: FolderPath;
}

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
    if (from.length > path.length || !from.every((name, i) => sameName(name, path[i], i))) continue;
    result = [...to, ...path.slice(from.length)];
    break;
  }
  return options.into === undefined ? result : [...options.into, ...result];
}

function sameName(a: string, b: string | undefined, depth: number): boolean {
  return a === b || (depth === 0 && a.toUpperCase() === "INBOX" && b?.toUpperCase() === "INBOX");
}

/** The selected folders of a source. Throws MailError config when the filters name no folder at all. */
export async function selectFolders(
  source: Source,
  select: Selection | undefined,
  signal: AbortSignal,
): Promise<readonly Folder[]> {
  const { include = [], exclude = [] } = select ?? {};
  const included = folderMatcher(include);
  const excluded = folderMatcher(exclude);
  const all: Folder[] = [];
  for await (const folder of source.folders(signal)) all.push(folder);
  const everything = include.length === 0;
  const chosen = all.filter(({ path }) => (everything || included(path)) && !excluded(path));
  if (chosen.length === 0 && all.length > 0) {
    const names = all.slice(0, 12).map(({ path }) => showPath(path));
    const excluding = exclude.join(", ");
    const but = excluding === "" ? "" : ` and is not excluded by ${excluding}`;
    const more = all.length > names.length ? `, and ${all.length - names.length} more` : "";
    throw configError(
      everything ? `every folder is excluded by ${excluding}` : `no folder matches ${include.join(", ")}${but}`,
      `The source has: ${names.join(", ")}${more}. "*" stays inside one name, "**" goes through all.`,
    );
  }
  return chosen;
}

/**
 * `refused` is told of a folder that the sink cannot take, and why; the others go on. Else throws what source and sink throw.
 * Returns the jobs of a run, those that share a target folder together (they go one after the other).
 */
export async function planFolders(
  source: Source,
  sink: Sink,
  options: FolderMap,
  refused: (folder: Folder, error: MailError) => void,
  signal: AbortSignal,
): Promise<readonly (readonly FolderJob[])[]> {
  const byName = new Map<string, FolderJob[]>();
  for (const folder of await selectFolders(source, options.select, signal)) {
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
