// Whether what came is the whole message: by the size that the server announces for it, and by what its sizes were found to be worth.

import { MailError } from "../../mail/errors.ts";
import { headerEnd } from "../../mail/headers.ts";
import { standInLikeness } from "../../mail/stand-in.ts";

const LF = 10;
/** So many short messages to each whole one, and at least so many of them: then it is the sizes that are wrong. */
const SHORT_TO_WHOLE = 4;
const FEW = 3;
/** Octets by which a server may be wrong about each message alike. */
const OFFSET = 256;
/** So many times shorter than is usual there, it is no message even where sizes say little. */
const ABSURD = 10;
/** The most that a blank line takes. */
const BLANK = 2;
/** Messages after which it is known what a server's sizes are worth. */
const ENOUGH = 20;
/** Octets of a large message that tell whether it is a stand-in. */
const HEAD = 16 * 1024;

const STAND_IN = "the server gives a text of its own in its place";

/**
 * "with all" of its folder, or as a sample of it: then it tells what the sizes are worth. "with some": with those that were not copied
 * yet, which may be those that failed before. "again": for the second time, by itself.
 */
export type Asked = "with all" | "with some" | "again";

/** What came of a message that is not of the size announced. */
interface Came {
  readonly announced: number | undefined;
  readonly length: number;
  /** All of it where it is small. */
  readonly head: Uint8Array;
  /** 0 where they were not counted. */
  readonly lines: number;
}

/** What is known of one server's sizes. */
export class Sizes {
  #whole = 0;
  #short = 0;
  /** Of the short ones: octets announced and given, and the least and the most that was missing. */
  #announced = 0;
  #given = 0;
  #least = Number.POSITIVE_INFINITY;
  #most = 0;
  /** Of so many messages it was seen what their sizes are worth. */
  #seen = 0;
  /** Line ends have explained a difference. */
  #byLines = false;

  /** Why this is not to be taken for the whole message; undefined where it is. */
  doubt(announced: number | undefined, bytes: Uint8Array, asked: Asked): string | undefined {
    const { length } = bytes;
    if (announced === length) {
      this.#count(asked);
      return undefined;
    }
    return this.#doubt({ announced, length, head: bytes, lines: linesOf(bytes) }, asked);
  }

  /** A large content as it goes by: fails at its end where it is not whole, to be asked for again, or for good the second time. */
  async *measured(
    announced: number | undefined,
    content: AsyncIterable<Uint8Array>,
    uid: number,
    asked: Asked,
    doubtful?: () => void,
  ): AsyncGenerator<Uint8Array> {
    const heads: Uint8Array[] = [];
    let length = 0;
    let lines = 0;
    const isCounted = asked === "again" || this.#byLines;
    for await (const chunk of content) {
      if (length < HEAD) heads.push(chunk.slice(0, HEAD));
      length += chunk.length;
      if (isCounted) lines += linesOf(chunk);
      yield chunk;
    }
    if (announced === length) {
      this.#count(asked);
      return;
    }
    const head = Buffer.concat(heads).subarray(0, HEAD);
    const text = this.#doubt({ announced, length, head, lines }, asked);
    if (text === undefined) return;
    doubtful?.();
    throw notWhole(uid, text, asked === "again");
  }

  #count(asked: Asked): void {
    if (asked !== "with all") return;
    this.#seen++;
    this.#whole++;
  }

  #doubt({ announced, length, head, lines }: Came, asked: Asked): string | undefined {
    const likeness = standInLikeness(head);
    if (likeness === "certain") return STAND_IN;
    if (announced === undefined) return undefined;
    const missing = announced - length;
    // The last line may have no end.
    const isExplained = length > 0 && Math.abs(missing) <= lines + 1;
    // The first ones are asked for again: by then the others have shown what the sizes are worth.
    const isKnown = asked === "again" || this.#seen >= ENOUGH || (asked === "with all" && this.#isAlike);
    if (likeness !== undefined && !isExplained && !(isKnown && this.#areWrong)) return STAND_IN;
    if (missing <= 0 || isExplained) {
      this.#byLines ||= missing > 0;
      this.#count(asked);
      return undefined;
    }
    if (asked === "with all") {
      this.#seen++;
      this.#short++;
      this.#announced += announced;
      this.#given += length;
      this.#least = Math.min(this.#least, missing);
      this.#most = Math.max(this.#most, missing);
    }
    if (isKnown && this.#areWrong && !this.#isAbsurd(announced, length, head)) return undefined;
    return `the server announces ${announced} octets and gives ${length}`;
  }

  /** Nearly all messages are short, or all by the same few octets: Exchange estimates its sizes. */
  get #areWrong(): boolean {
    return this.#isAlike || (this.#short >= FEW && this.#short >= SHORT_TO_WHOLE * this.#whole);
  }

  get #isAlike(): boolean {
    return this.#short > 1 && this.#whole === 0 && this.#least === this.#most && this.#most <= OFFSET;
  }

  #isAbsurd(announced: number, length: number, head: Uint8Array): boolean {
    if (length === 0) return true;
    // Without a body, or not even with all of a header.
    const end = head.length === length ? headerEnd(head) : undefined;
    if (end === -1 || (end !== undefined && length - end <= BLANK)) return true;
    return length * ABSURD * this.#announced < announced * this.#given;
  }
}

/** It was given, and is not the message. */
export function notWhole(uid: number, text: string, again: boolean): MailError {
  return new MailError("malformed", `message ${uid} is not whole: ${text}`, {
    scope: "message",
    remedy: again ? "give-up" : "retry",
    hint: "It is asked for again by the next run.",
  });
}

function linesOf(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) lines++;
  return lines;
}
