// Lines that carry their own checksum, and reading a file of them in large chunks.

import { crc32 } from "node:zlib";

const LF = 10;
const SPACE = 32;
/** Eight hex digits and a space stand before the text. */
const PREFIX = 9;
/** Octets of the first read. Most files are small, and a large buffer for each of thousands costs more than reading them does. */
const FIRST_CHUNK = 1 << 15;
/** Octets of each further one. */
const CHUNK = 1 << 20;
/** No line that we write comes near this; what is longer is damage, and is not kept in memory. */
const LONGEST = 16 << 20;

/** One line of a file: `text` without checksum and line end, or undefined when the checksum does not hold. */
export interface ScannedLine {
  readonly offset: number;
  readonly text: string | undefined;
  /** The file ended before the line did. */
  readonly torn: boolean;
}

/** Reads up to `buffer.length` octets at a position; 0 at the end. */
export type ReadAt = (buffer: Uint8Array, position: number) => Promise<number>;

/** `<crc32, 8 hex digits> <text>\n`. The text must be without line ends; anything beyond ASCII is written as JSON's \uXXXX. */
export function frame(json: string): string {
  const text = /[^\x20-\x7e]/.test(json) ? json.replace(/[^\x20-\x7e]/g, escapeUnit) : json;
  return `${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
}

// JSON text holds such characters only inside strings, where the escape means the same.
function escapeUnit(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The text of a framed line given without its LF; undefined when the checksum does not hold. */
export function unframe(line: Buffer): string | undefined {
  return holds(line) ? line.toString("latin1", PREFIX) : undefined;
}

function holds(line: Buffer): boolean {
  if (line.length < PREFIX || line[PREFIX - 1] !== SPACE) return false;
  let claimed = 0;
  for (let i = 0; i < PREFIX - 1; i++) {
    const char = line[i] ?? 0;
    // Lower case only: one byte changed in the checksum itself must not pass.
    const digit = char >= 48 && char <= 57 ? char - 48 : char >= 97 && char <= 102 ? char - 87 : -1;
    if (digit < 0) return false;
    claimed = claimed * 16 + digit;
  }
  return crc32(line.subarray(PREFIX)) === claimed;
}

/**
 * The lines of a file from one position up to another (or the end), a batch a chunk. Bad lines are given, not skipped; a last
 * one without LF is `torn`. Memory is bounded whatever the file holds.
 */
export async function* scanLines(
  read: ReadAt,
  from: number,
  to = Number.POSITIVE_INFINITY,
): AsyncGenerator<ScannedLine[]> {
  let chunk = Buffer.allocUnsafeSlow(FIRST_CHUNK);
  let carried: Buffer[] = [];
  let carriedLength = 0;
  let overlong = false;
  let lineAt = from;
  let position = from;
  while (position < to) {
    const length = await read(chunk.subarray(0, Math.min(chunk.length, to - position)), position);
    if (length === 0) break;
    const lines: ScannedLine[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1 && end < length; end = chunk.indexOf(LF, end + 1)) {
      let line = chunk.subarray(start, end);
      if (carriedLength > 0) line = Buffer.concat([...carried, line]);
      lines.push({ offset: lineAt, text: overlong ? undefined : unframe(line), torn: false });
      carried = [];
      carriedLength = 0;
      overlong = false;
      start = end + 1;
      lineAt = position + start;
    }
    if (start < length) {
      carriedLength += length - start;
      overlong ||= carriedLength > LONGEST;
      if (overlong) carried = [];
      else carried.push(Buffer.from(chunk.subarray(start, length)));
    }
    position += length;
    if (lines.length > 0) yield lines;
    if (chunk.length < CHUNK && length === chunk.length) chunk = Buffer.allocUnsafeSlow(CHUNK);
  }
  if (carriedLength > 0) yield [{ offset: lineAt, text: undefined, torn: true }];
}

/** Octets of a torn end that are looked at. */
const TORN_END = 1 << 20;

/** True when what `scanLines` gave as torn at `offset` is a whole line whose line end alone was changed: no power cut leaves that. */
export async function lacksOnlyItsEnd(read: ReadAt, offset: number): Promise<boolean> {
  const bytes = Buffer.alloc(TORN_END);
  const length = await read(bytes, offset);
  return length < TORN_END && (holds(bytes.subarray(0, length)) || holds(bytes.subarray(0, length - 1)));
}
