// One zip by itself: seal, structure, CRCs, and every message's bytes against the manifest inside.

import { createHash } from "node:crypto";
import { MailError } from "../../mail/errors.ts";
import { KeyHasher } from "../../mail/key.ts";
import { decodeRecord, type HeaderRecord, MANIFEST_NAME, type MessageRecord } from "../manifest.ts";
import { openZip, type Zip } from "../zip/read.ts";
import { readSeal, sealProblem } from "../zip/seal.ts";
import { originalOf } from "./content.ts";
import { type Cursor, cursorOver } from "./cursor.ts";
import { foldedName, isEntryName } from "./names.ts";
import { contentLength, parseRef, placeOf } from "./ref.ts";
import { openSpill, type Spill } from "./spill.ts";
import { manifestOf } from "./zips.ts";

export interface ZipCheck {
  readonly header?: HeaderRecord;
  /** Messages whose bytes are all there and right. */
  readonly messages: number;
}

/**
 * Reads the whole zip once and tells every problem; memory does not grow with it. Temporary files go to `directory`. Throws
 * only what is no fault of the zip: MailError config or io when it cannot be read, or the signal's reason.
 */
export async function checkZip(
  path: string,
  directory: string,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<ZipCheck> {
  const guarded = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof MailError) || error.code !== "malformed") throw error;
      onProblem(error.message);
      return undefined;
    }
  };
  signal.throwIfAborted();
  const seal = await readSeal(path, signal).catch(() => "unread" as const);
  signal.throwIfAborted();
  if (seal === "broken") onProblem(sealProblem(path, seal));
  const zip = await guarded(() => openZip(path));
  // A file that is cut off has lost its seal along with its end: nobody has packed it again.
  if (seal === "none" && zip !== undefined) onProblem(sealProblem(path, seal));
  if (zip === undefined) return { messages: 0 };
  await using _zip = zip;
  await using spill = await openSpill(directory);
  const header = await guarded(() => readLines(zip, spill, signal, onProblem));
  checkNames(zip, onProblem);
  let messages = 0;
  const listed = new Set(spill.keys());
  for (const name of listed)
    if (!zip.entries.has(name)) onProblem(`${path}: the entry ${JSON.stringify(name)} is missing`);
  for (const { name } of zip.entries.values()) {
    if (name === MANIFEST_NAME) continue;
    if (!listed.has(name)) onProblem(`${path}: the entry ${JSON.stringify(name)} is not in the manifest`);
    await guarded(async () => {
      for await (const good of checkEntry(zip, name, spill.lines(name), onProblem)) {
        signal.throwIfAborted();
        if (good) messages++;
      }
    });
  }
  return { messages, ...(header === undefined ? {} : { header }) };
}

/** Sorts the messages' lines by their entry. */
async function readLines(
  zip: Zip,
  spill: Spill,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<HeaderRecord | undefined> {
  let header: HeaderRecord | undefined;
  const owners = new Map<string, string>();
  for await (const { record, bytes, number } of manifestOf(zip, ({ message }) => onProblem(message))) {
    signal.throwIfAborted();
    const where = `${zip.path}: ${MANIFEST_NAME}, line ${number}`;
    if (record.type === "header") header = record;
    else if (record.type === "update") {
      if (parseRef(record.ref) === undefined) onProblem(`${where}: it changes a message that cannot be`);
    } else {
      const folder = JSON.stringify(record.type === "folder" ? record.path : record.folder);
      const owner = owners.get(record.entry);
      if (owner === undefined) owners.set(record.entry, folder);
      else if (owner !== folder) onProblem(`${where}: two folders have the entry ${JSON.stringify(record.entry)}`);
      if (record.type === "message") await spill.add(record.entry, `${number} ${bytes.toString("utf8")}`);
    }
  }
  return header;
}

function checkNames(zip: Zip, onProblem: (text: string) => void): void {
  const folded = new Set<string>();
  for (const name of zip.entries.keys()) {
    if (name !== MANIFEST_NAME && !isEntryName(name))
      onProblem(`${zip.path}: the entry ${JSON.stringify(name)} is not a safe name for a folder's mbox`);
    const key = foldedName(name);
    if (folded.has(key))
      onProblem(`${zip.path}: the entry ${JSON.stringify(name)} would overwrite another where case does not count`);
    folded.add(key);
  }
}

/** One boolean a message: whether all is right with it. The entry's CRC is checked at the end. */
async function* checkEntry(
  zip: Zip,
  name: string,
  lines: AsyncIterable<string>,
  onProblem: (text: string) => void,
): AsyncGenerator<boolean> {
  await using cursor = cursorOver(zip.read(name, "account"));
  for await (const line of lines) {
    const space = line.indexOf(" ");
    const where = `${zip.path}: ${MANIFEST_NAME}, line ${line.slice(0, space)}`;
    const record = decodeRecord(Buffer.from(line.slice(space + 1)));
    if (record.type !== "message") continue;
    if (record.offset !== cursor.position()) {
      const how =
        record.offset < cursor.position() ? "overlaps the one before it" : "does not follow the one before it";
      onProblem(`${where}: the message ${how}`);
      if (record.offset < cursor.position()) {
        yield false;
        continue;
      }
      await cursor.skip(record.offset - cursor.position());
    }
    const problem = await checkMessage(cursor, record);
    if (problem !== undefined) onProblem(`${where}: ${problem}`);
    yield problem === undefined;
  }
  const extra = await cursor.skip(Number.POSITIVE_INFINITY);
  if (extra > 0) onProblem(`${zip.path}: ${extra} bytes of ${JSON.stringify(name)} are in no line of the manifest`);
}

async function checkMessage(cursor: Cursor, record: MessageRecord): Promise<string | undefined> {
  const place = placeOf(1, record);
  const { head } = place;
  const stored = contentLength(place);
  const tail = record.length - head - stored;
  const fromLength = record.added[0] - record.offset;
  const before: Buffer[] = [];
  for await (const chunk of cursor.take(Math.min(fromLength, 5))) before.push(chunk);
  await cursor.skip(head - Math.min(fromLength, 5));
  const hash = createHash("sha256");
  const hasher = new KeyHasher();
  for await (const chunk of originalOf(cursor.take(stored), place)) {
    hash.update(chunk);
    hasher.update(chunk);
  }
  const after: Buffer[] = [];
  for await (const chunk of cursor.take(tail)) after.push(chunk);
  const { key, shape } = hasher.digest();
  if (shape.size !== record.size) return `the message has ${shape.size} bytes, and not ${record.size}`;
  if (hash.digest("hex") !== record.sha256) return "the message's bytes do not match their SHA-256";
  if (key !== record.key) return "the message does not match its content key";
  if (Buffer.concat(before).toString("latin1") !== "From ") return "the message does not begin with a From_ line";
  if (Buffer.concat(after).toString("latin1") !== "\n".repeat(tail)) return "the message does not end in a blank line";
  return undefined;
}
