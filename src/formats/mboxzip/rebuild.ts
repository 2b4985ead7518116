// A zip whose manifest is damaged: its lines as far as they can be read, and for everything else lines made from the mboxes themselves.

import { createHash } from "node:crypto";
import { MailError } from "../../mail/errors.ts";
import { KeyHasher } from "../../mail/key.ts";
import type { FolderPath } from "../../mail/model.ts";
import { encodeRecord, type ManifestLine, type ManifestRecord, type MessageRecord } from "../manifest.ts";
import { judgeFromLine } from "../mbox/from-line.ts";
import { OWN_PREFIX } from "../mbox/own-fields.ts";
import { readState } from "../mbox/state.ts";
import type { Zip } from "../zip/read.ts";
import { holdsMboxes, whyBad } from "./bad-zips.ts";
import { originalOf } from "./content.ts";
import { type Cursor, cursorOver } from "./cursor.ts";
import { isEntryName, pathOfEntry } from "./names.ts";
import { zipNumber } from "./ref.ts";
import { manifestOf } from "./zips.ts";

/** Octets of a message that are looked at for what we put before it. */
const HEAD = 64 * 1024;
const LF = 10;
const CR = 13;

/** In the place of a generation that nobody knows. */
const REBUILT = "without-manifest";

export function isRebuilt({ origin }: MessageRecord): boolean {
  return origin.generation === REBUILT;
}

/** What is said of a zip whose mboxes are read without its manifest. */
export function lesser(why: string): string {
  return `${why}; what its manifest says no more is read from its mboxes alone: without labels, zones of dates, later changes of flags, and the original form of line ends`;
}

/**
 * The lines of the manifest; where it is damaged, `onDamage` is told, and messages that none of its lines speaks of follow with what their
 * mboxes say. Throws what manifestOf does for a zip that is not ours, or holds no mbox.
 */
export async function* linesOf(
  zip: Zip,
  number: number,
  signal: AbortSignal,
  onDamage: (why: string) => void,
): AsyncGenerator<ManifestLine> {
  let first: MailError | undefined;
  let bad = 0;
  try {
    yield* manifestOf(zip, (error) => {
      first ??= error;
      bad++;
    });
    if (first !== undefined) throw first;
    return;
  } catch (error) {
    // A line that is damaged says more than that the whole does not match its CRC.
    const why = whyBad(first ?? error);
    if (!(await holdsMboxes(zip, signal))) throw error;
    onDamage(lesser(bad > 1 ? `${why} (and ${bad - 1} more)` : why));
  }
  const known = await readable(zip);
  let line = 0;
  for (const name of [...zip.entries.keys()].filter(isEntryName)) {
    const { path = pathOfEntry(name), offsets = new Set<number>() } = known.get(name) ?? {};
    if (!known.has(name)) yield made({ type: "folder", path, selectable: true, entry: name }, ++line);
    try {
      const found = await findMessages(zip, name, offsets, signal);
      if (found.length === 0) continue;
      await using cursor = cursorOver(zip.read(name, "account"));
      for (const place of found) {
        signal.throwIfAborted();
        await cursor.skip(place.offset - cursor.position());
        yield made(await recordOf(cursor, { ...place, path, entry: name, number }), ++line);
      }
    } catch (error) {
      onDamage(`${whyBad(error)}; what no line of the manifest speaks of is not read from it`);
    }
  }
}

/** Folders, and offsets of messages, of which the manifest's readable lines speak. */
async function readable(zip: Zip): Promise<Map<string, { readonly path: FolderPath; readonly offsets: Set<number> }>> {
  const known = new Map<string, { readonly path: FolderPath; readonly offsets: Set<number> }>();
  try {
    for await (const { record } of manifestOf(zip, () => undefined)) {
      if (record.type !== "folder" && record.type !== "message") continue;
      const path = record.type === "folder" ? record.path : record.folder;
      if (!known.has(record.entry)) known.set(record.entry, { path, offsets: new Set() });
      if (record.type === "message") known.get(record.entry)?.offsets.add(record.offset);
    }
  } catch (error) {
    whyBad(error);
  }
  return known;
}

function made(record: ManifestRecord, number: number): ManifestLine {
  const bytes = Buffer.from(encodeRecord(record)).subarray(0, -1);
  return { record, bytes, number, end: 0 };
}

interface Found {
  readonly offset: number;
  readonly length: number;
  /** A CR stands in it: its line ends were kept. */
  readonly hasCr: boolean;
}

/**
 * Where the messages lie that are not in `known`: every line that begins with "From " parts two, as those of messages are quoted. Throws
 * malformed where the entry cannot be read to its end, or has another CRC: then none of its octets can be believed.
 */
async function findMessages(
  zip: Zip,
  name: string,
  known: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  let start = -1;
  let hasCr = false;
  let before = LF;
  let position = 0;
  /** The end of the chunk before, in which a line may have begun. */
  let carried: Buffer = Buffer.alloc(0);
  const end = (at: number): void => {
    if (start >= 0 && !known.has(start)) found.push({ offset: start, length: at - start, hasCr });
  };
  for await (const chunk of zip.read(name, "account")) {
    signal.throwIfAborted();
    const buffer = Buffer.concat([carried, chunk]);
    const base = position - carried.length;
    let from = 0;
    for (let at = buffer.indexOf("From "); at !== -1; at = buffer.indexOf("From ", at + 5)) {
      if ((at === 0 ? before : buffer[at - 1]) !== LF) continue;
      hasCr ||= buffer.subarray(from, at).includes(CR);
      end(base + at);
      start = base + at;
      hasCr = false;
      from = at;
    }
    position += chunk.length;
    const keep = Math.min(4, buffer.length - from);
    const rest = buffer.subarray(buffer.length - keep);
    hasCr ||= buffer.subarray(from, buffer.length - keep).includes(CR);
    if (buffer.length > keep) before = buffer[buffer.length - keep - 1] ?? LF;
    carried = Buffer.from(rest);
  }
  hasCr ||= carried.includes(CR);
  end(position);
  return found;
}

/** The lines that content.ts puts before a message. */
const STATE =
  /^Status: R?O\n(?:X-Status: A?F?D?T?\n)?(?:X-Mozilla-Status: [0-9a-f]{4}\n)?(?:X-Keywords: [^\n]*\n)?(?:X-Mailferry: [^\n]*\n)?/;

async function recordOf(
  cursor: Cursor,
  { offset, length, hasCr, path, entry, number }: Found & { path: FolderPath; entry: string; number: number },
): Promise<MessageRecord> {
  const content = cursor.take(length);
  const first: Buffer[] = [];
  let held = 0;
  while (held < Math.min(length, HEAD)) {
    const next = await content.next();
    if (next.done === true) break;
    first.push(next.value);
    held += next.value.length;
  }
  const head = Buffer.concat(first);
  const fromLength = head.indexOf(LF) + 1;
  if (fromLength === 0) throw unfinished(entry);
  const text = head.toString("latin1", fromLength);
  const added = STATE.exec(text)?.[0].length ?? 0;
  const before = fromLength + added;
  const hides = new RegExp(`^${OWN_PREFIX}`, "m").test(/^(?:(?!\r?\n)[^\n]*\n?)*/.exec(text.slice(added))?.[0] ?? "");
  const stored = length - before - 1;
  if (stored < 0) throw unfinished(entry);
  const hash = createHash("sha256");
  const hasher = new KeyHasher();
  async function* rest(): AsyncGenerator<Uint8Array> {
    let left = stored;
    const some = (chunk: Buffer): Buffer => {
      const part = chunk.subarray(0, left);
      left -= part.length;
      return part;
    };
    yield some(head.subarray(before));
    for await (const chunk of content) yield some(chunk);
  }
  const lines = hasCr ? "as-is" : "lf";
  for await (const chunk of originalOf(rest(), { lines, hides })) {
    hash.update(chunk);
    hasher.update(chunk);
  }
  const { key, shape } = hasher.digest();
  return {
    type: "message",
    folder: path,
    origin: { folder: path, generation: REBUILT, id: `${zipNumber(number)}/${entry}@${offset}` },
    traits: traitsOf(head, fromLength, added),
    size: shape.size,
    key,
    sha256: hash.digest("hex"),
    lines,
    entry,
    offset,
    length,
    added: [offset + fromLength, offset + before],
    newline: false,
    ...(hides ? { hides: true } : {}),
  };
}

function traitsOf(head: Buffer, fromLength: number, added: number): MessageRecord["traits"] {
  const { received } = judgeFromLine(head.toString("latin1", 0, fromLength - 1)).from;
  const state = Buffer.concat([head.subarray(fromLength, fromLength + added), Buffer.from("\n")]);
  const { flags, keywords, labels } = readState(state).traits;
  return { flags, keywords, labels, ...(received === undefined ? {} : { received }) };
}

function unfinished(entry: string): MailError {
  return new MailError("malformed", `${JSON.stringify(entry)} ends within a message`, {
    scope: "account",
    remedy: "give-up",
  });
}
