// Mail of other kinds in the directory of an archive of zips: no part of it, and named.

import { basename } from "node:path";
import type { LeftOut } from "../../mail/left-out.ts";
import { openDisk } from "../disk/disk.ts";
import { shellWord } from "../disk/foreign.ts";
import { showBytes } from "../maildir/paths.ts";

/** What looks like mail in the archive's directory, and is no part of it. */
export async function mailBeside(path: string, signal: AbortSignal): Promise<readonly LeftOut[]> {
  const { folders, leftOut } = await openDisk(path, { style: "mbox", isOwn: true }).list({}, signal);
  const others = folders.flatMap(({ kind, place, path: folder }): LeftOut[] =>
    kind === "none" || isOwnFile(showBytes(place))
      ? []
      : [
          {
            name: showBytes(place),
            why: "it is a Maildir or an mbox, and no part of this archive",
            hint: `Give it by itself: ${shellWord(`${kind}:${showBytes(place)}`)}`,
            folder,
          },
        ],
  );
  return [...leftOut.filter(({ name }) => !isOwnFile(name)), ...others];
}

/** Zips of an archive, and those that were set aside: one that a disk emptied is no mbox. */
function isOwnFile(path: string): boolean {
  return /^\d{4,9}-\d{8}T\d{6}Z\.zip(?:\.damaged-.*)?$/.test(basename(path));
}
