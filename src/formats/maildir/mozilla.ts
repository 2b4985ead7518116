// Thunderbird's Maildir store ("a file per message"): its state stands in fields at the top of each file, none in the file's name.

import { HEADER_LIMIT } from "../../mail/body.ts";
import { headerEnd } from "../../mail/headers.ts";
import type { Traits } from "../../mail/model.ts";
import { type MessageState, readMozillaState } from "../mbox/state.ts";
import { partialContent } from "../mbox/withheld.ts";
import { headOf } from "./dates.ts";
import type { BytePath } from "./paths.ts";

/** Its files are called 1704369600000.eml; no other Maildir program ends names so. */
export function isMozillaFile(base: string): boolean {
  return base.endsWith(".eml");
}

/** Undefined for a file without its fields: then its name and time say all there is. `octets`: what the fields take of the file. */
export async function mozillaState(
  path: BytePath,
  base: string,
): Promise<(MessageState & { readonly octets: number }) | undefined> {
  const head = await headOf(path, base);
  const octets = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const state = readMozillaState(octets);
  const taken = octets.length - state.head.length;
  return taken === 0 ? undefined : { ...state, octets: taken };
}

/** The file's time is when a flag changed last, as the fields are written in place: the header's date goes before it. */
export function mozillaTraits(traits: Traits, state: MessageState): Traits {
  const received = state.traits.received ?? traits.received;
  return {
    ...traits,
    flags: new Set([...traits.flags, ...state.traits.flags]),
    keywords: new Set([...traits.keywords, ...state.traits.keywords]),
    ...(received === undefined ? {} : { received }),
  };
}

/** The message without the fields, as it came: the same as every other copy of it. Fails for one that is not all there. */
export async function* withoutMozillaFields(
  content: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  let head: Uint8Array[] | undefined = [];
  let held = 0;
  for await (const chunk of content) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head.push(chunk);
    held += chunk.length;
    const octets = Buffer.concat(head);
    if (headerEnd(octets) === -1 && held < HEADER_LIMIT) continue;
    head = undefined;
    yield* messageHead(octets, name);
  }
  if (head !== undefined && held > 0) yield* messageHead(Buffer.concat(head), name);
}

async function* messageHead(octets: Buffer, name: string): AsyncGenerator<Uint8Array> {
  const { head, isPartial } = readMozillaState(octets);
  if (isPartial === true) yield* partialContent(name);
  else yield head;
}
