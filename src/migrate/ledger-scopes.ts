// The (folder, generation) pairs of a ledger as small numbers, and what this run knows of each.

import { type FolderPath, samePath } from "../mail/model.ts";

interface Scope {
  readonly folder: number;
  readonly generation: string;
  listedAll: boolean;
}

export class Scopes {
  readonly #scopes: Scope[] = [];
  readonly #byName = new Map<string, number>();
  readonly #byPath = new Map<string, number>();
  /** Generations of each folder, by its number. */
  readonly #generations: number[] = [];
  // A million records in a row are of one scope: the last one is tried first.
  #lastPath: FolderPath = [];
  #lastGeneration = "";
  #last = -1;

  /** The number of a pair; -1 when it is new and not to be made. */
  find(path: FolderPath, generation: string, make: boolean): number {
    if (this.#last >= 0 && generation === this.#lastGeneration && samePath(path, this.#lastPath)) return this.#last;
    const name = JSON.stringify([generation, ...path]);
    let scope = this.#byName.get(name);
    if (scope === undefined) {
      if (!make) return -1;
      scope = this.#scopes.push({ folder: this.#folder(path), generation, listedAll: false }) - 1;
      this.#byName.set(name, scope);
    }
    this.#lastPath = path;
    this.#lastGeneration = generation;
    this.#last = scope;
    return scope;
  }

  get count(): number {
    return this.#scopes.length;
  }

  #folder(path: FolderPath): number {
    const name = JSON.stringify(path);
    const folder = this.#byPath.get(name) ?? this.#byPath.size;
    this.#byPath.set(name, folder);
    this.#generations[folder] = (this.#generations[folder] ?? 0) + 1;
    return folder;
  }

  /** How many generations of this folder there are records of, or were looked for. */
  generationsOf(folder: number): number {
    return this.#generations[folder] ?? 0;
  }

  folderOf(scope: number): number {
    return this.#scopes[scope]?.folder ?? -1;
  }

  generationOf(scope: number): string | undefined {
    return this.#scopes[scope]?.generation;
  }

  listAll(scope: number): void {
    const entry = this.#scopes[scope];
    if (entry !== undefined) entry.listedAll = true;
  }

  unlistAll(): void {
    for (const entry of this.#scopes) entry.listedAll = false;
  }

  /** Every origin that this pair has now was looked up. */
  isListed(scope: number): boolean {
    return this.#scopes[scope]?.listedAll ?? false;
  }
}
