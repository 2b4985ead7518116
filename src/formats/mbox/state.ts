// What mail programs write about a message into its mbox header: read as traits, and taken out where it is the container's.

import { createRequire } from "node:module";
import type libmime from "libmime";
import { fieldEnd, fieldName, headerBlock, headerText, headerValue, receivedFromHeader } from "../../mail/headers.ts";
import { NO_TRAITS, type Received, type SystemFlag, type Traits } from "../../mail/model.ts";
import type { FromLine } from "./from-line.ts";
import { shownOwnFields } from "./own-fields.ts";

/**
 * The container's fields, and what their value must look like to be the container's own: a `Status: 5.0.0` is the sender's,
 * and stays. X-Gmail-Labels is read but stays: Takeout put it there once, and no program rewrites it.
 */
const CONTAINER_FIELDS: ReadonlyMap<string, RegExp> = new Map([
  ["status", /^[A-Z]{0,10}$/],
  ["x-status", /^[A-Z]{0,10}$/],
  ["x-keywords", /^/],
  ["x-uid", /^\d*$/],
  ["x-imap", /^/],
  ["x-imapbase", /^/],
  ["x-mozilla-status", /^[0-9a-f]*$/i],
  ["x-mozilla-status2", /^[0-9a-f]*$/i],
  ["x-mozilla-keys", /^/],
  ["content-length", /^\d*$/],
]);

/** What a From_ line says of the date. */
type DatedLine = Pick<FromLine, "received" | "isOfStoring">;

export interface MessageState {
  readonly traits: Traits;
  /** The received date is the header's, as the From_ line had none. */
  readonly dateFromHeader: boolean;
  /** Thunderbird deleted it and has not compacted its file yet. */
  readonly isExpunged?: true;
  /** Thunderbird fetched only its beginning from the maildrop. */
  readonly isPartial?: true;
  /** The header without the container's lines; the very same buffer when it had none. */
  readonly head: Buffer;
}

/** What `readState` says of a header that has none of the fields it reads, without looking for them (see head.ts). */
export function plainState(head: Buffer, line: DatedLine = {}): MessageState {
  const received = dateOf(head, line);
  return {
    traits:
      received === undefined
        ? NO_TRAITS
        : { flags: NO_TRAITS.flags, keywords: NO_TRAITS.keywords, labels: NO_TRAITS.labels, received },
    dateFromHeader: line.received === undefined && received !== undefined,
    head,
  };
}

/**
 * Traits from a message's first octets (the header with its blank line) and the date of its From_ line; `head` is everything
 * else, byte for byte. Where no field tells flags, there are none.
 */
export function readState(
  head: Buffer,
  line: DatedLine = {},
  container: ReadonlyMap<string, RegExp> = CONTAINER_FIELDS,
): MessageState {
  const block = Buffer.from(headerBlock(head));
  const fields = new Map<string, string>();
  const kept: Buffer[] = [];
  let from = 0;
  for (let at = 0; at < block.length; ) {
    const end = fieldEnd(block, at);
    const name = fieldName(block, at, end);
    const shape = name === undefined ? undefined : container.get(name);
    if (name !== undefined && shape !== undefined) {
      const value = fieldValue(block.subarray(at, end));
      if (shape.test(value)) {
        // A program that does not know another's lines may leave two: the topmost is the newer.
        if (!fields.has(name)) fields.set(name, value);
        kept.push(block.subarray(from, at));
        from = end;
      }
    }
    at = end;
  }
  const left = kept.length === 0 ? head : Buffer.concat([...kept, block.subarray(from), head.subarray(block.length)]);
  // An mbox out of a zip of ours.
  const rest = container === CONTAINER_FIELDS ? shownOwnFields(left) : left;
  const received = dateOf(head, line);
  const traits = traitsOf(fields, gmailLabels(head), received, fields.has("x-status") && isKMail(head, fields));
  return {
    traits: evolutionTraits(head, traits),
    dateFromHeader: line.received === undefined && received !== undefined,
    head: rest,
    // Thunderbird writes no X-Status: with its D beside, both are ours, of a message that was deleted and is in an account still.
    ...(mozillaBits(fields) & MOZILLA.expunged && !/D/.test(fields.get("x-status") ?? "") ? { isExpunged: true } : {}),
    ...(mozillaBits(fields) & MOZILLA.partial ? { isPartial: true } : {}),
  };
}

/** What Thunderbird keeps in the files of its Maildir store, and takes for its own. */
const MOZILLA_FIELDS: ReadonlyMap<string, RegExp> = new Map(
  [...CONTAINER_FIELDS].filter(([name]) => name.startsWith("x-mozilla-")),
);

/** The state of a message file of Thunderbird's Maildir store. */
export function readMozillaState(head: Buffer): MessageState {
  return readState(head, {}, MOZILLA_FIELDS);
}

/** Written by a clock that may be a little ahead or behind. */
const CLOCKS_DIFFER = 86_400;

/** The date of storing gives way to the header's, which cannot be later. */
function dateOf(head: Buffer, { received, isOfStoring }: DatedLine): Received | undefined {
  if (received !== undefined && isOfStoring === undefined) return received;
  const header = receivedFromHeader(head);
  if (received === undefined || header === undefined) return header ?? received;
  return header.epochSeconds <= received.epochSeconds + CLOCKS_DIFFER ? header : received;
}

/** True for the message that UW-IMAP, Alpine and Dovecot keep their own data in (the first of a mailbox). */
export function isInternalData(head: Buffer): boolean {
  if (headerValue(head, "x-imap") === undefined && headerValue(head, "x-imapbase") === undefined) return false;
  return /DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA/i.test(headerValue(head, "subject") ?? "");
}

function fieldValue(field: Buffer): string {
  return headerText(field.subarray(field.indexOf(58) + 1))
    .replace(/\r*\n(?=[ \t])/g, "")
    .trim();
}

const LETTERS: Readonly<Record<string, SystemFlag>> = {
  R: "seen",
  A: "answered",
  F: "flagged",
  D: "deleted",
  T: "draft",
};

/**
 * KMail has letters of its own in X-Status, some of which mean something else elsewhere: F is forwarded, T has an attachment, C has none. N, U
 * and O say what Status says.
 */
const KMAIL_FLAGS: Readonly<Record<string, SystemFlag>> = { R: "seen", A: "answered", G: "flagged", D: "deleted" };
const KMAIL_KEYWORDS: Readonly<Record<string, string>> = {
  F: "$Forwarded",
  K: "$TODO",
  Q: "$QUEUED",
  S: "$SENT",
  W: "$WATCHED",
  I: "$IGNORED",
  P: "$Junk",
  H: "$NotJunk",
};

/** By a field that KMail alone writes, or by letters that nobody else has. */
function isKMail(head: Buffer, fields: ReadonlyMap<string, string>): boolean {
  if (/[CGHIKPQSW]/.test(fields.get("x-status") ?? "")) return true;
  return ["x-kmail-encryptionstate", "x-kmail-signaturestate", "x-kmail-mdn-sent"].some(
    (name) => headerValue(head, name) !== undefined,
  );
}

/** CamelMessageFlags of Evolution, the low 16 bits of which stand in X-Evolution behind the UID. */
const EVOLUTION: readonly (readonly [number, SystemFlag])[] = [
  [0x01, "answered"],
  [0x02, "deleted"],
  [0x04, "draft"],
  [0x08, "flagged"],
  [0x10, "seen"],
];
const EVOLUTION_KEYWORDS: readonly (readonly [number, string])[] = [
  [0x80, "$Junk"],
  [0x200, "$NotJunk"],
  [0x400, "$Forwarded"],
];

/** The field stays where it is: earlier copies have it. Its labels are user flags ("flags=a,b"); what else it holds is no keyword. */
function evolutionTraits(head: Buffer, traits: Traits): Traits {
  const value = headerValue(head, "x-evolution");
  const match = /^[0-9a-f]{8}-([0-9a-f]{4})(?:;(.*))?$/is.exec(value ?? "");
  if (match === null) return traits;
  const bits = Number.parseInt(match[1] ?? "0", 16);
  const flags = new Set(traits.flags);
  for (const [bit, flag] of EVOLUTION) if (bits & bit) flags.add(flag);
  const keywords = new Set(traits.keywords);
  const folded = new Set([...keywords].map((word) => word.toLowerCase()));
  const names = /(?:^|[;\s])flags=(?:"([^"]*)"|([^;\s]*))/i.exec(match[2] ?? "");
  const user = (names?.[1] ?? names?.[2] ?? "").split(",").filter((name) => /^[\x21-\x7e]+$/.test(name));
  for (const name of [...EVOLUTION_KEYWORDS.flatMap(([bit, name]) => (bits & bit ? [name] : [])), ...user]) {
    if (folded.has(name.toLowerCase())) continue;
    folded.add(name.toLowerCase());
    keywords.add(name);
  }
  return { ...traits, flags, keywords };
}

/** Both fields name bits of one word; `|` works on 32 bits, and so do all masks here. */
function mozillaBits(fields: ReadonlyMap<string, string>): number {
  const low = Number.parseInt(fields.get("x-mozilla-status") || "0", 16) & 0xffff;
  return low | Number.parseInt(fields.get("x-mozilla-status2") || "0", 16);
}

/** nsMsgMessageFlags of Thunderbird. X-Mozilla-Status holds the low 16 bits, X-Mozilla-Status2 the high ones (in all 32). */
const MOZILLA = {
  read: 0x0001,
  replied: 0x0002,
  marked: 0x0004,
  expunged: 0x0008,
  partial: 0x0400,
  forwarded: 0x1000,
  imapDeleted: 0x0020_0000,
  receiptSent: 0x0080_0000,
} as const;

function traitsOf(
  fields: ReadonlyMap<string, string>,
  gmail: readonly string[],
  received: Received | undefined,
  kmail: boolean,
): Traits {
  const flags = new Set<SystemFlag>();
  const keywords = new Set<string>();
  // Python's mailbox and c-client read the letters of both fields alike.
  for (const letter of `${fields.get("status") ?? ""}${kmail ? "" : (fields.get("x-status") ?? "")}`) {
    const flag = LETTERS[letter];
    if (flag !== undefined) flags.add(flag);
  }
  if (kmail)
    for (const letter of fields.get("x-status") ?? "") {
      const flag = KMAIL_FLAGS[letter];
      if (flag !== undefined) flags.add(flag);
      const keyword = KMAIL_KEYWORDS[letter];
      if (keyword !== undefined) keywords.add(keyword);
    }
  const bits = mozillaBits(fields);
  if (bits & MOZILLA.read) flags.add("seen");
  if (bits & MOZILLA.replied) flags.add("answered");
  if (bits & MOZILLA.marked) flags.add("flagged");
  // Deleted in Thunderbird but not compacted yet: handed on with the flag, so that nothing goes in silence.
  if (bits & (MOZILLA.expunged | MOZILLA.imapDeleted)) flags.add("deleted");
  if (bits & MOZILLA.forwarded) keywords.add("$Forwarded");
  if (bits & MOZILLA.receiptSent) keywords.add("$MDNSent");
  // Labels 1 to 5, before there were tags.
  const label = (bits >>> 25) & 7;
  if (label >= 1 && label <= 5) keywords.add(`$label${label}`);
  // Keywords compare without case: the first spelling stays.
  const folded = new Set([...keywords].map((word) => word.toLowerCase()));
  for (const name of ["x-keywords", "x-mozilla-keys"])
    for (const word of (fields.get(name) ?? "").split(/\s+/)) {
      if (word === "" || folded.has(word.toLowerCase())) continue;
      folded.add(word.toLowerCase());
      keywords.add(word);
    }
  if (!fields.has("status") && !fields.has("x-status") && !fields.has("x-mozilla-status"))
    for (const flag of gmailFlags(gmail)) flags.add(flag);
  return { flags, keywords, labels: new Set(gmail), ...(received === undefined ? {} : { received }) };
}

let loaded: typeof libmime | undefined;

/** Loaded when it is first needed: only Takeout's mail does, and it takes longer to load than a small mailbox to read. */
function mime(): typeof libmime {
  loaded ??= createRequire(import.meta.url)("libmime") as typeof libmime;
  return loaded;
}

/** Takeout's labels: encoded words (RFC 2047) first, then names parted by commas, quoted where they hold one. */
function gmailLabels(head: Buffer): string[] {
  const value = headerValue(head, "x-gmail-labels");
  if (value === undefined) return [];
  let text = value;
  try {
    text = mime().decodeWords(value);
  } catch {
    // An encoding that nobody knows: the words as they stand.
  }
  const labels: string[] = [];
  for (const match of text.matchAll(/\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)/g)) {
    const label = match[1]?.replace(/\\(.)/g, "$1") ?? match[2]?.trim() ?? "";
    if (label !== "") labels.push(label);
  }
  return labels;
}

/** Labels that an English account's Takeout always uses some of: only then does the absence of "Unread" say anything. */
const ENGLISH = new Set(["Inbox", "Archived", "Sent", "Important", "Starred", "Trash", "Spam", "Chat", "Drafts"]);

/** Takeout tells flags by labels alone, in the account's language; of others than English ones nothing is guessed. */
function gmailFlags(labels: readonly string[]): SystemFlag[] {
  const flags: SystemFlag[] = [];
  const unread = labels.includes("Unread");
  if (!unread && (labels.includes("Opened") || labels.some((label) => ENGLISH.has(label)))) flags.push("seen");
  if (labels.includes("Starred")) flags.push("flagged");
  if (labels.includes("Drafts") || labels.includes("Draft")) flags.push("draft");
  return flags;
}
