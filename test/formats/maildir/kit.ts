// Shared by the Maildir tests: messages to append, all that a source gives, a folder of its own for every test.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { stage } from "../../../src/mail/body.ts";
import type { Message } from "../../../src/mail/message.ts";
import { type Entry, type Folder, NO_TRAITS, type Traits } from "../../../src/mail/model.ts";
import type { Source } from "../../../src/sources/source.ts";

export const SIGNAL = new AbortController().signal;

/** A directory that is there for one test. */
export function scratch(): { path(name?: string): string } {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "maildir-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  return { path: (name = "") => join(directory, name) };
}

export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function message(bytes: Uint8Array | string, traits: Partial<Traits> = {}): Promise<Message> {
  const body = await stage(inPieces(typeof bytes === "string" ? Buffer.from(bytes) : bytes, 64 * 1024), tmpdir());
  const full = { ...NO_TRAITS, ...traits };
  return { entry: { origin: { folder: ["x"], generation: "1", id: "1" }, traits: full }, traits: full, body };
}

export function folder(...path: string[]): Folder {
  return { path, selectable: true };
}

export async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

export async function foldersOf(source: Source): Promise<Map<string, Folder>> {
  const found = new Map<string, Folder>();
  for await (const item of source.folders(SIGNAL)) found.set(JSON.stringify(item.path), item);
  return found;
}

export interface Got {
  readonly entry: Entry;
  readonly bytes: Buffer | undefined;
  readonly error?: unknown;
}

/** All of a folder, in the order in which it is given. */
export async function readAll(
  source: Source,
  path: readonly string[],
  want: (entry: Entry) => boolean = () => true,
  listed: () => void | Promise<void> = () => undefined,
): Promise<Got[]> {
  const got: Got[] = [];
  for await (const slice of source.slices({ path, selectable: true }, SIGNAL))
    for await (const { entry, content } of source.read(slice, { want, listed, signal: SIGNAL }))
      try {
        got.push({ entry, bytes: await bytesOf(content) });
      } catch (error) {
        got.push({ entry, bytes: undefined, error });
      }
  return got;
}

/** Writes files below a root; names ending in "/" are directories. */
export async function plant(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, name);
    await mkdir(name.endsWith("/") ? path : dirname(path), { recursive: true });
    if (!name.endsWith("/")) await writeFile(path, text);
  }
}
