// Messages that could not be carried, or came out altered: their bytes set aside with the reason beside them.

import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ensureDirectory, PRIVATE_FILE } from "../core/files.ts";
import type { Body } from "../mail/body.ts";
import { ioError } from "../mail/errors.ts";
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
        if (body !== undefined)
          await pipeline(body.open(), createWriteStream(`${base}.eml`, { mode: PRIVATE_FILE, flush: true }));
        const note = { folder: origin.folder, generation: origin.generation, id: origin.id, reason };
        await writeFile(`${base}.txt`, `${JSON.stringify(note, undefined, 2)}\n`, { mode: PRIVATE_FILE, flush: true });
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
