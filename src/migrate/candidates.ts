// What the target folder holds without our knowing: found once in a streamed pass, and each copy claimed once.

import { hash32 } from "../core/hash.ts";
import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { messageIdOf } from "../mail/headers.ts";
import { type ContentKey, keyOf, plausibleSizes } from "../mail/key.ts";
import type { FolderPath, SystemFlag, Traits } from "../mail/model.ts";
import { SYSTEM_FLAGS } from "../mail/model.ts";
import type { Copy, Receipt, SinkFolder } from "../sinks/sink.ts";
import type { FolderLedger } from "./ledger.ts";

export interface Found {
  readonly receipt: Receipt;
  readonly traits: Traits;
  /** True when its bytes were read and are the same; false when it was found by Message-ID and date (a copy that the server altered). */
  readonly exact: boolean;
}

export interface Candidates {
  readonly size: number;
  /**
   * The copy of this body that nobody has claimed yet, and claims it; N twins at the source find N twins here. Of several, one
   * with these flags and keywords comes first.
   */
  find(body: Body, traits: Traits, signal: AbortSignal): Promise<Found | undefined>;
  /** The same for a message whose bytes are not at hand. */
  findKey(key: ContentKey, size: number, signal: AbortSignal): Promise<Receipt | undefined>;
}

export const NO_CANDIDATES: Candidates = { size: 0, find: async () => undefined, findKey: async () => undefined };

interface Unknown {
  readonly receipt: string;
  readonly size: number;
  readonly messageId: number;
  readonly flags: number;
  readonly keywords: ReadonlySet<string> | undefined;
  readonly received: number;
  key: ContentKey | Promise<ContentKey | undefined> | undefined;
}

/**
 * Reads the folder's listing (after `since` where the store has an order) and keeps the copies that no record names. Throws
 * what the sink throws.
 */
export async function gatherCandidates(
  folder: SinkFolder,
  ledger: FolderLedger,
  since: string | undefined,
  signal: AbortSignal,
): Promise<Candidates> {
  const bySize = new Map<number, Unknown[]>();
  let count = 0;
  for await (const copy of folder.copies(since, signal)) {
    if (ledger.holds(copy.receipt)) continue;
    count++;
    const item = unknownOf(copy);
    const others = bySize.get(copy.size);
    if (others === undefined) bySize.set(copy.size, [item]);
    else others.push(item);
  }
  if (count === 0) return NO_CANDIDATES;
  return {
    size: count,
    find: (body, traits, abort) => search(folder, ledger, bySize, body, traits, abort),
    findKey: (key, size, abort) => searchKey(folder, ledger, bySize, key, size, abort),
  };
}

/**
 * Gives the done records that have no receipt (the server could not name its copies) the copies that are theirs. Without this a
 * twin that was not copied yet could be taken for one that was.
 */
export async function nameCopies(
  candidates: Candidates,
  ledger: FolderLedger,
  sources: readonly FolderPath[],
  signal: AbortSignal,
): Promise<void> {
  if (candidates.size === 0) return;
  for (const source of sources)
    for await (const record of ledger.records(source)) {
      if (record.receipt !== undefined) continue;
      const receipt = await candidates.findKey(record.key, record.size, signal);
      if (receipt !== undefined) await ledger.put({ ...record, receipt });
    }
}

async function searchKey(
  folder: SinkFolder,
  ledger: FolderLedger,
  bySize: ReadonlyMap<number, Unknown[]>,
  key: ContentKey,
  size: number,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  // Line ends change a size by a CR a line; no mail has lines of less than two octets on average.
  const sizes = [...bySize.keys()].filter((other) => Math.abs(other - size) <= size / 2 + 4);
  sizes.sort((a, b) => Math.abs(a - size) - Math.abs(b - size));
  for (const close of sizes)
    for (const item of bySize.get(close) ?? []) {
      const receipt = { ref: item.receipt };
      if (ledger.holds(receipt)) continue;
      item.key ??= readKey(folder, receipt, signal);
      if ((await item.key) === key && ledger.claim(receipt)) return receipt;
    }
  return undefined;
}

async function search(
  folder: SinkFolder,
  ledger: FolderLedger,
  bySize: ReadonlyMap<number, Unknown[]>,
  body: Body,
  traits: Traits,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const messageId = hashOf(messageIdOf(body.head));
  const sizes = plausibleSizes(body.shape);
  const same: Unknown[] = [];
  for (const item of sized(bySize, sizes)) {
    if (item.messageId !== UNKNOWN_ID && item.messageId !== messageId) continue;
    const receipt = { ref: item.receipt };
    if (ledger.holds(receipt)) continue;
    item.key ??= readKey(folder, receipt, signal);
    if ((await item.key) !== body.key) continue;
    if (!hasTraits(item, traits)) same.push(item);
    else if (ledger.claim(receipt)) return found(item, true);
  }
  for (const item of same) if (ledger.claim({ ref: item.receipt })) return found(item, true);
  const { received } = traits;
  if (!body.shape.hasNul || messageId === NO_ID || received === undefined) return undefined;
  // No server gives a NUL back as it was sent, so bytes can prove nothing: Message-ID and date must do.
  for (const item of sized(bySize, sizes)) {
    if (item.messageId !== messageId || item.received !== received.epochSeconds) continue;
    if (ledger.claim({ ref: item.receipt })) return found(item, false);
  }
  return undefined;
}

function* sized(bySize: ReadonlyMap<number, Unknown[]>, sizes: Iterable<number>): Generator<Unknown> {
  for (const size of sizes) yield* bySize.get(size) ?? [];
}

function hasTraits(item: Unknown, { flags, keywords }: Traits): boolean {
  if (item.flags !== bitsOf(flags)) return false;
  const folded = (words: Iterable<string>): string =>
    [...words]
      .map((word) => word.toLowerCase())
      .sort()
      .join(" ");
  return folded(item.keywords ?? []) === folded(keywords);
}

async function readKey(folder: SinkFolder, receipt: Receipt, signal: AbortSignal): Promise<ContentKey | undefined> {
  try {
    return (await keyOf(folder.reopen(receipt, signal))).key;
  } catch (error) {
    // Deleted by somebody since it was listed: then it is no copy of anything.
    if (error instanceof MailError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** The sink did not read the message, so its Message-ID is not known. */
const UNKNOWN_ID = 0;
/** The message has none. */
const NO_ID = 1;

function hashOf(messageId: string | undefined): number {
  return messageId === undefined ? NO_ID : hash32(messageId, 2);
}

function unknownOf(copy: Copy): Unknown {
  return {
    receipt: copy.receipt.ref,
    size: copy.size,
    messageId: copy.messageId === undefined ? UNKNOWN_ID : hashOf(copy.messageId),
    flags: bitsOf(copy.traits.flags),
    keywords: copy.traits.keywords.size === 0 ? undefined : copy.traits.keywords,
    received: copy.traits.received?.epochSeconds ?? Number.NaN,
    key: copy.key,
  };
}

function bitsOf(flags: ReadonlySet<SystemFlag>): number {
  return SYSTEM_FLAGS.reduce((bits, flag, bit) => (flags.has(flag) ? bits | (1 << bit) : bits), 0);
}

function found(item: Unknown, exact: boolean): Found {
  const flags = new Set<SystemFlag>(SYSTEM_FLAGS.filter((_, bit) => (item.flags & (1 << bit)) !== 0));
  return {
    receipt: { ref: item.receipt },
    traits: { flags, keywords: item.keywords ?? new Set(), labels: new Set() },
    exact,
  };
}
