// The spool: one mbox a folder and the manifest of the zip to be, append-only, and whole again after any crash.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, readdir, rm, truncate, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureDirectory, replaceFile, syncDirectory } from "../../core/files.ts";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import {
  encodeRecord,
  type FolderRecord,
  type HeaderRecord,
  MANIFEST_NAME,
  type ManifestLine,
  readManifest,
} from "../manifest.ts";
import { pathKey } from "./catalogue.ts";
import { noMessage } from "./content.ts";
import { entryNames } from "./names.ts";
import type { Place } from "./ref.ts";

export interface SpoolFolder {
  /** The newest line; `entry` never changes. */
  record: FolderRecord;
  /** Whether the manifest has a line for it. */
  listed: boolean;
  /** Octets of its mbox that the manifest knows. */
  end: number;
}

/** What lies on disk and counts; the committer alone moves it forward. */
export interface Spool extends AsyncDisposable {
  readonly directory: string;
  readonly header: HeaderRecord;
  readonly manifest: FileHandle;
  /** Octets of the manifest that count. */
  manifestEnd: number;
  /** Lines after the header. */
  lines: number;
  messages: number;
  readonly folders: ReadonlyMap<string, SpoolFolder>;
  /** The folder of this path; a new one gets its entry name, but no line before `listed` says so. */
  folder(record: Omit<FolderRecord, "entry">): SpoolFolder;
  /** The mbox of an entry. Its name on disk is a hash: nothing that a server named becomes a path here. */
  fileOf(entry: string): string;
  /** All octets of a message's place, as ZipShelf.stored gives them. */
  stored(place: Place, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The lines that count now, from an earlier `manifestEnd` on (0: from the header on). */
  read(from: number): AsyncGenerator<ManifestLine>;
}

const CHUNK = 256 * 1024;

/** The first line of a spool's manifest; undefined where there is none that is whole. Changes nothing. */
export async function spoolHeader(directory: string): Promise<HeaderRecord | undefined> {
  try {
    const content = createReadStream(join(directory, MANIFEST_NAME));
    for await (const { record } of readManifest(content, join(directory, MANIFEST_NAME), "torn"))
      return record.type === "header" ? record : undefined;
    return undefined;
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw ioError(`cannot read ${directory}`, asDamaged(join(directory, MANIFEST_NAME), error));
  }
}

/**
 * Opens the spool, or begins it with this header. After a crash the manifest's torn last line is cut, and then each mbox to the
 * end of its last message in the manifest. Throws MailError malformed when the manifest knows more than an mbox holds, or has a
 * bad line before its last; nothing is cut then.
 */
export async function openSpool(directory: string, fresh: HeaderRecord): Promise<Spool> {
  const manifestPath = join(directory, MANIFEST_NAME);
  const fileOf = (entry: string) =>
    join(directory, `${createHash("sha256").update(entry).digest("hex").slice(0, 32)}.mbox`);
  const folders = new Map<string, SpoolFolder>();
  const names = entryNames();
  let header = await spoolHeader(directory);
  try {
    if (header === undefined) {
      await rm(directory, { recursive: true, force: true });
      await ensureDirectory(directory);
      await syncDirectory(dirname(directory));
      await replaceFile(manifestPath, encodeRecord(fresh));
      header = fresh;
    } else if (header.archive !== fresh.archive || header.zip !== fresh.zip)
      throw damaged(manifestPath, "it belongs to another archive");
    const state = await recover(manifestPath, directory, fileOf, folders);
    for (const { record } of folders.values()) names.take(record.entry);
    const manifest = await open(manifestPath, "r+");
    const spool: Spool = {
      directory,
      header,
      manifest,
      ...state,
      folders,
      folder(record) {
        const key = pathKey(record.path);
        let folder = folders.get(key);
        if (folder === undefined) {
          folder = { record: { ...record, entry: names.claim(record.path) }, listed: false, end: 0 };
          folders.set(key, folder);
        } else folder.record = { ...record, entry: folder.record.entry };
        return folder;
      },
      fileOf,
      async *stored(place, signal) {
        const { offset, length } = place;
        const options = { start: offset, end: offset + length - 1, highWaterMark: CHUNK };
        try {
          let left = length;
          for await (const chunk of createReadStream(fileOf(place.entry), options) as AsyncIterable<Buffer>) {
            signal.throwIfAborted();
            left -= chunk.length;
            yield chunk;
          }
          if (left > 0) throw noMessage(place);
        } catch (error) {
          if (errno(error) === "ENOENT") throw noMessage(place, error);
          throw signal.aborted ? error : ioError(`cannot read ${directory}`, error);
        }
      },
      async *read(from) {
        if (from >= spool.manifestEnd) return;
        const range = { start: from, end: spool.manifestEnd - 1, highWaterMark: CHUNK };
        yield* readManifest(createReadStream(manifestPath, range), manifestPath, from === 0 ? "whole" : "rest");
      },
      [Symbol.asyncDispose]: () => manifest.close(),
    };
    return spool;
  } catch (error) {
    throw ioError(`cannot open ${directory}`, asDamaged(manifestPath, error));
  }
}

function damaged(path: string, why: string): MailError {
  return withWayOut(path, `${path}: ${why}`);
}

/** A line of it that cannot be trusted: there is no other copy of a spool, and its source still has all of it. */
function asDamaged(path: string, error: unknown): unknown {
  return error instanceof MailError && error.code === "malformed" ? withWayOut(path, error.message, error) : error;
}

function withWayOut(path: string, what: string, cause?: unknown): MailError {
  return new MailError("malformed", what, {
    scope: "account",
    remedy: "give-up",
    cause,
    hint: `Remove ${dirname(path)} and run the same command with --recheck: what it held is copied again.`,
  });
}

async function recover(
  manifestPath: string,
  directory: string,
  fileOf: (entry: string) => string,
  folders: Map<string, SpoolFolder>,
): Promise<{ manifestEnd: number; lines: number; messages: number }> {
  let manifestEnd = 0;
  let lines = -1;
  let messages = 0;
  for await (const { record, end, number } of readManifest(createReadStream(manifestPath), manifestPath, "torn")) {
    manifestEnd = end;
    lines++;
    if (record.type === "folder") {
      const folder = folders.get(pathKey(record.path));
      if (folder === undefined) folders.set(pathKey(record.path), { record, listed: true, end: 0 });
      else folder.record = record;
    } else if (record.type === "message") {
      const folder = folders.get(pathKey(record.folder));
      if (folder === undefined || folder.record.entry !== record.entry || folder.end !== record.offset)
        throw damaged(manifestPath, `line ${number} does not follow from the lines before it`);
      folder.end += record.length;
      messages++;
    }
  }
  const known = new Map<string, number>();
  for (const { record, end } of folders.values()) if (end > 0) known.set(fileOf(record.entry), end);
  // First look at all, then cut: a spool that is damaged is left as it was found.
  const sizes = new Map<string, number>();
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (path !== manifestPath) sizes.set(path, await sizeOf(path));
  }
  for (const [path, end] of known)
    if ((sizes.get(path) ?? 0) < end) throw damaged(manifestPath, `${path} is shorter than the manifest says`);
  if ((await sizeOf(manifestPath)) > manifestEnd) await cut(manifestPath, manifestEnd);
  for (const [path, size] of sizes) {
    const end = known.get(path);
    if (end === undefined) await unlink(path);
    else if (size > end) await cut(path, end);
  }
  return { manifestEnd, lines, messages };
}

async function sizeOf(path: string): Promise<number> {
  const handle = await open(path, "r");
  try {
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

async function cut(path: string, end: number): Promise<void> {
  await truncate(path, end);
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The octets of all mboxes and the manifest. */
export function spoolBytes(spool: Spool): number {
  let bytes = spool.manifestEnd;
  for (const { end } of spool.folders.values()) bytes += end;
  return bytes;
}
