// Which folders of a source are meant, and what was asked for and names none of them.

import { folderMatcher, literalGlob } from "../core/glob.ts";
import { nearest } from "../core/near.ts";
import { configError } from "../mail/errors.ts";
import { type Folder, type FolderPath, type SpecialUse, showPath } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { leftOutOf } from "./left-out.ts";

export interface Selection {
  /** Folder globs (core/glob); empty, and no `uses`: everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Folders of these uses too, whatever they are called. */
  readonly uses?: readonly SpecialUse[];
}

export interface FolderMap {
  readonly select?: Selection;
  /** A folder and everything below it gets another name. The first that fits counts. */
  readonly map?: readonly { readonly from: FolderPath; readonly to: FolderPath }[];
  /** Everything goes below this folder. */
  readonly into?: FolderPath;
}

export interface Chosen {
  readonly folders: readonly Folder[];
  /** What was asked for and is not there, each in words: mail may have been left for it. */
  readonly unmatched: readonly string[];
  /** What was to be left out and is not there, each in words. */
  readonly idle: readonly string[];
}

/**
 * The selected folders of a source. Throws MailError config when the options name no folder with mail at all. `bare`: folders that hold
 * only folders count too.
 */
export async function selectFolders(
  source: Source,
  { select, map = [], bare = false }: Pick<FolderMap, "select" | "map"> & { readonly bare?: boolean },
  signal: AbortSignal,
): Promise<Chosen> {
  const { include = [], exclude = [], uses = [] } = select ?? {};
  const included = folderMatcher(include);
  const excluded = folderMatcher(exclude);
  const all: Folder[] = [];
  for await (const folder of source.folders(signal)) all.push(folder);
  const hasMail = ({ selectable }: Folder): boolean => selectable || bare;
  const everything = include.length + uses.length === 0;
  const isMeant = ({ path, use }: Folder): boolean =>
    everything || included(path) || (use !== undefined && uses.includes(use));
  const folders = all.filter((folder) => isMeant(folder) && !excluded(folder.path));
  const unmatched = [
    ...include
      .filter((glob) => !all.some((folder) => hasMail(folder) && folderMatcher([glob])(folder.path)))
      .map((glob) => `no folder ${matches(glob, all)}`),
    ...uses
      .filter((use) => !all.some((folder) => hasMail(folder) && folder.use === use))
      .map((use) => `the source says of no folder that it is the one for "${use}"`),
    ...map.flatMap((one, i) => idleMap(map, i, one, all) ?? []),
  ];
  const leftOut = (source.leftOut?.() ?? []).map(({ folder }) => folder);
  const idle = exclude
    .filter((glob) => ![...all.map(({ path }) => path), ...leftOut].some(folderMatcher([glob])))
    .map((glob) => `nothing is left out by --exclude ${glob}: no folder ${matches(glob, all)}`);
  const isNothing = all.length > 0 && !folders.some(hasMail) && (!everything || exclude.length > 0);
  // What was asked for may be there and not be read: then that is what is to be said.
  if (isNothing && leftOutOf(source, select).length === 0) throw nothing({ include, exclude, uses }, all, unmatched);
  return { folders, unmatched, idle };
}

function nothing({ include, exclude, uses = [] }: Selection, all: readonly Folder[], unmatched: readonly string[]) {
  const names = all
    .slice(0, 12)
    .map(({ path, use }) => (uses.length > 0 && use !== undefined ? `${showPath(path)} (${use})` : showPath(path)));
  const excluding = exclude.join(", ");
  const but = excluding === "" ? "" : ` and is not excluded by ${excluding}`;
  const more = all.length > names.length ? `, and ${all.length - names.length} more` : "";
  const what =
    include.length + uses.length === 0
      ? `every folder is excluded by ${excluding}`
      : unmatched.length > 0 && exclude.length === 0
        ? unmatched.join("; ")
        : `no folder matches ${[...include, ...uses].join(", ")}${but}`;
  return configError(
    what,
    [
      `The source has: ${names.join(", ")}${more}.`,
      ...(include.length + exclude.length > 0 ? ['"*" stays inside one name, "**" goes through all.'] : []),
      ...(uses.length > 0
        ? ["--use goes by what the source says that a folder is for; --folder takes it by its name."]
        : []),
    ].join(" "),
  );
}

function idleMap(
  map: NonNullable<FolderMap["map"]>,
  at: number,
  { from, to }: { readonly from: FolderPath; readonly to: FolderPath },
  all: readonly Folder[],
): string | undefined {
  const shown = `--map ${showPath(from)}=${showPath(to)}`;
  const mine = all.filter(({ path }) => leadsTo(from, path));
  if (mine.length === 0) {
    const near = nearFolder(showPath(from), all);
    return `${shown} names no folder${near === undefined ? "" : `; did you mean ${near.replace(/\/\*\*$/, "")}=…?`}`;
  }
  const before = map.slice(0, at).find((one) => mine.every(({ path }) => leadsTo(one.from, path)));
  return before === undefined
    ? undefined
    : `${shown} comes after --map ${showPath(before.from)}=…, which takes its folders`;
}

/** "matches X", with what may have been meant. */
function matches(glob: string, all: readonly Folder[]): string {
  const bare = all.find(({ path, selectable }) => !selectable && folderMatcher([glob])(path));
  if (bare !== undefined) return `with mail matches ${glob}; did you mean ${literalGlob(showPath(bare.path))}/**?`;
  const near = nearFolder(glob, all);
  return `matches ${glob}${near === undefined ? "" : `; did you mean ${near}?`}`;
}

/** A glob of the same form that names a folder which is there. */
export function nearFolder(glob: string, all: readonly Folder[]): string | undefined {
  const paths = all.filter(({ selectable }) => selectable).map(({ path }) => path);
  const plain = (text: string): string => text.normalize("NFKC").toLowerCase();
  // In another case, below another folder, or with another separator.
  const lower = paths.map((path) => path.map(plain));
  for (const written of [glob, `**/${glob}`, glob.replace(/[.:\\]/g, "/"), `**/${glob.replace(/[.:\\]/g, "/")}`]) {
    const match = folderMatcher([plain(written)]);
    const at = lower.findIndex((path) => match(path));
    const found = paths[at];
    if (found === undefined) continue;
    if (!/\*/.test(glob)) return literalGlob(showPath(found));
    const isSpelled = folderMatcher([written])(found);
    return isSpelled ? written : `${literalGlob(showPath(found.slice(0, 1)))}/**`;
  }
  const [, stem = glob, tail = ""] = /^(.*?)((?:\/\*{1,2})?)$/s.exec(glob) ?? [];
  const names = new Map<string, FolderPath>();
  for (const path of paths)
    for (let depth = path.length; depth > 0; depth--) {
      const parent = path.slice(0, depth);
      names.set(plain(showPath(parent)), parent);
      const last = parent.slice(-1);
      const key = plain(showPath(last));
      if (!names.has(key)) names.set(key, parent);
    }
  const start = plain(stem);
  const near = [...names.keys()].find((name) => name.startsWith(start)) ?? nearest(start, names.keys());
  const path = near === undefined ? undefined : names.get(near);
  if (path === undefined) return undefined;
  const isFolder = paths.some((one) => showPath(one) === showPath(path));
  return `${literalGlob(showPath(path))}${tail !== "" ? tail : isFolder ? "" : "/**"}`;
}

/** Whether a path is this folder or below it. */
export function leadsTo(folder: FolderPath, path: FolderPath): boolean {
  return folder.length <= path.length && folder.every((name, i) => sameName(name, path[i], i));
}

function sameName(a: string, b: string | undefined, depth: number): boolean {
  return a === b || (depth === 0 && a.toUpperCase() === "INBOX" && b?.toUpperCase() === "INBOX");
}
