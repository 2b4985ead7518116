// Multi-line answers: finds the end and undoes dot-stuffing, exactly, wherever the chunks are cut (RFC 1939 3).

const CR = 13;
const LF = 10;
const DOT = 46;
const CRLF = Buffer.from("\r\n");
const CRLF_DOT = Buffer.from("\r\n.");
const LF_DOT = Buffer.from("\n.");

/**
 * Where in a line the next octet stands. `dot` and `dotCr` hold one dot, or a dot and a CR, back, until the next octet tells an
 * end from a stuffed line.
 */
type Place = "start" | "middle" | "cr" | "dot" | "dotCr";

export interface Unstuffed {
  /** Content in order, without copying: the chunk's own memory, compacted. */
  readonly pieces: readonly Buffer[];
  /** Octets of the chunk that belong to this answer: all of them unless it ended. */
  readonly used: number;
}

/**
 * One multi-line answer, from behind its status line to the dot that stands alone. Overwrites the chunks that it is fed.
 *
 * Only CRLF ends a line: a lone CR or LF is content, so that no message can end its own answer and go on as the next one. `bareLf`
 * is for an answer whose status line, in which no message has a word, ended in LF alone: there LF ends a line.
 */
export class DotUnstuffer {
  readonly #bareLf: boolean;
  #place: Place = "start";
  #ended = false;

  constructor(bareLf = false) {
    this.#bareLf = bareLf;
  }

  /** True once the final line was seen; nothing may be fed any more. */
  get ended(): boolean {
    return this.#ended;
  }

  feed(chunk: Buffer): Unstuffed {
    const pieces: Buffer[] = [];
    // Octets from `from` on are not yet taken; those in [begin, write) are content that moved to the front.
    let from = 0;
    let write = 0;
    const keep = (until: number) => {
      if (write !== from) chunk.copyWithin(write, from, until);
      write += until - from;
      from = until;
    };
    const end = (used: number): Unstuffed => {
      this.#ended = true;
      if (write > 0) pieces.push(chunk.subarray(0, write));
      return { pieces, used };
    };
    const [lineDot, lineEnd] = this.#bareLf ? [LF_DOT, 1] : [CRLF_DOT, 2];
    while (from < chunk.length) {
      const octet = chunk[from];
      switch (this.#place) {
        case "start":
          if (octet === DOT) {
            from++;
            this.#place = "dot";
          } else this.#place = "middle";
          break;
        case "dot":
          if (octet === CR) {
            from++;
            this.#place = "dotCr";
          } else if (octet === LF && this.#bareLf) return end(from + 1);
          else this.#place = "middle";
          break;
        case "dotCr":
          if (octet === LF) return end(from + 1);
          // The dot was stuffing and its CR is content. It may have come with the chunk before: then there is no room for it.
          if (write < from) chunk[write++] = CR;
          else pieces.push(Buffer.from([CR]));
          this.#place = "cr";
          break;
        case "cr":
          if (octet === LF) {
            keep(from + 1);
            this.#place = "start";
          } else this.#place = "middle";
          break;
        case "middle": {
          const at = chunk.indexOf(lineDot, from);
          if (at !== -1) {
            keep(at + lineEnd);
            this.#place = "start";
            break;
          }
          // Looked at before `keep` moves them.
          if (this.#bareLf) this.#place = chunk[chunk.length - 1] === LF ? "start" : "middle";
          else if (chunk[chunk.length - 1] === CR) this.#place = "cr";
          else if (chunk.length - from > 1 && chunk.subarray(-2).equals(CRLF)) this.#place = "start";
          keep(chunk.length);
          break;
        }
      }
    }
    if (write > 0) pieces.push(chunk.subarray(0, write));
    return { pieces, used: chunk.length };
  }
}
