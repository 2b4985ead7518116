// The records of a manifest and their lines: JSON with a checksum, every field checked when it is read back.

import { crc32 } from "node:zlib";
import { MailError } from "../../mail/errors.ts";
import type { ContentKey } from "../../mail/key.ts";
import type { LineEndRule } from "../../mail/lineends.ts";
import {
  type FolderPath,
  type Origin,
  type Received,
  type SpecialUse,
  SYSTEM_FLAGS,
  type SystemFlag,
  type TraitChange,
  type Traits,
} from "../../mail/model.ts";

/** The manifest's name inside a zip. No folder's file can have it: those end in ".mbox". */
export const MANIFEST_NAME = "manifest.jsonl";
export const MANIFEST_FORMAT = "mailferry-mboxzip";
/** 2: with `hides`. */
export const MANIFEST_VERSION = 2;
/** The first line of every manifest. */
export interface HeaderRecord {
  readonly type: "header";
  /** The archive's own id, the same in every zip of one archive. */
  readonly archive: string;
  /** Names the job that wrote it, an opaque text. */
  readonly job: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** The number of this zip in its archive, from 1. */
  readonly zip: number;
  /** Messages that failed in the run that finished the archive, and are not in it. Only in a FILE.zip. */
  readonly failed?: number;
}

/** A folder; a later line for the same path says how it is now. */
export interface FolderRecord {
  readonly type: "folder";
  readonly path: FolderPath;
  readonly selectable: boolean;
  readonly use?: SpecialUse;
  readonly subscribed?: boolean;
  /** The entry that holds its messages in this zip; without messages there is no such entry. */
  readonly entry: string;
}

/** One message: what the source said of it, and where and how its bytes lie in the mbox. */
export interface MessageRecord {
  readonly type: "message";
  readonly folder: FolderPath;
  readonly origin: Origin;
  readonly traits: Traits;
  /** Octets of the original. */
  readonly size: number;
  readonly key: ContentKey;
  /** SHA-256 of the original octets, lower-case hex. */
  readonly sha256: string;
  /** "lf": the original's lines end in CRLF, here in LF. */
  readonly lines: LineEndRule;
  readonly entry: string;
  /** Of the From_ line, in octets from the start of the mbox. */
  readonly offset: number;
  /** Octets from the From_ line to the end of the separating blank line. */
  readonly length: number;
  /** The octets [start, end) of the mbox that hold lines added for mail programs, directly after the From_ line. */
  readonly added: readonly [start: number, end: number];
  /** True when a newline was added because the message ended without one. */
  readonly newline: boolean;
  /** True when fields of its header stand under other names. */
  readonly hides?: boolean;
}

/** What changed later in the traits of a message that some zip of the archive holds. */
export interface UpdateRecord {
  readonly type: "update";
  readonly folder: FolderPath;
  readonly ref: string;
  readonly change: TraitChange;
}

export type ManifestRecord = HeaderRecord | FolderRecord | MessageRecord | UpdateRecord;

const USES: ReadonlySet<string> = new Set<SpecialUse>([
  "inbox",
  "all",
  "archive",
  "drafts",
  "flagged",
  "important",
  "junk",
  "sent",
  "trash",
]);
const FLAGS: ReadonlySet<string> = new Set(SYSTEM_FLAGS);
const CRC_MARK = ',"crc":"';
/** `,"crc":"01234567"}` */
const CRC_TAIL = CRC_MARK.length + 8 + 2;
const HASH = /^[0-9a-f]{64}$/;

/** One line with its checksum and its newline. */
export function encodeRecord(record: ManifestRecord): string {
  const json = JSON.stringify(plain(record)).slice(0, -1);
  return `${json}${CRC_MARK}${crc32(json).toString(16).padStart(8, "0")}"}\n`;
}

/** Octets [0, length) of one line, without its newline. Throws a plain Error that says what is wrong with it. */
export function decodeRecord(line: Uint8Array): ManifestRecord {
  const buffer = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  const cut = buffer.length - CRC_TAIL;
  const tail = cut > 0 ? buffer.toString("latin1", cut) : "";
  if (!tail.startsWith(CRC_MARK) || !tail.endsWith('"}')) throw new Error("it has no checksum");
  const expected = tail.slice(CRC_MARK.length, CRC_MARK.length + 8);
  if (crc32(buffer.subarray(0, cut)).toString(16).padStart(8, "0") !== expected)
    throw new Error("its checksum does not match");
  return revive(object(JSON.parse(`${buffer.toString("utf8", 0, cut)}}`), "line"));
}

function plain(record: ManifestRecord): object {
  switch (record.type) {
    case "header": {
      const { type, ...rest } = record;
      return { type, format: MANIFEST_FORMAT, version: MANIFEST_VERSION, ...rest };
    }
    case "folder":
      return record;
    case "update": {
      const { type, folder, ref, change } = record;
      return { type, folder, ref, add: lists(change.add), remove: lists(change.remove) };
    }
    case "message": {
      const { type, folder, origin, traits, ...rest } = record;
      const { received } = traits;
      const date =
        received === undefined ? {} : { received: { epoch: received.epochSeconds, zone: received.zoneMinutes } };
      return { type, folder, origin, ...lists(traits), ...date, ...rest };
    }
  }
}

function lists(traits: Omit<Traits, "received">): object {
  return { flags: [...traits.flags], keywords: [...traits.keywords], labels: [...traits.labels] };
}

type Fields = Readonly<Record<string, unknown>>;

function revive(fields: Fields): ManifestRecord {
  switch (fields.type) {
    case "header":
      return reviveHeader(fields);
    case "folder": {
      const { use, subscribed } = fields;
      if (use !== undefined && !(typeof use === "string" && USES.has(use))) throw new Error('"use" is not known');
      return {
        type: "folder",
        path: path(fields.path, "path"),
        selectable: boolean(fields.selectable, "selectable"),
        ...(use === undefined ? {} : { use: use as SpecialUse }),
        ...(subscribed === undefined ? {} : { subscribed: boolean(subscribed, "subscribed") }),
        entry: text(fields.entry, "entry"),
      };
    }
    case "update":
      return {
        type: "update",
        folder: path(fields.folder, "folder"),
        ref: text(fields.ref, "ref"),
        change: { add: sets(object(fields.add, "add")), remove: sets(object(fields.remove, "remove")) },
      };
    case "message":
      return reviveMessage(fields);
    default:
      throw new Error("it is of no known type");
  }
}

function reviveHeader(fields: Fields): HeaderRecord {
  if (fields.format !== MANIFEST_FORMAT) throw new Error("it is not a manifest of mailferry");
  const version = whole(fields.version, "version");
  if (version > MANIFEST_VERSION)
    throw new MailError(
      "config",
      `this archive has version ${version}; this mailferry knows up to ${MANIFEST_VERSION}`,
      {
        scope: "account",
        remedy: "give-up",
        hint: "Use a newer mailferry.",
      },
    );
  return {
    type: "header",
    archive: text(fields.archive, "archive"),
    job: text(fields.job, "job"),
    created: text(fields.created, "created"),
    zip: whole(fields.zip, "zip"),
    ...(fields.failed === undefined ? {} : { failed: whole(fields.failed, "failed") }),
  };
}

function reviveMessage(fields: Fields): MessageRecord {
  const origin = object(fields.origin, "origin");
  const [start, end, ...more] = list(fields.added, "added");
  const offset = whole(fields.offset, "offset");
  const length = whole(fields.length, "length");
  const added = [whole(start, "added"), whole(end, "added")] as const;
  const newline = boolean(fields.newline, "newline");
  const room = length - 1 - (newline ? 1 : 0);
  if (more.length > 0 || added[0] < offset || added[1] < added[0] || added[1] - offset > room)
    throw new Error('"added" lies outside the message');
  const { lines } = fields;
  if (lines !== "lf" && lines !== "as-is") throw new Error('"lines" is not known');
  const key = hash(fields.key, "key") as ContentKey;
  return {
    type: "message",
    folder: path(fields.folder, "folder"),
    origin: {
      folder: path(origin.folder, "origin.folder"),
      generation: text(origin.generation, "origin.generation"),
      id: text(origin.id, "origin.id"),
    },
    traits: { ...sets(fields), ...received(fields.received) },
    size: whole(fields.size, "size"),
    key,
    sha256: hash(fields.sha256, "sha256"),
    lines,
    entry: text(fields.entry, "entry"),
    offset,
    length,
    added,
    newline,
    ...(fields.hides === undefined ? {} : { hides: boolean(fields.hides, "hides") }),
  };
}

function received(value: unknown): { received?: Received } {
  if (value === undefined) return {};
  const { epoch, zone } = object(value, "received");
  if (!Number.isSafeInteger(epoch)) throw new Error('"received" is no date');
  if (zone !== undefined && !Number.isSafeInteger(zone)) throw new Error('"received" has no valid zone');
  return {
    received: { epochSeconds: epoch as number, ...(zone === undefined ? {} : { zoneMinutes: zone as number }) },
  };
}

function sets(fields: Fields): Omit<Traits, "received"> {
  const flags = list(fields.flags, "flags");
  if (!flags.every((flag) => typeof flag === "string" && FLAGS.has(flag)))
    throw new Error('"flags" holds no known flag');
  return {
    flags: new Set(flags as SystemFlag[]),
    keywords: new Set(list(fields.keywords, "keywords").map((item) => text(item, "keywords"))),
    labels: new Set(list(fields.labels, "labels").map((item) => text(item, "labels"))),
  };
}

function object(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`"${name}" is no object`);
  return value as Fields;
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`"${name}" is no list`);
  return value;
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string") throw new Error(`"${name}" is no text`);
  return value;
}

function boolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw new Error(`"${name}" is neither true nor false`);
  return value;
}

function whole(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`"${name}" is no whole number`);
  return value as number;
}

function hash(value: unknown, name: string): string {
  const found = text(value, name);
  if (!HASH.test(found)) throw new Error(`"${name}" is no SHA-256`);
  return found;
}

function path(value: unknown, name: string): FolderPath {
  const names = list(value, name).map((item) => text(item, name));
  if (names.length === 0) throw new Error(`"${name}" is empty`);
  return names;
}
