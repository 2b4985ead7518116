// Folding line ends: every run of CR before LF becomes LF. On octets, by one native search a line: a JavaScript string of a
// large message costs five times as much, since it gets pages of its own.

const CR = 13;
const LF = 10;

/** What folding found. */
export interface Folds {
  /** Octets written. */
  readonly length: number;
  /** Every LF. */
  readonly lines: number;
  /** LFs with a CR directly before them. */
  readonly crlf: number;
  /** CRs that were folded away beyond the one directly before its LF. */
  readonly doubled: number;
}

/**
 * Writes the folded form of `from` into `to`, which has at least as many octets. A CR at its end stays where it is. `most`: so many
 * CRs of a run go; all of them, if nothing else is said.
 */
export function foldInto(to: Buffer, from: Buffer, most = Number.POSITIVE_INFINITY): Folds {
  // Moved within `to`: a view for each line would cost as much as all the rest.
  to.set(from);
  let length = 0;
  let lines = 0;
  let crlf = 0;
  let doubled = 0;
  /** What was not copied yet begins here. */
  let start = 0;
  for (let at = from.indexOf(LF); at !== -1; at = from.indexOf(LF, at + 1)) {
    lines++;
    if (from[at - 1] !== CR) continue;
    crlf++;
    let end = at - 1;
    while (end > start && at - end < most && from[end - 1] === CR) end--;
    doubled += at - 1 - end;
    if (start > length) to.copyWithin(length, start, end);
    length += end - start;
    start = at;
  }
  if (start > length) to.copyWithin(length, start, from.length);
  return { length: length + from.length - start, lines, crlf, doubled };
}

/** How many octets of this value there are. */
export function count(bytes: Buffer, value: number): number {
  let found = 0;
  for (let at = bytes.indexOf(value); at !== -1; at = bytes.indexOf(value, at + 1)) found++;
  return found;
}
