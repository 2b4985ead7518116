// Texts that servers give in place of a message which they cannot give, or not as it is.

import { headerEnd, headerValue } from "./headers.ts";

/** Of the text behind the header: what a server says at once, or not at all. */
const LOOKED_AT = 2048;

const KINDS: readonly { readonly subject: RegExp; readonly text: RegExp; readonly what: string }[] = [
  {
    // Exchange, what it cannot convert.
    subject: /^Retrieval using the \w+ protocol failed for the following message/i,
    text: /^\s*The server (?:couldn['’]t|could not|was unable to) retrieve the following message/i,
    what: "it says that it could not retrieve the message",
  },
  {
    subject: /./,
    text: /^\s*The following message could not be (?:retrieved|converted)/i,
    what: "it says that it could not retrieve the message",
  },
  {
    // Courier, mail with octets above 127 in its header, for who did not say UTF8 (RFC 6856).
    subject: /^Cannot display Unicode content/i,
    text: /^/,
    what: "it wraps the message, for its header is not ASCII",
  },
];

/**
 * What a server says there instead of the message; undefined where it looks like the message. Mail may quote such a text: to be asked
 * only where the content is not as large as it was announced.
 */
export function standIn(head: Uint8Array): string | undefined {
  const subject = headerValue(head, "subject") ?? "";
  const kinds = KINDS.filter((kind) => kind.subject.test(subject));
  if (kinds.length === 0) return undefined;
  const buffer = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const end = headerEnd(buffer);
  const text = end === -1 ? "" : buffer.toString("latin1", end, end + LOOKED_AT);
  return kinds.find((kind) => kind.text.test(text))?.what;
}
