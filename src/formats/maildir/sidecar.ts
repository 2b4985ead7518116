// What file names cannot hold of a folder's messages (labels, the 27th keyword, odd dates): an append-only JSON-lines journal.

import { type FileHandle, stat } from "node:fs/promises";
import { appendToFile } from "../../core/files.ts";
import { frame, unframe } from "../../core/lines.ts";
import { isObstacle, openOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { type CompactIndex, compactIndex } from "./compact-index.ts";
import { type BytePath, fsPath, showBytes } from "./paths.ts";

/** The whole of what one message has beyond its file; a later record of the same message replaces it. */
export interface Extra {
  readonly keywords: readonly string[];
  readonly labels: readonly string[];
  /** Epoch seconds, where the file system did not keep the time given to it. */
  readonly received?: number;
}

export const NO_EXTRA: Extra = { keywords: [], labels: [] };

export interface Sidecar {
  /** The newest record of a message; undefined when it has none. */
  get(base: string): Promise<Extra | undefined>;
  /** Durable when it resolves. The file is made with the first record. Calls at the same time go one after the other. */
  put(records: readonly { readonly base: string; readonly extra: Extra }[]): Promise<void>;
}

const CHUNK = 64 * 1024;
/** No record that we write is longer; a longer line is damage. */
const LONGEST = 4 << 20;
const LF = 10;
/** Blocks kept over all folders: thousands of folders may be open, and few are read at once. */
const BLOCKS = 16;

interface Block {
  readonly at: number;
  readonly bytes: Buffer;
}
const blocks = new Map<object, Block>();

function keepBlock(owner: object, block: Block): void {
  blocks.delete(owner);
  blocks.set(owner, block);
  if (blocks.size > BLOCKS) for (const oldest of blocks.keys()) if (blocks.delete(oldest)) break;
}

/**
 * Opens a folder's journal; a missing file is an empty one (`fresh`: it is known to be missing), and so is no path at all (then
 * nothing can be put). A line that cannot
 * be read (a torn last one, after a power cut) is passed over: its message never counted as stored. Memory: 24 octets a
 * record; no file stays open.
 */
export async function openSidecar(path: BytePath | undefined, fresh = false): Promise<Sidecar> {
  const index = compactIndex();
  const owner = {};
  let { end, torn } = path === undefined || fresh ? { end: 0, torn: false } : await load(path, index);
  let turn: Promise<void> = Promise.resolve();

  const readAt = async (at: number, length: number): Promise<Buffer> => {
    const kept = blocks.get(owner);
    if (kept !== undefined && at >= kept.at && at + length <= kept.at + kept.bytes.length)
      return kept.bytes.subarray(at - kept.at, at - kept.at + length);
    const handle = await openOwn(fsPath(path ?? ""));
    try {
      const bytes = Buffer.allocUnsafe(Math.max(CHUNK, length));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, at);
      keepBlock(owner, { at, bytes: bytes.subarray(0, bytesRead) });
      return bytes.subarray(0, Math.min(length, bytesRead));
    } finally {
      await handle.close();
    }
  };
  const lineAt = async (at: number): Promise<{ base: string; extra: Extra } | undefined> => {
    for (let length = 512; ; length *= 4) {
      const bytes = await readAt(at, Math.min(length, end - at));
      const stop = bytes.indexOf(LF);
      if (stop !== -1) return parse(bytes.toString("utf8", 0, stop));
      if (bytes.length < length || length > LONGEST) return undefined;
    }
  };
  const append = async (records: Parameters<Sidecar["put"]>[0]): Promise<void> => {
    if (path === undefined) throw new Error("this folder has no place for what its file names cannot hold");
    // A torn last line is ended, not cut: another reader may have the file open.
    let text = torn ? "\n" : "";
    let length = text.length;
    const starts: number[] = [];
    for (const { base, extra } of records) {
      starts.push(end + length);
      const line = `${compose(base, extra)}\n`;
      text += line;
      length += Buffer.byteLength(line);
    }
    try {
      await appendToFile(fsPath(path), text);
    } catch (error) {
      // Part of it may be there: what comes next begins on a line of its own.
      torn = true;
      end = await stat(fsPath(path)).then(
        ({ size }) => size,
        () => end,
      );
      throw error;
    }
    torn = false;
    end += length;
    blocks.delete(owner);
    for (const [i, { base }] of records.entries()) index.add(base, starts[i] ?? 0);
  };

  return {
    async get(base) {
      const offsets = index.find(base);
      for (let i = offsets.length - 1; i >= 0; i--) {
        const record = await lineAt(offsets[i] ?? 0).catch((error: unknown) => {
          throw ioError(`cannot read ${showBytes(path ?? "")}`, error);
        });
        if (record?.base === base) return record.extra;
      }
      return undefined;
    },
    put(records) {
      if (records.length === 0) return Promise.resolve();
      const mine = turn.then(() => append(records));
      turn = mine.catch(() => undefined);
      return mine.catch((error: unknown) => {
        throw ioError(`cannot write ${showBytes(path ?? "")}`, error);
      });
    },
  };
}

/** Reads the whole file once, in pieces. */
async function load(path: BytePath, index: CompactIndex): Promise<{ end: number; torn: boolean }> {
  let handle: FileHandle;
  try {
    handle = await openOwn(fsPath(path));
  } catch (error) {
    // What lies there in its place is told where the archive's own files are looked at.
    if (isObstacle(error) || errno(error) === "ENOENT") return { end: 0, torn: false };
    throw ioError(`cannot open ${showBytes(path)}`, error);
  }
  try {
    let rest = Buffer.alloc(0);
    let overlong = false;
    let end = 0;
    for (;;) {
      const bytes = Buffer.allocUnsafe(CHUNK);
      const { bytesRead } = await handle.read(bytes, 0, CHUNK, end);
      if (bytesRead === 0) return { end, torn: rest.length > 0 };
      end += bytesRead;
      const text = Buffer.concat([rest, bytes.subarray(0, bytesRead)]);
      const start = end - text.length;
      let from = 0;
      for (let stop = text.indexOf(LF); stop !== -1; stop = text.indexOf(LF, from)) {
        const record = overlong ? undefined : parse(text.toString("utf8", from, stop));
        overlong = false;
        if (record !== undefined) index.add(record.base, start + from);
        from = stop + 1;
      }
      rest = text.subarray(from);
      // Damage: passed over, and not kept in memory. Its end is still looked for.
      overlong ||= rest.length > LONGEST;
      if (overlong) rest = rest.subarray(rest.length - 1);
    }
  } catch (error) {
    throw ioError(`cannot read ${showBytes(path)}`, error);
  } finally {
    await handle.close();
  }
}

function compose(base: string, { keywords, labels, received }: Extra): string {
  const line = {
    m: base,
    ...(keywords.length === 0 ? {} : { k: keywords }),
    ...(labels.length === 0 ? {} : { l: labels }),
    ...(received === undefined ? {} : { t: received }),
  };
  return frame(JSON.stringify(line)).slice(0, -1);
}

function parse(line: string): { base: string; extra: Extra } | undefined {
  try {
    // A line without a checksum is of a time before there was one.
    const json = line.startsWith("{") ? line : unframe(Buffer.from(line, "utf8"));
    const value: unknown = JSON.parse(json ?? "");
    if (typeof value !== "object" || value === null) return undefined;
    const { m, k, l, t } = value as Record<string, unknown>;
    if (typeof m !== "string") return undefined;
    const received = typeof t === "number" && Number.isSafeInteger(t) ? { received: t } : {};
    return { base: m, extra: { keywords: strings(k), labels: strings(l), ...received } };
  } catch {
    return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
