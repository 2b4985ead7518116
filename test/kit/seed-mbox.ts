// Writes messages as a tree of mboxes (mboxrd, a file a folder, ".sbd" for what is below one), by the program's own quoting.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromLine, quoteFrom, statusLines } from "../../src/formats/mbox/quote.ts";
import type { MemoryFolder } from "./memory.ts";

export async function seedMbox(directory: string, folders: readonly MemoryFolder[]): Promise<void> {
  for (const { path, mail } of folders) {
    const chunks: Buffer[] = [];
    for (const { bytes, traits } of mail) {
      const lf = Buffer.from(bytes.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
      chunks.push(Buffer.from(fromLine("a@example.org", traits.received) + statusLines(traits)));
      for await (const chunk of quoteFrom(one(lf))) chunks.push(Buffer.from(chunk));
      chunks.push(Buffer.from(lf.at(-1) === 10 ? "\n" : "\n\n"));
    }
    const file = join(directory, ...path.slice(0, -1).map((name) => `${name}.sbd`), path.at(-1) ?? "");
    await mkdir(join(file, ".."), { recursive: true });
    for (let depth = 1; depth < path.length; depth++) {
      const parents = path.slice(0, depth);
      await writeFile(join(directory, ...parents.slice(0, -1).map((name) => `${name}.sbd`), parents.at(-1) ?? ""), "", {
        flag: "a",
      });
    }
    await writeFile(file, Buffer.concat(chunks));
  }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
