// One word of each row of a table, which takes no memory where all rows have the same.

/** Rows a segment, as a power of two. */
export const SEGMENT_BITS = 14;
export const SEGMENT = 1 << SEGMENT_BITS;
/** A small folder's only segment starts with this many rows. */
export const FIRST = 16;

export class Column {
  /** The word that all rows of a segment have, or the words of each. */
  readonly #segments: (number | Uint32Array)[] = [];
  #count = 0;

  get(row: number): number {
    const segment = this.#segments[row >>> SEGMENT_BITS] ?? 0;
    return typeof segment === "number" ? segment : (segment[row & (SEGMENT - 1)] ?? 0);
  }

  /** The word of the next row: rows are added one after the other. */
  add(row: number, word: number): void {
    this.#count = row + 1;
    if ((row & (SEGMENT - 1)) === 0) this.#segments.push(word);
    else this.set(row, word);
  }

  /** Changes the word of a row that was added. */
  set(row: number, word: number): void {
    const at = row >>> SEGMENT_BITS;
    const within = row & (SEGMENT - 1);
    let segment = this.#segments[at] ?? 0;
    if (typeof segment === "number") {
      if (segment === word) return;
      // The rows behind this one had that word as well.
      segment = new Uint32Array(roomFor(Math.min(this.#count - 1 - at * SEGMENT, SEGMENT - 1))).fill(segment);
    } else if (within >= segment.length) {
      const larger = new Uint32Array(roomFor(within));
      larger.set(segment);
      segment = larger;
    }
    segment[within] = word;
    this.#segments[at] = segment;
  }
}

function roomFor(within: number): number {
  let room = FIRST;
  while (room <= within) room *= 2;
  return room;
}
