// Ranges of one entry: a single forward reader goes on where the last range ended, and starts anew only to go back.

import { MailError } from "../../mail/errors.ts";
import type { Zip } from "./read.ts";
import { damagedZip } from "./seal.ts";

export interface RangeReader {
  /**
   * The octets [offset, offset + length). Calls at once wait for each other, the one that lies next first; an unfinished range
   * blocks the others until its iterator is closed. Throws MailError malformed of scope message.
   */
  read(offset: number, length: number, signal: AbortSignal): AsyncGenerator<Buffer>;
  close(): Promise<void>;
}

/** Stored entries can be entered anywhere; below this gap reading on costs less than a new stream. */
const STORED_GAP = 256 * 1024;

interface Waiting {
  readonly offset: number;
  readonly start: () => void;
}

export function rangeReader(zip: Zip, name: string): RangeReader {
  const entry = zip.entries.get(name);
  const label = JSON.stringify(name);
  let chunks: AsyncGenerator<Buffer> | undefined;
  /** The octet of the entry that `rest` begins with. */
  let position = 0;
  let rest: Buffer = Buffer.alloc(0);
  /** Beyond this octet the entry was seen to be damaged: not tried again for every message. */
  let broken: { readonly at: number; readonly error: unknown } | undefined;
  let busy = false;
  const waiting: Waiting[] = [];

  const restart = async (at: number): Promise<void> => {
    const old = chunks;
    chunks = undefined;
    await old?.return(undefined);
    rest = Buffer.alloc(0);
    position = at;
    chunks = zip.read(name, "message", at);
  };
  /** Makes `rest` begin at `offset`. */
  const seek = async (offset: number, signal: AbortSignal): Promise<void> => {
    if (
      entry?.stored === true &&
      (chunks === undefined || offset < position || offset > position + rest.length + STORED_GAP)
    )
      await restart(offset);
    else if (chunks === undefined || offset < position) await restart(0);
    while (position < offset) {
      if (rest.length === 0) await more(signal);
      const step = Math.min(rest.length, offset - position);
      rest = rest.subarray(step);
      position += step;
    }
  };
  const more = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    try {
      const next = await chunks?.next();
      if (next === undefined || next.done === true)
        throw damagedZip(zip.path, `the entry ${label} ends before its last message`, undefined, "message");
      rest = next.value;
    } catch (error) {
      broken = { at: position, error };
      chunks = undefined;
      throw error;
    }
  };
  const enter = (offset: number): Promise<void> | undefined => {
    if (!busy) {
      busy = true;
      return undefined;
    }
    return new Promise((start) => waiting.push({ offset, start }));
  };
  const leave = (): void => {
    // The lowest one ahead of the reader; when all lie behind it, the lowest of all.
    let best: Waiting | undefined;
    for (const one of waiting) {
      const ahead = one.offset >= position;
      const bestAhead = best !== undefined && best.offset >= position;
      if (best === undefined || (ahead !== bestAhead ? ahead : one.offset < best.offset)) best = one;
    }
    if (best === undefined) busy = false;
    else {
      waiting.splice(waiting.indexOf(best), 1);
      best.start();
    }
  };

  return {
    async *read(offset, length, signal) {
      if (entry === undefined || offset + length > entry.size)
        throw new MailError("not-found", `${zip.path} holds no message at ${label} ${offset}`, {
          scope: "message",
          remedy: "give-up",
        });
      await enter(offset);
      try {
        if (broken !== undefined && offset + length > broken.at) throw broken.error;
        await seek(offset, signal);
        let left = length;
        while (left > 0) {
          if (rest.length === 0) await more(signal);
          const part = rest.subarray(0, left);
          // Before the yield: when the caller stops here, the reader still knows where it is.
          rest = rest.subarray(part.length);
          position += part.length;
          left -= part.length;
          yield part;
        }
      } finally {
        leave();
      }
    },
    async close() {
      const old = chunks;
      chunks = undefined;
      await old?.return(undefined);
    },
  };
}
