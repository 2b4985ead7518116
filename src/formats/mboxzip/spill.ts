// A spill: lines under keys, gathered in one unnamed file on disk, so that a manifest is read once and not once a folder.

import { type FileHandle, mkdtemp, open, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { ensureDirectory, PRIVATE_FILE } from "../../core/files.ts";
import { ioError } from "../../mail/errors.ts";

export interface Spill extends AsyncDisposable {
  /** Keeps a line (without line ends) under a key. Await it: it writes when enough has come together. */
  add(key: string, line: string): Promise<void> | undefined;
  /** The lines of a key in the order of `add`, as many as there are when reading begins. */
  lines(key: string): AsyncGenerator<string>;
  keys(): Iterable<string>;
}

/** Characters held in memory before they are written; one write then serves many keys. */
const HELD = 1024 * 1024;
/** One read. */
const CHUNK = 256 * 1024;

interface Extents {
  /** Offset and length of each run of lines in the file, in pairs. */
  readonly runs: number[];
  held: string[];
}

/** The file lies in `directory` (made when missing) and goes when it is disposed, or with the process. */
export async function openSpill(directory: string): Promise<Spill> {
  const failed = (error: unknown) => ioError(`cannot write a temporary file in ${directory}`, error);
  let own: string;
  let file: FileHandle;
  try {
    await ensureDirectory(directory);
    own = await mkdtemp(join(directory, "mailferry-"));
    const path = join(own, "lines");
    file = await open(path, "wx+", PRIVATE_FILE);
    // Without a name it cannot stay behind. Where open files keep their names (Windows) it goes when it is disposed.
    await unlink(path).then(
      () => rm(own, { recursive: true, force: true }),
      () => undefined,
    );
  } catch (error) {
    throw failed(error);
  }
  const keys = new Map<string, Extents>();
  let held = 0;
  let end = 0;
  let turn: Promise<void> = Promise.resolve();

  const flush = async (): Promise<void> => {
    const parts: string[] = [];
    let at = end;
    held = 0;
    for (const extents of keys.values()) {
      if (extents.held.length === 0) continue;
      const text = `${extents.held.join("\n")}\n`;
      const bytes = Buffer.byteLength(text);
      extents.runs.push(at, bytes);
      at += bytes;
      extents.held = [];
      parts.push(text);
    }
    const data = Buffer.from(parts.join(""));
    const from = end;
    end = at;
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await file.write(data, done, data.length - done, from + done);
      done += bytesWritten;
    }
  };

  return {
    add(key, line) {
      let extents = keys.get(key);
      if (extents === undefined) {
        extents = { runs: [], held: [] };
        keys.set(key, extents);
      }
      extents.held.push(line);
      held += line.length;
      if (held < HELD) return undefined;
      turn = turn.then(flush).catch((error: unknown) => {
        throw failed(error);
      });
      return turn;
    },
    keys: () => keys.keys(),
    async *lines(key) {
      const extents = keys.get(key);
      if (extents === undefined) return;
      const runs = extents.runs.slice();
      const rest = extents.held.slice();
      await turn;
      for (let i = 0; i < runs.length; i += 2) yield* readLines(file, runs[i] ?? 0, runs[i + 1] ?? 0);
      yield* rest;
    },
    async [Symbol.asyncDispose]() {
      await turn.catch(() => undefined);
      await file.close().catch(() => undefined);
      await rm(own, { recursive: true, force: true }).catch(() => undefined);
    },
  };
}

async function* readLines(file: FileHandle, offset: number, length: number): AsyncGenerator<string> {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, length));
  let carried: Buffer[] = [];
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - done), offset + done);
    if (bytesRead === 0) throw ioError("a temporary file is shorter than what was written", undefined);
    done += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      const last = chunk.subarray(from, at);
      yield (carried.length === 0 ? last : Buffer.concat([...carried, last])).toString("utf8");
      carried = [];
      from = at + 1;
    }
    if (from < chunk.length) carried.push(Buffer.from(chunk.subarray(from)));
  }
}
