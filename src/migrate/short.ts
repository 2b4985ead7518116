// Copies of messages that came shorter than their server announced them: nobody knows that nothing is missing, so their originals stay.

import { plural } from "../core/words.ts";
import type { FolderPath } from "../mail/model.ts";
import type { RunContext } from "./context.ts";
import type { JobState } from "./job.ts";
import type { DoneRecord, FolderLedger } from "./ledger.ts";

/** A last CRLF that is missing. */
const END = 2;
/**
 * A header field that a server counts and does not give out, or has written since. A message that is cut so little is doubted when it is
 * copied, unless nearly all of its server's are so; and nothing cuts every message so little.
 */
const NOTE = 128;
/** Sizes of messages that show a habit. */
const FEW = 3;
/** What is rounded is rounded up to one of these, or to a multiple of it. */
const UNITS = [1024, 1000, 512];

/** What the sizes of a source folder are worth, by what was recorded of it. */
export class Shortage {
  /** The most that is missing where all sizes are rounded. */
  readonly #usual: number;

  private constructor(usual: number) {
    this.#usual = usual;
  }

  static async of(ledger: FolderLedger, source: FolderPath): Promise<Shortage> {
    const sizes = new Set<number>();
    let most = 0;
    const units = new Set(UNITS);
    for await (const { announced, size } of ledger.sizes(source)) {
      if (sizes.size < FEW) sizes.add(announced);
      most = Math.max(most, announced - size);
      for (const unit of units) if (announced % unit !== 0) units.delete(unit);
    }
    if (sizes.size < FEW) return new Shortage(0);
    return new Shortage(Math.max(0, ...[...units].filter((unit) => most <= unit)));
  }

  /** Its sizes say little, in one known way. */
  get hasHabit(): boolean {
    return this.#usual > 0;
  }

  /** `lines`: those of its copy; each may have lost an octet. False where the server announced nothing. */
  isShort({ announced, size }: DoneRecord, lines: number): boolean {
    return lacks(announced, size, lines + NOTE + this.#usual);
  }
}

/** Whether more octets are missing than one a line, and those of the last line's end. */
export function lacks(announced: number | undefined, size: number, lines: number): boolean {
  return announced !== undefined && announced - size > lines + END;
}

/** Counts what came short in a folder, unless its sizes are known to say little. */
export async function noteShort(
  { course }: RunContext,
  states: readonly JobState[],
  ledger: FolderLedger,
): Promise<void> {
  for (const { job, short } of states)
    if (short > 0 && !(await Shortage.of(ledger, job.folder.path)).hasHabit) course.short += short;
}

/** Says in one line what came short in a run that deletes nothing. */
export async function tellShort({ course: { short }, events }: RunContext): Promise<void> {
  if (short === 0) return;
  const text = `${plural(short, "message")} came with fewer octets than the server had announced, as most of its messages do: what came was copied`;
  await events.emit({ type: "notice", text, insist: true });
}
