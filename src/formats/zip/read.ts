// Reading a zip with yauzl: its entries under limits, and their bytes with the CRC checked.

import { readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { openPromise, type Entry as YauzlEntry, type ZipFile } from "yauzl";
import { kindOf } from "../../core/own-file.ts";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import { damagedZip } from "./seal.ts";

/** A zip with more is refused: nobody has that many folders, and each costs memory. */
export const MAX_ENTRIES = 100_000;
/** Octets of all names together. */
export const MAX_NAME_BYTES = 64 * 1024 * 1024;

/** Deflate cannot do better (RFC 1951: a bit for 129 octets); small entries are let be. */
export const MAX_RATIO = 1032;
const SMALL_ENTRY = 64 * 1024;

/** The fixed part of a local header (APPNOTE 4.3.7). */
const LOCAL_HEADER = 30;
const FILE_TYPE = 0o170000;
const REGULAR_FILE = 0o100000;

export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly packedSize: number;
  readonly stored: boolean;
  readonly crc: number;
}

export interface Zip extends AsyncDisposable {
  readonly path: string;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Octets of the whole file, and its comment, as its directory says. */
  readonly size: number;
  readonly comment: string;
  /**
   * The entry's octets from `start` on (more than 0 only for a stored entry). Without a start the CRC is checked at the end.
   * Throws MailError malformed when the entry is missing or damaged, of the given scope.
   */
  read(name: string, scope: "message" | "account", start?: number): AsyncGenerator<Buffer>;
}

/**
 * Opens a zip and reads its directory. Throws MailError not-found, config or io when the file cannot be read, malformed when it
 * is no zip, is cut off, has unsafe or equal names, links, entries that overlap, or exceeds the limits.
 */
export async function openZip(path: string): Promise<Zip> {
  let file: ZipFile;
  try {
    // A pipe would be waited for.
    const stats = await stat(path);
    if (!stats.isFile())
      throw new MailError("malformed", `${path} is ${kindOf(stats)}, and no zip`, {
        scope: "account",
        remedy: "give-up",
        hint: "Put the zip there.",
      });
    // An entry's name is never decoded into another one: a backslash is an error, not a "/".
    file = await openPromise(path, { autoClose: false, strictFileNames: true });
  } catch (error) {
    throw foreign(path, error);
  }
  // What goes wrong while nobody reads is told to the next who does.
  file.on("error", () => undefined);
  try {
    const found = await readDirectory(path, file);
    return {
      path,
      entries: found.entries,
      size: file.fileSize,
      comment: file.comment,
      read: (name, scope, start) => readEntry(path, file, found.raw.get(name), name, scope, start),
      async [Symbol.asyncDispose]() {
        file.close();
      },
    };
  } catch (error) {
    file.close();
    throw foreign(path, error);
  }
}

async function readDirectory(path: string, file: ZipFile) {
  if (file.entryCount > MAX_ENTRIES) throw damagedZip(path, `it has more than ${MAX_ENTRIES} entries`);
  const entries = new Map<string, ZipEntry>();
  const raw = new Map<string, YauzlEntry>();
  let nameBytes = 0;
  // Where the directory begins, until it is read; its type says otherwise by mistake.
  const beforeDirectory = Number(file.readEntryCursor);
  for await (const entry of file.eachEntry()) {
    const name = entry.fileName;
    nameBytes += entry.fileNameLength;
    if (nameBytes > MAX_NAME_BYTES) throw damagedZip(path, "its entries' names are too long");
    if (name.includes("\0")) throw damagedZip(path, "an entry's name holds a NUL");
    // Directories hold nothing; other programs add them.
    if (name.endsWith("/")) continue;
    if (entries.has(name)) throw damagedZip(path, `two entries have the name ${JSON.stringify(name)}`);
    if (!entry.canDecodeFileData())
      throw damagedZip(path, `the entry ${JSON.stringify(name)} is packed in an unknown way`);
    if (isLink(entry)) throw damagedZip(path, `the entry ${JSON.stringify(name)} is a link or a device, and no file`);
    if (entry.uncompressedSize > SMALL_ENTRY && entry.uncompressedSize > entry.compressedSize * MAX_RATIO)
      throw damagedZip(path, `the entry ${JSON.stringify(name)} claims to unpack to more than it can hold`);
    raw.set(name, entry);
    entries.set(name, {
      name,
      size: entry.uncompressedSize,
      packedSize: entry.compressedSize,
      stored: entry.compressionMethod === 0,
      crc: entry.crc32,
    });
  }
  demandApart(path, [...raw.values()], beforeDirectory);
  return { entries, raw };
}

/** Whether the entry's Unix mode, where it has one, is that of anything but a file. */
function isLink({ externalFileAttributes }: YauzlEntry): boolean {
  const type = (externalFileAttributes >>> 16) & FILE_TYPE;
  return type !== 0 && type !== REGULAR_FILE;
}

/** No two entries share octets: a small file with millions of such entries would unpack without end. */
function demandApart(path: string, entries: readonly YauzlEntry[], limit: number): void {
  let end = 0;
  for (const entry of [...entries].sort((a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader)) {
    const start = entry.relativeOffsetOfLocalHeader;
    if (start < end) throw damagedZip(path, `the entry ${JSON.stringify(entry.fileName)} lies inside another one`);
    end = start + LOCAL_HEADER + entry.fileNameLength + entry.compressedSize;
  }
  if (end > limit) throw damagedZip(path, "its last entry lies inside its directory");
}

async function* readEntry(
  path: string,
  file: ZipFile,
  entry: YauzlEntry | undefined,
  name: string,
  scope: "message" | "account",
  start = 0,
): AsyncGenerator<Buffer> {
  if (entry === undefined) throw damagedZip(path, `the entry ${JSON.stringify(name)} is missing`, undefined, scope);
  let crc = 0;
  try {
    const stream = await file.openReadStreamPromise(entry, start > 0 ? { start } : {});
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (start === 0) crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (error) {
    if (errno(error)?.startsWith("E") === true) throw ioError(`cannot read ${path}`, error);
    const text = error instanceof Error ? error.message : String(error);
    throw damagedZip(path, `the entry ${JSON.stringify(name)} cannot be unpacked (${text})`, error, scope);
  }
  if (start === 0 && crc !== entry.crc32)
    throw damagedZip(path, `the entry ${JSON.stringify(name)} does not match its CRC`, undefined, scope);
}

function foreign(path: string, error: unknown): MailError {
  if (error instanceof MailError) return error;
  const code = errno(error);
  const to = code === "ENOENT" || code === "ELOOP" ? linkedTo(path) : undefined;
  if (to !== undefined) {
    const why = code === "ELOOP" ? "a link that leads round in a circle" : `a link to ${to}, which is not there`;
    return new MailError("malformed", `${path} is ${why}`, {
      scope: "account",
      remedy: "give-up",
      hint: "Put there what it leads to (mount it), or the zip itself.",
      cause: error,
    });
  }
  if (code === "ENOENT")
    return new MailError("config", `there is no file ${path}`, { scope: "account", remedy: "give-up", cause: error });
  if (code?.startsWith("E") === true && code !== "EOF") return ioError(`cannot read ${path}`, error);
  const text = error instanceof Error ? error.message : String(error);
  if (/end of central dir|comment length/i.test(text))
    return damagedZip(path, "not a whole zip file: it is cut off, or is none", error);
  return damagedZip(path, `not a whole zip file (${text.replace(/\.$/, "")})`, error);
}

/** Undefined for what is no link, or not there. */
function linkedTo(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
