// Archives for the tests of mboxzip: messages in, and everything that a source gives back.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stage } from "../../../src/mail/body.ts";
import type { Folder, FolderPath, Traits } from "../../../src/mail/model.ts";
import { NO_TRAITS } from "../../../src/mail/model.ts";
import { openMboxZipSink } from "../../../src/sinks/mbox-zip.ts";
import type { SinkFolder } from "../../../src/sinks/sink.ts";
import { openMboxZipSource } from "../../../src/sources/mbox-zip.ts";
import type { Source } from "../../../src/sources/source.ts";

export const NEVER = new AbortController().signal;

/** A folder of its own, gone when the test is over. */
export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "mailferry-mboxzip-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const folder = (...path: string[]): Folder => ({ path, selectable: true });

export async function* pieces(bytes: Buffer, size = 997): AsyncGenerator<Buffer> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

let number = 0;

export async function append(into: SinkFolder, bytes: Buffer | string, traits: Partial<Traits> = {}): Promise<string> {
  const octets = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
  await using body = await stage(pieces(octets), join(tmpdir(), "mailferry-mboxzip-staging"));
  const all = { ...NO_TRAITS, received: { epochSeconds: 1_700_000_000, zoneMinutes: 60 }, ...traits };
  const origin = { folder: into.path, generation: "1", id: String(++number) };
  const { receipt } = await into.append({ entry: { origin, traits: all }, traits: all, body }, NEVER);
  if (receipt === undefined) throw new Error("the sink gave no receipt");
  return receipt.ref;
}

export async function gather(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export interface Restored {
  readonly path: FolderPath;
  readonly bytes: Buffer;
  readonly traits: Traits;
  readonly id: string;
}

/** Everything in the order of the source. */
export async function restore(source: Source): Promise<Restored[]> {
  const all: Restored[] = [];
  for await (const one of source.folders(NEVER))
    for await (const slice of source.slices(one, NEVER))
      for await (const { entry, content } of source.read(slice, { want: () => true, signal: NEVER }))
        all.push({ path: one.path, bytes: await gather(content), traits: entry.traits, id: entry.origin.id });
  return all;
}

export async function restoreFrom(path: string): Promise<Restored[]> {
  await using source = await openMboxZipSource({ path }, NEVER);
  return await restore(source);
}

/** One run: each folder gets these messages; then sealed and closed. */
export async function writeRun(
  path: string,
  mail: readonly (readonly [path: FolderPath, messages: readonly string[]])[],
  options: { job?: string; store?: boolean } = {},
): Promise<string[]> {
  await using sink = await openMboxZipSink({ path, job: "job", ...options }, NEVER);
  const refs: string[] = [];
  for (const [name, messages] of mail) {
    const opened = await sink.open({ path: name, selectable: true }, NEVER);
    refs.push(...(await Promise.all(messages.map((text) => append(opened, text)))));
  }
  await sink.seal(NEVER);
  return refs;
}

/** Every file below a directory with its bytes, to see that nothing changed. */
export async function snapshot(directory: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name);
      files[path.slice(directory.length + 1)] = (await readFile(path)).toString("latin1");
    }
  return files;
}

/** Messages that careless code breaks. */
export const ODD: readonly string[] = [
  "Subject: crlf\r\n\r\nbody\r\n",
  "Subject: lf\n\nbody\n",
  "Subject: mixed\r\n\nbody\r\nmore\n",
  "Subject: stray cr\r\n\r\na\rb\r\n\r\n",
  "Subject: cr before crlf\r\r\n\r\nbody\r\n",
  "Subject: nul\r\n\r\na\0b\r\n",
  "Subject: no final newline\r\n\r\nbody",
  "Subject: ends in cr\r\n\r\nbody\r",
  "",
  "\n",
  "\r\n",
  "\r\n\r\n\r\n",
  "x",
  "\r",
  "From nobody Thu Jan  1 00:00:00 1970\r\n\r\nFrom here\r\n>From there\r\n>>From\r\n>>From \r\nFrom ",
  "Subject: quoted lf\n\n>From a\nFrom b\n From c\n>>>From ",
  "Status: RO\r\nX-Status: F\r\nX-Keywords: own\r\n\r\nlines like ours\r\n",
  "Subject: 8-bit \xe4\xff\x80\r\n\r\n\xfe\xff\r\n",
  `Subject: long line\r\n\r\n${"y".repeat(300_000)}\r\n`,
  "Subject: blank lines\r\n\r\n\r\n\r\nFrom x\r\n\r\n\r\n",
  "\nFrom a\n\n",
  ">",
  "Fro",
];
