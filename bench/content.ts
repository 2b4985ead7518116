// What a result holds, counted by content: Maildirs (an archive's, a server's) and mbox zips, read here and not by mailferry's code.

import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import yauzl from "yauzl";

/** Content keys, each with how often it is there. */
export type Keys = ReadonlyMap<string, number>;

export interface Content {
  readonly keys: Keys;
  readonly messages: number;
  /** How many messages each folder holds, sorted; empty folders left out. */
  readonly folderSizes: readonly number[];
}

/** Header lines to leave out before the key is taken: what a tool is known to add. Folded lines go with them. */
export type Added = readonly string[];

const PIECE = 1 << 20;

/** SHA-256 with line ends folded to LF, a last newline added, and the named header fields left out. */
export function keyOf(bytes: Buffer, added: Added = []): string {
  let text = bytes.toString("latin1").replace(/\r+\n/g, "\n");
  if (!text.endsWith("\n")) text += "\n";
  if (added.length > 0) {
    const end = text.indexOf("\n\n");
    const head = end < 0 ? text : text.slice(0, end + 1);
    const fields = new RegExp(`^(?:${added.join("|")}):.*\\n(?:[ \\t].*\\n)*`, "gim");
    text = head.replace(fields, "") + text.slice(head.length);
  }
  return createHash("sha256").update(text, "latin1").digest("hex");
}

export function contentOf(folders: Iterable<Iterable<Buffer>>, added: Added = []): Content {
  const keys = new Map<string, number>();
  const folderSizes: number[] = [];
  let messages = 0;
  for (const folder of folders) {
    let size = 0;
    for (const bytes of folder) {
      const key = keyOf(bytes, added);
      keys.set(key, (keys.get(key) ?? 0) + 1);
      size++;
    }
    messages += size;
    if (size > 0) folderSizes.push(size);
  }
  return { keys, messages, folderSizes: folderSizes.sort((a, b) => a - b) };
}

/** Every Maildir below a folder; mailferry's own records and unfinished files are no mail. */
export function* maildirFolders(root: string): Iterable<Iterable<Buffer>> {
  const directories = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = directories.map(({ name }) => name);
  if (names.includes("cur")) yield maildirMessages(root);
  for (const name of names)
    if (name !== "cur" && name !== "new" && name !== "tmp") yield* maildirFolders(join(root, name));
}

function* maildirMessages(folder: string): Iterable<Buffer> {
  for (const place of ["cur", "new"].map((name) => join(folder, name)))
    for (const name of statSync(place, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(place))
      if (!name.startsWith(".")) yield readFileSync(join(place, name));
}

/** The mbox files of a zip: split, unquoted (mboxrd), without the status lines that stand directly after the From_ line. */
export async function zipFolders(path: string, scratch: string): Promise<Iterable<Iterable<Buffer>>> {
  const zip = await promisify<string, yauzl.Options, yauzl.ZipFile>(yauzl.open)(path, { lazyEntries: true });
  const files: string[] = [];
  await new Promise<void>((resolve, reject) => {
    zip.on("end", resolve).on("error", reject);
    zip.on("entry", (entry: yauzl.Entry) => {
      if (!entry.fileName.endsWith(".mbox")) return zip.readEntry();
      zip.openReadStream(entry, async (error, stream) => {
        if (error !== null) return reject(error);
        const file = join(scratch, `${files.length}.mbox`);
        files.push(file);
        const { pipeline } = await import("node:stream/promises");
        const { createWriteStream } = await import("node:fs");
        await pipeline(stream, createWriteStream(file)).then(() => zip.readEntry(), reject);
      });
    });
    zip.readEntry();
  });
  return files.map(mboxMessages);
}

function* mboxMessages(path: string): Iterable<Buffer> {
  const file = openSync(path, "r");
  try {
    let held = Buffer.alloc(0);
    for (let ended = false; !ended; ) {
      const piece = Buffer.allocUnsafe(PIECE);
      const length = readSync(file, piece);
      ended = length === 0;
      // A message may be longer than a piece: doubling what is looked at would be finer, but a bench may be plain.
      held = Buffer.concat([held, piece.subarray(0, length)]);
      let start = 0;
      for (;;) {
        const end = held.indexOf("\n\nFrom ", start);
        if (end < 0) break;
        yield mboxMessage(held.subarray(start, end + 1));
        start = end + 2;
      }
      held = held.subarray(start);
    }
    // The blank line that ends the last message belongs to the mbox.
    if (held.length > 0) yield mboxMessage(held.at(-2) === 10 ? held.subarray(0, -1) : held);
  } finally {
    closeSync(file);
  }
}

function mboxMessage(bytes: Buffer): Buffer {
  const text = bytes.toString("latin1");
  return Buffer.from(
    text
      .replace(/^From .*\n(?:(?:Status|X-Status|X-Keywords|X-Mozilla-Status):.*\n)*/, "")
      .replace(/^X-Mailferry-Original-/gim, "")
      .replace(/^>(>*From )/gm, "$1"),
    "latin1",
  );
}

/** What differs, in words; undefined when every message is there once. */
export function difference(expected: Content, found: Content): string | undefined {
  let missing = 0;
  let extra = 0;
  for (const [key, count] of expected.keys) missing += Math.max(0, count - (found.keys.get(key) ?? 0));
  for (const [key, count] of found.keys) extra += Math.max(0, count - (expected.keys.get(key) ?? 0));
  if (missing === 0 && extra === 0) return undefined;
  return `${found.messages} of ${expected.messages} messages, ${missing} missing, ${extra} unknown or twice`;
}
