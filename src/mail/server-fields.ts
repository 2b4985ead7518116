// Header fields that mail servers keep their own notes in, beside what was sent: a message with and without them is one message.

import { HEADER_LIMIT } from "./body.ts";
import { fieldEnd, fieldName, headerEnd } from "./headers.ts";
import { type ContentKey, KeyHasher } from "./key.ts";

/** Written by POP3 servers over mboxes (qpopper, mailutils) between two sessions, and by those that keep flags in the header. */
const FIELDS = new Set(["x-uidl", "status", "x-status", "x-keywords", "x-imap", "x-imapbase"]);

/** The key of a content, and the one that it has without such fields: the same where it has none. */
export async function keysOf(
  content: AsyncIterable<Uint8Array>,
): Promise<{ readonly key: ContentKey; readonly bare: ContentKey }> {
  const whole = new KeyHasher();
  const without = new KeyHasher();
  let head: Uint8Array | undefined = new Uint8Array(0);
  for await (const chunk of content) {
    whole.update(chunk);
    if (head === undefined) {
      without.update(chunk);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (headerEnd(head) === -1 && head.length < HEADER_LIMIT) continue;
    for (const piece of withoutFields(head)) without.update(piece);
    head = undefined;
  }
  if (head !== undefined) for (const piece of withoutFields(head)) without.update(piece);
  return { key: whole.digest().key, bare: without.digest().key };
}

/** Whether such a field stands in the header. */
export function hasServerFields(head: Uint8Array): boolean {
  return withoutFields(head).length > 1;
}

/** The octets between and behind such fields. */
function withoutFields(head: Uint8Array): readonly Uint8Array[] {
  const buffer = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const found = headerEnd(buffer);
  const end = found === -1 ? Math.min(buffer.length, HEADER_LIMIT) : found;
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = 0; at < end; ) {
    const next = fieldEnd(buffer, at);
    if (FIELDS.has(fieldName(buffer, at, next) ?? "")) {
      pieces.push(buffer.subarray(from, at));
      from = next;
    }
    at = next;
  }
  pieces.push(buffer.subarray(from));
  return pieces;
}
