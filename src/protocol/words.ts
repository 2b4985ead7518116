// What a server says for people, made fit to be shown: short, in one line, nothing in it that drives a terminal.

import { isUtf8 } from "node:buffer";

/** Characters of a server's words that are shown; what is longer is cut. */
export const WORDS_LIMIT = 300;

/** C0, DEL, C1, and the marks that turn the direction of text, end lines or cannot be seen. */
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]+/g;

/** `text`: one octet a character, shown as UTF-8 where it is that; or decoded already. */
export function words(text: string): string {
  // No character has more than four octets; one that is cut off is no more than that.
  const start = text.slice(0, 4 * WORDS_LIMIT + 4);
  const isDecoded = /[^\0-\xff]/.test(start);
  const octets = Buffer.from(start, "latin1");
  const decoded = isDecoded ? start : octets.toString(isUtf8(octets) || text.length > start.length ? "utf8" : "latin1");
  const clean = decoded.replace(HARMFUL, " ").trim();
  return clean.length <= WORDS_LIMIT ? clean : `${clean.slice(0, WORDS_LIMIT)}…`;
}
