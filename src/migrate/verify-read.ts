// What a comparison reads of a message: its content key, or with `quick` what is known without its body.

import { createHash } from "node:crypto";
import { hash32 } from "../core/hash.ts";
import { MailError } from "../mail/errors.ts";
import type { Fidelity } from "../mail/fidelity.ts";
import { headerValue, messageIdOf, receivedFromHeader } from "../mail/headers.ts";
import { type ContentKey, KeyHasher, wireSize } from "../mail/key.ts";
import type { Entry, Folder, Origin, Traits } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { isFiltered, type RunOptions } from "./context.ts";
import type { VerifyOptions } from "./verify-result.ts";

export interface Seen {
  readonly origin: Origin;
  readonly traits: Traits;
  /** Undefined when it could not be read; then `problem` says why. */
  readonly key: ContentKey | undefined;
  /** A hash of the Message-ID, or of other fields, 0 for none; with `quick` the octets with CRLF line ends, 0 where they are not known. */
  readonly id: number;
  /** That `id` is of a Message-ID. */
  readonly isNamed?: boolean;
  /** Its first octets, where it was read. */
  readonly head?: Uint8Array;
  /** Octets with CRLF line ends, where they are known. */
  readonly size?: number;
  readonly problem?: string;
}

/** Header octets looked at for the Message-ID. */
const HEAD = 64 * 1024;

/** Each message that is concerned, with what it is known by. Throws what `Source.read` throws. */
export async function* messages(
  source: Source,
  folder: Folder,
  ground: Fidelity,
  options: VerifyOptions,
  signal: AbortSignal,
  unlisted: (messages: number) => void,
): AsyncGenerator<Seen> {
  const filter: RunOptions = { ...options, stateDirectory: "" };
  const quick = options.quick === true;
  const isWanted = (entry: Entry): boolean => !isFiltered(entry, filter, entry.traits.received, entry.size);
  // Where the store tells no date, the header's is that by which a run chooses: it has to be read.
  const isUndated = (options.since !== undefined || options.before !== undefined) && !source.tells.received;
  if (quick && source.identify !== undefined && !isUndated) {
    for await (const { entry, messageId } of source.identify(folder, signal, unlisted))
      if (isWanted(entry)) yield identified(source, ground, entry, messageId);
    signal.throwIfAborted();
    return;
  }
  for await (const slice of source.slices(folder, signal)) {
    for await (const { entry, content } of source.read(slice, { want: isWanted, unlisted, signal })) {
      const hasher = new KeyHasher();
      let head: Uint8Array = new Uint8Array(0);
      try {
        for await (const chunk of content) {
          if (head.length < HEAD)
            head = head.length === 0 ? chunk.slice(0, HEAD) : Buffer.concat([head, chunk]).subarray(0, HEAD);
          if (quick && (head.length >= HEAD || /\r?\n\r?\n/.test(Buffer.from(head).toString("latin1")))) break;
          hasher.update(chunk);
        }
      } catch (error) {
        if (!(error instanceof MailError) || error.details.scope !== "message") throw error;
        // Deleted while it was being compared: no longer anything that must be there.
        if (error.code === "not-found") continue;
        yield { origin: entry.origin, traits: entry.traits, key: undefined, id: 0, problem: error.message };
        continue;
      }
      const received = entry.traits.received ?? (isUndated ? receivedFromHeader(head) : undefined);
      if (isUndated && isFiltered(entry, filter, received, entry.size)) continue;
      const messageId = messageIdOf(head);
      if (quick) {
        yield { ...identified(source, ground, entry, messageId), head };
        continue;
      }
      const { key, shape } = hasher.digest();
      yield {
        origin: entry.origin,
        traits: datedBy(head, entry),
        key,
        id: idHash(messageId, head),
        isNamed: messageId !== undefined,
        head,
        size: wireSize(shape),
      };
    }
    signal.throwIfAborted();
  }
}

/** What a message is known by without its body: its Message-ID, where it has none its date, if both ends tell it; and beside that its size. */
function identified(source: Source, ground: Fidelity, entry: Entry, messageId: string | undefined): Seen {
  const { origin, traits } = entry;
  const name = messageId ?? `date ${(ground.received ? traits.received?.epochSeconds : undefined) ?? "none"}`;
  const key = createHash("sha256").update(name).digest("hex") as ContentKey;
  const size = source.wireSize?.(entry);
  return { origin, traits, key, id: (size ?? 0) >>> 0, ...(size === undefined ? {} : { size }) };
}

/** Its traits, with the date that a copy of it gets where its own is none. */
function datedBy(head: Uint8Array, { traits }: Entry): Traits {
  const received = traits.misdated === true ? receivedFromHeader(head) : undefined;
  if (received === undefined) return traits;
  const { misdated: _, ...rest } = traits;
  return { ...rest, received };
}

/** Without a Message-ID its other fields name it, but for what servers replace in them. */
function idHash(messageId: string | undefined, head: Uint8Array): number {
  if (messageId !== undefined) return hash32(messageId, 1);
  const fields = ["date", "from", "to", "subject"].map((name) => headerValue(head, name) ?? "");
  const text = fields.join("\n").replace(/[^\n\x21-\x7e]+|[X?]/g, "");
  return text === "\n\n\n" ? 0 : hash32(text, 1);
}

/** How many there are, and not one is read. */
export async function countOf(source: Source, folder: Folder, signal: AbortSignal): Promise<number> {
  let count = 0;
  const want = (): boolean => {
    count++;
    return false;
  };
  for await (const slice of source.slices(folder, signal)) for await (const _ of source.read(slice, { want, signal }));
  signal.throwIfAborted();
  return count;
}
