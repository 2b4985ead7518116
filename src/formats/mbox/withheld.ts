// Messages of Thunderbird's that are in its files and are no mail to copy: deleted ones, and those that it has only begun to fetch.

import { plural } from "../../core/words.ts";
import { MailError } from "../../mail/errors.ts";

/** In the place of a content that is not all there. Never gives anything. */
// biome-ignore lint/correctness/useYield: it fails before the first octet
export async function* partialContent(name: string): AsyncGenerator<Uint8Array> {
  throw new MailError("malformed", `${name}: Thunderbird has fetched only the beginning of this message`, {
    scope: "message",
    remedy: "give-up",
    hint: "Open it in Thunderbird, which then offers to fetch the rest, and run the same command again.",
  });
}

/** What is said of messages that are left out for it, or were asked for. */
export function expungedText(messages: number, isAskedFor = false): string {
  const what = `${plural(messages, "message")} that Thunderbird deleted and has not compacted away`;
  return isAskedFor ? `${what}: taken in by --with-expunged` : `${what}: left out, unless --with-expunged is given`;
}
