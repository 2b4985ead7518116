// The manifest of an mboxzip: reading its lines in order, so that a bad one is named by its number.

import { MailError } from "../mail/errors.ts";
import { decodeRecord, type ManifestRecord } from "./mboxzip/record.ts";

export * from "./mboxzip/record.ts";

/** Octets of one line. A message with thousands of labels stays far below; a hostile line is not gathered any further. */
export const MAX_LINE = 4 * 1024 * 1024;

/** The error for a line that cannot be trusted; `line` counts from 1. */
export function badLine(file: string, line: number, cause: unknown): MailError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MailError("malformed", `${file}, line ${line}: ${why}`, {
    scope: "account",
    remedy: "give-up",
    hint: "The archive was damaged or edited after it was written; use another copy of it.",
    cause,
  });
}

export interface ManifestLine {
  readonly record: ManifestRecord;
  /** Without its newline. */
  readonly bytes: Buffer;
  /** From 1. */
  readonly number: number;
  /** Octets up to and with this line's newline. */
  readonly end: number;
}

/**
 * Every line of a manifest in order, each checked. Throws MailError malformed naming the file and the line. The first line must
 * be a header of a version that is known, and no other line may be one. "torn": a last line that is incomplete or does not check
 * ends the reading quietly; everything up to the last `end` stands. "rest": the content begins after some line; numbers and ends
 * count from there. `onBad`: told of each line that cannot be trusted, and the others are read all the same.
 */
export async function* readManifest(
  content: AsyncIterable<Uint8Array>,
  file: string,
  mode: "whole" | "torn" | "rest" = "whole",
  onBad?: (error: MailError) => void,
): AsyncGenerator<ManifestLine> {
  let number = 0;
  let bad: { readonly number: number; readonly cause: unknown } | undefined;
  for await (const { bytes, end, complete } of splitLines(content, file)) {
    if (bad !== undefined) throw badLine(file, bad.number, bad.cause);
    number++;
    let record: ManifestRecord | undefined;
    try {
      if (!complete) throw new Error("it is cut off");
      record = decodeRecord(bytes);
      const first = number === 1 && mode !== "rest";
      if ((record.type === "header") !== first)
        throw new Error(first ? "the manifest does not begin with its header" : "a header stands in the middle");
    } catch (cause) {
      if (cause instanceof MailError) throw cause;
      if (mode !== "torn" && onBad !== undefined) {
        onBad(badLine(file, number, cause));
        continue;
      }
      if (mode !== "torn") throw badLine(file, number, cause);
      bad = { number, cause };
    }
    if (record !== undefined) yield { record, bytes, number, end };
  }
  if (number === 0 && mode === "whole") throw badLine(file, 1, new Error("the manifest is empty"));
}

interface RawLine {
  readonly bytes: Buffer;
  readonly end: number;
  readonly complete: boolean;
}

async function* splitLines(content: AsyncIterable<Uint8Array>, file: string): AsyncGenerator<RawLine> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let end = 0;
  let count = 0;
  for await (const chunk of content) {
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    for (let at = buffer.indexOf(10); at !== -1; at = buffer.indexOf(10, from)) {
      const last = buffer.subarray(from, at);
      const bytes = heldBytes === 0 ? last : Buffer.concat([...held, last]);
      held = [];
      heldBytes = 0;
      from = at + 1;
      end += bytes.length + 1;
      count++;
      if (bytes.length > MAX_LINE) throw badLine(file, count, new Error(`it is longer than ${MAX_LINE} bytes`));
      yield { bytes, end, complete: true };
    }
    if (from < buffer.length) {
      held.push(buffer.subarray(from));
      heldBytes += buffer.length - from;
      if (heldBytes > MAX_LINE) throw badLine(file, count + 1, new Error(`it is longer than ${MAX_LINE} bytes`));
    }
  }
  if (heldBytes > 0) yield { bytes: Buffer.concat(held), end: end + heldBytes, complete: false };
}
