// Text that a server made up in place of a message that it could not give, with an OK as for any other: Exchange does so.

import { headerEnd, headerText, headerValue } from "./headers.ts";

const SUBJECT = /^Retrieval using the (?:IMAP|POP)\d? protocol failed for the following message/i;
/** At the beginning of a line; the apostrophe in whatever coding. */
const TEXT = /^The server couldn.{1,6}t retrieve the following message/im;
/** Octets of the text that are looked at. */
const LOOKED_AT = 2048;

/**
 * How much the first octets of a message look like such a text. "certain": both of its sentences, each where it stands in one;
 * "likely": one of them, as in what somebody forwards. It costs a search, so it is for what there is another reason to doubt.
 */
export function standInLikeness(head: Uint8Array): "certain" | "likely" | undefined {
  const isNamed = SUBJECT.test(headerValue(head, "subject") ?? "");
  const end = headerEnd(head);
  const saysSo = end !== -1 && TEXT.test(headerText(head.subarray(end, end + LOOKED_AT)));
  if (isNamed && saysSo) return "certain";
  return isNamed || saysSo ? "likely" : undefined;
}
