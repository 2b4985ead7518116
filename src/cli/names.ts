// What a folder is called in the target, as people read it.

import { showRaw } from "../mail/mutf7.ts";

/**
 * Whether a store's own name for a folder reads as its path: how IMAP and Maildir++ encode a name, and what joins names or stands
 * before them (`.A.B`), is no other name.
 */
export function readsAs(name: string, path: string): boolean {
  const shown = showRaw(name);
  return shown === path || shown.replace(/^\./, "").replaceAll(".", "/") === path;
}
