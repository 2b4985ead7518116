// Messages that could not be carried, or came out altered: their bytes set aside with the reason beside them.

import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import { ensureDirectory, PRIVATE_FILE } from "../core/files.ts";
import { readOwn } from "../core/own-file.ts";
import type { Body } from "../mail/body.ts";
import { errno, ioError } from "../mail/errors.ts";
import { type Origin, showPath } from "../mail/model.ts";

export interface Quarantine {
  /** Returns the path of the message (or of the note alone, where there are no bytes). Setting it aside again replaces it. */
  setAside(origin: Origin, body: Body | undefined, reason: string): Promise<string>;
  /** Takes it out again, once it was carried after all. */
  release(origin: Origin): Promise<void>;
}

export function quarantineIn(directory: string): Quarantine {
  const stem = (origin: Origin): string => {
    const readable = showPath(origin.folder)
      .replace(/[^A-Za-z0-9._-]+/g, "_")
      .slice(0, 60);
    const hash = createHash("sha256")
      .update(JSON.stringify([origin.folder, origin.generation, origin.id]))
      .digest("hex");
    return join(directory, `${readable.replace(/^\.+/, "_")}-${hash.slice(0, 16)}`);
  };
  return {
    async setAside(origin, body, reason) {
      const base = stem(origin);
      try {
        await ensureDirectory(directory);
        const sha256 = body === undefined ? undefined : await write(body, `${base}.eml`);
        const note = { folder: origin.folder, generation: origin.generation, id: origin.id, reason, sha256 };
        const text = JSON.stringify({ ...note, check: checkOf(note) }, undefined, 2);
        await writeFile(`${base}.txt`, `${text}\n`, { mode: PRIVATE_FILE, flush: true });
      } catch (error) {
        throw ioError(`cannot set a message aside in ${directory}`, error);
      }
      return body === undefined ? `${base}.txt` : `${base}.eml`;
    },
    async release(origin) {
      const base = stem(origin);
      await Promise.all([".eml", ".txt"].map((ending) => unlink(base + ending).catch(() => undefined)));
    },
  };
}

/** Resolves to the SHA-256 of what was written, in hex. */
async function write(body: Body, path: string): Promise<string> {
  const hash = createHash("sha256");
  const hashed = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(body.open(), hashed, createWriteStream(path, { mode: PRIVATE_FILE, flush: true }));
  return hash.digest("hex");
}

/** A CRC-32 of the note's fields. */
function checkOf(note: Readonly<Record<string, unknown>>): string {
  return crc32(JSON.stringify(note)).toString(16).padStart(8, "0");
}

/**
 * Whether what was set aside is what it was: every message against the hash in its note, every note against its own checksum. Each
 * damaged or missing file is given to `onProblem`, in one line. Nothing where there is no such directory. Throws MailError io.
 */
export async function checkQuarantine(directory: string, onProblem: (text: string) => void): Promise<void> {
  let names: Set<string>;
  try {
    names = new Set(await readdir(directory));
  } catch (error) {
    if (errno(error) === "ENOENT") return;
    throw ioError(`cannot read ${directory}`, error);
  }
  for (const name of names) {
    const path = join(directory, name);
    const stem = name.slice(0, -4);
    if (name.endsWith(".eml") && !names.has(`${stem}.txt`))
      onProblem(`${path}: the note that belongs to it is missing`);
    if (!name.endsWith(".txt")) continue;
    try {
      const note = noteIn((await readOwn(path)).toString("utf8"));
      if (note === undefined) onProblem(`${path} is damaged`);
      else if (note.sha256 !== undefined) {
        const message = join(directory, `${stem}.eml`);
        if (!names.has(`${stem}.eml`)) onProblem(`${message} is missing`);
        else if ((await hashOf(message)) !== note.sha256)
          onProblem(`${message} has other bytes than the message that was set aside`);
      }
    } catch (error) {
      throw ioError(`cannot read ${path}`, error);
    }
  }
}

/** Undefined when it is not as it was written. */
function noteIn(text: string): { readonly sha256?: unknown } | undefined {
  try {
    const { check, ...note } = JSON.parse(text) as { readonly check?: unknown; readonly sha256?: unknown };
    return check === checkOf(note) ? note : undefined;
  } catch {
    return undefined;
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
