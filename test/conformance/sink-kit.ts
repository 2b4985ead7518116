// Common moves of the sink suite: names, messages, appending and listing.

import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { stage } from "../../src/mail/body.ts";
import { MailError } from "../../src/mail/errors.ts";
import { narrow } from "../../src/mail/fidelity.ts";
import type { Message } from "../../src/mail/message.ts";
import { type Folder, type FolderPath, showPath } from "../../src/mail/model.ts";
import type { Copy, Receipt, Sink, SinkFolder, Stored } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";
import { chunks, letter, type SeedMail, seedKey } from "./seed.ts";
import { foldersOf, readAll } from "./source.ts";

export interface MadeSink {
  readonly sink: Sink;
  /** The same target, opened again by a later run. The suite disposes of it. */
  reopenSink(): Promise<Sink>;
  /** The same target read as a source, after `seal`. The suite disposes of it. */
  asSource(): Promise<Source>;
  dispose(): Promise<void>;
}

export interface SinkSuite {
  /** A new and empty target. */
  make(): Promise<MadeSink>;
  /** What this adapter does not do, by the promise's words, each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

export const NEVER = new AbortController().signal;

/** Names that real accounts have. */
export const ODD_NAMES: readonly FolderPath[] = [
  ["Case"],
  ["case"],
  ["日本語"],
  ["Entwürfe & Ideen"],
  [" leading"],
  ["trailing "],
  ["two  blanks"],
  ["a.b"],
  ["a", "b"],
  ["slash/inside"],
  ["slash", "inside"],
  ["back\\slash"],
  ['double"quote'],
  ["100%*"],
  ["&-&AOQ-"],
  ["%2F"],
  ["~tilde"],
  ["{5}"],
  ["Parent", "Child", "Grandchild"],
  ["INBOX", "below the inbox"],
  ["Archive.mbox"],
  ["cur"],
];

/** Names that nobody gives a folder in good faith: kept as declared, or refused with a MailError, and never outside. */
export const HOSTILE_NAMES: readonly FolderPath[] = [
  ["..", "..", "escaped"],
  ["../../escaped"],
  ["/etc/escaped"],
  ["."],
  [".."],
  ["a\r\nb LOGOUT"],
  ["nul\0inside"],
  ["tab\tand\x7fdel"],
  ["lone \ud800 surrogate"],
  ["x".repeat(300)],
  ["ü".repeat(150)],
  ["mailferry"],
  ["new"],
  ["tmp"],
];

/** Each name gets a message of its own; afterwards each declared path holds exactly that one. */
export async function roundTripNames(
  sink: Sink,
  asSource: () => Promise<Source>,
  paths: readonly FolderPath[],
  mayRefuse: boolean,
): Promise<void> {
  const opened: { path: FolderPath; asked: FolderPath; seed: SeedMail }[] = [];
  for (const [i, asked] of paths.entries()) {
    const seed = letter(`name ${i}`);
    try {
      const one = await sink.open(folder(asked), NEVER);
      await append(one, seed);
      opened.push({ path: one.path, asked, seed });
    } catch (error) {
      if (!mayRefuse || !(error instanceof MailError)) throw error;
      expect(error.details.scope).not.toBe("account");
    }
  }
  const shown = opened.map(({ path }) => showPath(path));
  expect(new Set(shown).size).toBe(shown.length);
  await sink.seal(NEVER);
  await using source = await asSource();
  const folders = new Map((await foldersOf(source)).map((item) => [showPath(item.path), item]));
  for (const { path, asked, seed } of opened) {
    const found = folders.get(showPath(path));
    if (found === undefined) throw new Error(`${JSON.stringify(asked)}: ${JSON.stringify(path)} is not listed`);
    const keys = (await readAll(source, found)).map(({ key }) => key);
    expect(keys, JSON.stringify(asked)).toEqual([await seedKey(seed)]);
  }
}

export function folder(path: FolderPath): Folder {
  return { path, selectable: true };
}

let number = 0;

export function message(body: Message["body"], seed: SeedMail, into: SinkFolder): Message {
  const origin = { folder: ["Seed"], generation: "1", id: String(++number) };
  return {
    entry: { origin, traits: seed.traits, size: seed.bytes.length },
    traits: narrow(seed.traits, into.fidelity).kept,
    body,
  };
}

export async function append(into: SinkFolder, seed: SeedMail): Promise<Stored> {
  await using body = await stage(chunks(seed.bytes), join(tmpdir(), "mailferry-conformance"));
  return await into.append(message(body, seed, into), NEVER);
}

export function receiptOf(stored: Stored): Receipt {
  if (stored.receipt === undefined) throw new Error("the sink gave no receipt");
  return stored.receipt;
}

export async function copiesOf(opened: SinkFolder, since?: string): Promise<Copy[]> {
  const copies: Copy[] = [];
  for await (const copy of opened.copies(since, NEVER)) copies.push(copy);
  return copies;
}

export async function* stream<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

export function fail(): never {
  throw new Error("unreachable");
}
