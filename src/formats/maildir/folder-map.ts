// `mailferry/folders.jsonl`: what the directory name of a folder cannot say (its true path, its use, that it holds no mail).

import { dirname } from "node:path";
import { appendToFile, ensureDirectory, syncDirectory } from "../../core/files.ts";
import { frame, unframe } from "../../core/lines.ts";
import { isObstacle, openOwn, readOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";
import type { FolderPath, SpecialUse } from "../../mail/model.ts";

export const FOLDER_MAP = "folders.jsonl";

export interface FolderNote {
  /** The directory below the root, "" for the inbox. */
  readonly directory: string;
  /** Only where the directory's name does not decode to it. */
  readonly path?: FolderPath;
  readonly use?: SpecialUse;
  readonly selectable: boolean;
}

const USES: ReadonlySet<string> = new Set([
  "inbox",
  "all",
  "archive",
  "drafts",
  "flagged",
  "important",
  "junk",
  "sent",
  "trash",
] satisfies SpecialUse[]);

/** The newest note of every directory; nothing where there is no file. Lines that cannot be read are passed over. */
export async function readFolderMap(file: string): Promise<Map<string, FolderNote>> {
  const notes = new Map<string, FolderNote>();
  let text: string;
  try {
    text = (await readOwn(file)).toString("utf8");
  } catch (error) {
    // What lies there in its place is told where the archive's own files are looked at.
    if (isObstacle(error) || errno(error) === "ENOENT" || errno(error) === "ENOTDIR") return notes;
    throw ioError(`cannot read ${file}`, error);
  }
  for (const line of text.split("\n")) {
    const note = parse(line);
    if (note !== undefined) notes.set(note.directory, note);
  }
  return notes;
}

/** Adds a note, durably; it replaces an older one of the same directory. One call at a time. */
export async function addFolderNote(file: string, note: FolderNote): Promise<void> {
  try {
    const isNew = await ensureDirectory(dirname(file));
    await endLastLine(file);
    const { directory, path, use, selectable } = note;
    await appendToFile(file, frame(JSON.stringify({ d: directory, p: path, u: use, s: selectable })));
    await syncDirectory(dirname(file));
    if (isNew) await syncDirectory(dirname(dirname(file)));
  } catch (error) {
    throw ioError(`cannot write ${file}`, error);
  }
}

/** Cuts what a power cut left of a line. */
async function endLastLine(file: string): Promise<void> {
  const handle = await openOwn(file, "r+").catch((error: unknown) => {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  });
  if (handle === undefined) return;
  try {
    const { size } = await handle.stat();
    const last = Buffer.alloc(1);
    if (size === 0) return;
    await handle.read(last, 0, 1, size - 1);
    if (last[0] === 10) return;
    const text = await handle.readFile();
    await handle.truncate(text.lastIndexOf(10) + 1);
  } finally {
    await handle.close();
  }
}

/** A note comes from a file that anybody may have written: its directory must be one entry below the root. */
function parse(line: string): FolderNote | undefined {
  try {
    // A line without a checksum is of a time before there was one.
    const json = line.startsWith("{") ? line : unframe(Buffer.from(line, "utf8"));
    const value: unknown = JSON.parse(json ?? "");
    if (typeof value !== "object" || value === null) return undefined;
    const { d, p, u, s } = value as Record<string, unknown>;
    if (typeof d !== "string" || !/^(\.[^/\x00]+)?$/.test(d) || d === "..") return undefined;
    const isPath = Array.isArray(p) && p.length > 0 && p.every((part) => typeof part === "string");
    return {
      directory: d,
      selectable: s !== false,
      ...(isPath ? { path: p } : {}),
      ...(typeof u === "string" && USES.has(u) ? { use: u as SpecialUse } : {}),
    };
  } catch {
    return undefined;
  }
}
