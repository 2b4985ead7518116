// Folders that were given up with all patience: whether it is the folder, or an account that is gone.

import type { FolderResult } from "./folder.ts";
import type { Course } from "./suspects.ts";

type Undecided = NonNullable<FolderResult["undecided"]>;

export class Verdicts {
  readonly #course: Course;
  readonly #undecided: Undecided[] = [];
  /** What had got through when the last one was given up. */
  #life = 0;

  constructor(course: Course) {
    this.#course = course;
  }

  /** Throws when this folder is the second one for which nothing got through. */
  add({ undecided }: FolderResult): void {
    if (undecided === undefined) return;
    const [first] = this.#undecided;
    if (first !== undefined && this.#course.life <= this.#life) throw first.error;
    this.#undecided.push(undecided);
    this.#life = this.#course.life;
    this.#course.isDoubtful = true;
  }

  /** All folders have had their turn. Those that were given up are named, where others show that both ends are there. */
  async end(signal: AbortSignal): Promise<void> {
    const [first] = this.#undecided;
    if (first === undefined || signal.aborted) return;
    if (this.#course.life <= this.#life) throw first.error;
    for (const { giveUp } of this.#undecided) await giveUp();
  }
}
