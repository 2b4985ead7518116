// What an endpoint holds, read through its source: for comparing two ends in tests without using the engine's own verify.

import { keyOf } from "../../src/mail/key.ts";
import { showPath, type Traits } from "../../src/mail/model.ts";
import type { Source } from "../../src/sources/source.ts";

export interface Held {
  readonly key: string;
  readonly flags: string;
  readonly keywords: string;
  readonly labels: string;
  /** Epoch seconds. */
  readonly received: number | undefined;
}

/** Everything by folder path; the messages of a folder in a fixed order, so that multisets compare as lists. */
export async function contentOf(source: Source): Promise<Map<string, Held[]>> {
  const signal = new AbortController().signal;
  const content = new Map<string, Held[]>();
  const folders = [];
  for await (const folder of source.folders(signal)) if (folder.selectable) folders.push(folder);
  for (const folder of folders) {
    const held: Held[] = [];
    for await (const slice of source.slices(folder, signal))
      for await (const { entry, content: bytes } of source.read(slice, { want: () => true, signal }))
        held.push(heldOf((await keyOf(bytes)).key, entry.traits));
    content.set(showPath(folder.path), inOrder(held));
  }
  return new Map([...content].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function heldOf(key: string, traits: Traits): Held {
  return {
    key,
    flags: [...traits.flags].sort().join(" "),
    keywords: [...traits.keywords]
      .map((keyword) => keyword.toLowerCase())
      .sort()
      .join(" "),
    labels: [...traits.labels].sort().join(" "),
    received: traits.received?.epochSeconds,
  };
}

export function inOrder(held: readonly Held[]): Held[] {
  return [...held].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** The content keys alone, by folder. */
export function keysOf(content: ReadonlyMap<string, readonly Held[]>): Map<string, string[]> {
  return new Map([...content].map(([path, held]) => [path, held.map(({ key }) => key).sort()]));
}
