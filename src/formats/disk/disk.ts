// One folder on a disk, looked through once for all who read a kind of mail in it.

import type { LeftOut } from "../../mail/left-out.ts";
import { type DiskTree, type Renamed, readTree, type TreeOptions } from "./tree.ts";

export interface Disk {
  /** Looks through it anew, but when another reader has just had it done; `reader` is whoever asks. */
  list(reader: object, signal: AbortSignal): Promise<DiskTree>;
  /** Of what was listed last. */
  readonly leftOut: readonly LeftOut[];
  /** Of what was listed last. */
  readonly formerly: readonly Renamed[];
  /** What the other kind's reader takes: else nobody does, and it is left out. */
  readonly isShared: boolean;
}

export function openDisk(root: string, options: TreeOptions, isShared = false): Disk {
  let tree: DiskTree | undefined;
  const readers = new Set<object>();
  return {
    async list(reader, signal) {
      if (tree !== undefined && !readers.has(reader)) {
        readers.add(reader);
        return tree;
      }
      tree = await readTree(root, options, signal);
      readers.clear();
      readers.add(reader);
      return tree;
    },
    get leftOut() {
      return tree?.leftOut ?? [];
    },
    get formerly() {
      return tree?.formerly ?? [];
    },
    isShared,
  };
}

/** A sentence about a folder in which nothing is read: what lies there instead, and the way out of the first. */
export function insteadOf(leftOut: readonly LeftOut[]): { readonly text: string; readonly hint?: string } {
  const [first] = leftOut;
  if (first === undefined) return { text: "" };
  const more = leftOut.length > 1 ? `, and ${leftOut.length - 1} more` : "";
  return { text: `; ${first.name} ${first.why}${more}`, ...(first.hint === undefined ? {} : { hint: first.hint }) };
}
