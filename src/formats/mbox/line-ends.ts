// Files whose lines end in CR alone (Mac OS before X, Eudora): read as if they ended in LF.

import { FROM_LINE_LIMIT } from "./from-line.ts";
import type { RandomAccess } from "./window.ts";

const CR = 13;
const LF = 10;
/** A blank line or two, a From_ line, and the first header field. */
const SAMPLE = FROM_LINE_LIMIT + 1000;

/** True where the file begins with a From_ line, or header fields, that end in CR alone. */
export async function hasBareCrs(file: RandomAccess): Promise<boolean> {
  const sample = Buffer.alloc(Math.min(SAMPLE, file.size));
  let length = 0;
  while (length < sample.length) {
    const read = await file.read(sample.subarray(length), length);
    if (read === 0) break;
    length += read;
  }
  const cr = sample.indexOf(CR);
  return cr !== -1 && sample.indexOf(LF) === -1 && sample.includes("From", 0, "latin1");
}

/** The same file with an LF in place of each CR that has none behind it. Offsets stay what they are. */
export function byLineFeeds(file: RandomAccess): RandomAccess {
  return {
    size: file.size,
    async read(target, position) {
      // One octet more, to see what stands behind a CR at the end.
      const wide = Buffer.alloc(target.length + 1);
      let read = await file.read(wide, position);
      while (read === 1 && position + read < file.size) read += await file.read(wide.subarray(1), position + 1);
      const isOpen = position + read < file.size && read <= target.length && wide[read - 1] === CR;
      const length = Math.min(target.length, isOpen ? read - 1 : read);
      for (let at = 0; at < length; at++) target[at] = wide[at] === CR && wide[at + 1] !== LF ? LF : (wide[at] ?? 0);
      return length;
    },
  };
}
