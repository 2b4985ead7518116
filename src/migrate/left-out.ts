// Which of the things that a source left out concern a run or a comparison: those in the folders that it was asked for.

import { folderMatcher, mayMatchBelow } from "../core/glob.ts";
import type { LeftOut } from "../mail/left-out.ts";
import { type FolderPath, samePath } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import type { Selection } from "./select.ts";

/** Complete once all folders were listed and read. */
export function leftOutOf(source: Source, select: Selection | undefined): readonly LeftOut[] {
  const { include = [], exclude = [] } = select ?? {};
  const included = folderMatcher(include);
  const below = mayMatchBelow(include);
  const excluded = folderMatcher(exclude);
  const isAsked = ({ folder, isTree }: LeftOut): boolean =>
    include.length === 0 || included(folder) || (isTree === true && below(folder));
  return (source.leftOut?.() ?? []).filter((item) => isAsked(item) && !excluded(item.folder));
}

/** Whether something of this very folder was left out: then it is looked at again by the next run, though nothing moves in it. */
export function leavesOut(source: Source, path: FolderPath): boolean {
  return (source.leftOut?.() ?? []).some(({ folder }) => samePath(folder, path));
}

/** For a sentence. */
export function leftOutText(items: number): string {
  return items === 1
    ? "1 thing that looks like mail is not read, and is named above"
    : `${items} things that look like mail are not read, and are named above`;
}
