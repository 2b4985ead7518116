// Folders that programs keep for themselves: a name alone does not say that no mail lies there.

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { type BytePath, listedPath } from "../maildir/paths.ts";
import { beginsAsMbox, sniff } from "./sniff.ts";

/** They hold what lies elsewhere, as it was. */
const SNAPSHOTS = /^(?:\.snapshots?|\.zfs|#snapshot)$/i;
/** Entries that are looked at: what such a folder holds is no mail, but for an accident. */
const MOST = 1000;

export interface Stray {
  readonly name: BytePath;
  readonly kind: "maildir" | "mbox";
}

/** One look, at what lies in it directly: `lost+found` holds what a disk gave back. */
export async function* mailInLitter(
  directory: BytePath,
  holdsMaildir: (directory: BytePath) => Promise<boolean>,
): AsyncGenerator<Stray> {
  if (SNAPSHOTS.test(directory.slice(directory.lastIndexOf("/") + 1))) return;
  let entries: Dirent[];
  try {
    entries = (await readdir(listedPath(directory), { withFileTypes: true, encoding: "latin1" })) as Dirent[];
  } catch {
    // Often only its owner may read it, and it holds no mail.
    return;
  }
  for (const entry of entries.slice(0, MOST)) {
    const place = `${directory}/${entry.name}`;
    if (entry.isDirectory()) {
      if (await holdsMaildir(place)) yield { name: entry.name, kind: "maildir" };
    } else if (entry.isFile() && beginsAsMbox(place)) {
      const found = await sniff(place, entry.name, false).catch(() => undefined);
      if (found?.is === "mbox") yield { name: entry.name, kind: "mbox" };
    }
  }
}
