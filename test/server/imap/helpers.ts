// What the IMAP tests share: an account's source and sink, messages made of bytes, and everything that a source gives.

import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Body, stage } from "../../../src/mail/body.ts";
import type { Message } from "../../../src/mail/message.ts";
import type { Entry, Folder, FolderPath, Traits } from "../../../src/mail/model.ts";
import { NO_TRAITS } from "../../../src/mail/model.ts";
import type { Source } from "../../../src/sources/source.ts";

export const signal = new AbortController().signal;

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export function bodyOf(bytes: Uint8Array): Promise<Body> {
  return stage(once(bytes), join(tmpdir(), "mailferry-imap-tests"));
}

export async function messageOf(text: string | Uint8Array, traits: Partial<Traits> = {}): Promise<Message> {
  const all: Traits = { ...NO_TRAITS, ...traits };
  const body = await bodyOf(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  return { entry: { origin: { folder: ["x"], generation: "1", id: "1" }, traits: all }, traits: all, body };
}

export function folderOf(path: FolderPath, rest: Partial<Folder> = {}): Folder {
  return { path, selectable: true, ...rest };
}

export interface Read {
  readonly entry: Entry;
  readonly bytes: Buffer | undefined;
  readonly error: unknown;
}

export async function listFolders(source: Source): Promise<Folder[]> {
  const folders: Folder[] = [];
  for await (const folder of source.folders(signal)) folders.push(folder);
  return folders;
}

export async function readAll(
  source: Source,
  path: FolderPath,
  want: (entry: Entry) => boolean = () => true,
): Promise<Read[]> {
  const found = (await listFolders(source)).find((one) => JSON.stringify(one.path) === JSON.stringify(path));
  if (found === undefined) throw new Error(`no folder ${JSON.stringify(path)}`);
  const all: Read[] = [];
  for await (const slice of source.slices(found, signal))
    for await (const { entry, content } of source.read(slice, { want, signal })) {
      const chunks: Uint8Array[] = [];
      let error: unknown;
      try {
        for await (const chunk of content) chunks.push(chunk);
      } catch (cause) {
        error = cause;
      }
      all.push({ entry, bytes: error === undefined ? Buffer.concat(chunks) : undefined, error });
    }
  return all;
}

export async function contentOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}
