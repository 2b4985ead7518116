// The seal of a zip that we wrote: its comment holds a SHA-256 of the whole file, so that any changed byte is found.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { openOwn } from "../../core/own-file.ts";
import { MailError } from "../../mail/errors.ts";

// CRCs cover the entries' octets alone: not names, dates, or the bits that deflate leaves unused. The comment is the last
// thing in a zip (APPNOTE 4.3.16), so its place is known while the rest streams by.
const DIGITS = 64;
const WORDS = "mailferry archive; SHA-256 with zeros in this place: ";
const ZEROS = "0".repeat(DIGITS);
const CHUNK = 1 << 20;

/** The comment that is written first; the hash goes over its zeros afterwards. */
export const BLANK_SEAL = WORDS + ZEROS;

/** Passes chunks on and hashes them. `digest` after the end: of the file with its blank seal. */
export function sealHasher(): {
  pass(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
  digest(): string;
} {
  const hash = createHash("sha256");
  return {
    async *pass(content) {
      for await (const chunk of content) {
        hash.update(chunk);
        yield chunk;
      }
    },
    digest: () => hash.digest("hex"),
  };
}

/** Puts the hash in its place and makes the file durable. */
export async function applySeal(path: string, digest: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    const { size } = await handle.stat();
    await handle.write(digest, size - DIGITS, "latin1");
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * "intact": not a byte of the file differs from what was written. "none": the file has no seal of ours, so it was packed by
 * another program. Throws what reading the file throws.
 */
export async function readSeal(path: string, signal: AbortSignal): Promise<"intact" | "broken" | "none"> {
  const handle = await openOwn(path);
  const tail = Buffer.alloc(BLANK_SEAL.length);
  let size: number;
  try {
    ({ size } = await handle.stat());
    if (size < tail.length) return "none";
    await handle.read(tail, 0, tail.length, size - tail.length);
  } finally {
    await handle.close();
  }
  const text = tail.toString("latin1");
  if (!looksSealed(text)) return "none";
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { end: size - DIGITS - 1, highWaterMark: CHUNK })) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  hash.update(ZEROS);
  return WORDS + hash.digest("hex") === text ? "intact" : "broken";
}

/** Whether a zip's comment is a seal of ours, unread: also one whose words or digits were changed by a flipped byte. */
export function looksSealed(comment: string): boolean {
  if (comment.length !== BLANK_SEAL.length) return false;
  return comment.startsWith(WORDS.slice(0, 9)) || /[0-9a-f]{32}$/.test(comment);
}

/** What a broken or missing seal means, in words. */
export function sealProblem(path: string, seal: "broken" | "none"): string {
  return seal === "broken"
    ? `${path}: its bytes are not those that were written (SHA-256 of the whole file)`
    : `${path}: it has no seal: another program has packed it again`;
}

/** The error for a zip that cannot be read on. */
export function damagedZip(
  path: string,
  why: string,
  cause?: unknown,
  scope: "message" | "account" = "account",
): MailError {
  return new MailError("malformed", `${path}: ${why}`, {
    scope,
    remedy: "give-up",
    hint: "The file is damaged or incomplete; use another copy of it.",
    ...(cause === undefined ? {} : { cause }),
  });
}
