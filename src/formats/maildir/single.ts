// Whether a message file holds one message: a whole mbox that was put among them is not one.

import { MailError } from "../../mail/errors.ts";
import { shellWord } from "../disk/foreign.ts";
import { fieldsOfMail } from "../mbox/evidence.ts";
import { looksLikeMbox, splitMbox } from "../mbox/split.ts";
import type { RandomAccess } from "../mbox/window.ts";
import { parseOwn } from "./names.ts";
import { type BytePath, showBytes } from "./paths.ts";

/** Whether it may be an mbox: what has a name of ours is what came, whatever it begins with. */
export function mayHoldMore(first: Buffer, base: string): boolean {
  return first.toString("latin1", 0, 5) === "From " && parseOwn(base) === undefined;
}

/**
 * Throws MailError, of scope message, where another message begins in the file; its text may hold lines that look like a
 * separator, so header fields of mail must stand behind one. Reads no further than to there.
 */
export async function demandOne(path: BytePath, file: RandomAccess): Promise<void> {
  const name = showBytes(path);
  if (!(await looksLikeMbox(file, 1))) return;
  let isFirst = true;
  for await (const { unsure, head } of splitMbox(file, { dialect: "auto", name })) {
    if (!isFirst && !unsure && fieldsOfMail(head, 0, 2) > 1)
      throw new MailError("malformed", `${name} is an mbox, and no single message`, {
        scope: "message",
        remedy: "give-up",
        hint: `Give it by itself: ${shellWord(`mbox:${name}`)}; or move it out of the Maildir's cur and new.`,
      });
    isFirst = false;
  }
}

/** Of what is at hand. */
export function inMemory(bytes: Buffer): RandomAccess {
  return { size: bytes.length, read: async (target, position) => bytes.copy(target, 0, position) };
}
