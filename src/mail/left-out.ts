// What a source saw and does not read: one shape and one list for all of them, so that none is left out in silence.

import type { FolderPath } from "./model.ts";

/** Something that is mail, or looks like it, and is not read. A run that meets one is not complete. */
export interface LeftOut {
  /** Where it is, as a person looks for it: as a rule a path on disk. */
  readonly name: string;
  /** In words that go on behind the name: "may not be read (EACCES)". */
  readonly why: string;
  /** The way out, as a sentence. What it says works. */
  readonly hint?: string;
  /** The folder that it is, would be, or lies in: --folder and --exclude choose by it. */
  readonly folder: FolderPath;
  /** There may be folders below that nobody has seen. */
  readonly isTree?: boolean;
  /** Messages, or places in a file that may be one; left out where nobody knows how many. */
  readonly messages?: number;
}

/** What was left out so far, each once however often its folder is read. */
export class LeftOuts {
  readonly #found = new Map<string, readonly LeftOut[]>();

  /** All that there is to say about one file or folder, or about the tree (""): what was said of it before is forgotten. */
  set(about: string, items: readonly LeftOut[]): void {
    if (items.length === 0) this.#found.delete(about);
    else this.#found.set(about, items);
  }

  all(): readonly LeftOut[] {
    return [...this.#found.values()].flat();
  }
}
