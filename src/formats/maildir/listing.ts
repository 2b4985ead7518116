// What a Maildir folder holds: its file names, streamed, or gathered compactly in the order of delivery.

import { type Dirent, statSync } from "node:fs";
import { opendir, stat } from "node:fs/promises";
import { errno, ioError } from "../../mail/errors.ts";
import { isLitter } from "../disk/names.ts";
import { nameHash } from "./compact-index.ts";
import { deliveryOrder, parseFileName } from "./names.ts";
import { type BytePath, fsPath, listedPath, showBytes } from "./paths.ts";

/** The two that hold mail; what lies in tmp is not delivered yet. New comes first: mail moves from there to cur, never back. */
export const PLACES = ["new", "cur"] as const;

/** Entries that one readdir call fetches. */
const READ_AHEAD = 1024;
/** Octets of a block that holds names. */
const BLOCK = 1 << 16;
/** Rounds after which a folder that never rests is taken as it is. */
const ROUNDS = 3;

/** Told of a directory in it that is not looked into. */
export type OnOdd = (path: string, why: string) => void;

/** The name itself of "cur/name" or "cur/03/name". */
export function nameIn(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}

/**
 * Every message file of a folder as "new/name" or "cur/name", as the file system gives them; Evolution spreads those of cur
 * over directories in it ("cur/03/name"), which others may have as well. Hidden files are no messages; a missing new or cur is an empty
 * one. What is a directory the file system says with the name: no message costs a look of its own. Throws MailError io, or config when it may not be read.
 */
export async function* messageFiles(folder: BytePath, onOdd?: OnOdd): AsyncGenerator<string> {
  const below: string[] = [];
  for (const place of PLACES) {
    const path = `${folder}/${place}`;
    try {
      // No generator within the generator: over a million names each costs.
      for await (const entry of await entriesIn(path))
        if (entry.isDirectory()) below.push(`${place}/${entry.name}`);
        else if (!entry.name.startsWith(".")) yield `${place}/${entry.name}`;
    } catch (error) {
      if (errno(error) !== "ENOENT") throw ioError(`cannot list ${showBytes(path)}`, error);
    }
  }
  if (below.length > 0) yield* filesBelow(folder, below, onOdd);
}

async function* filesBelow(folder: BytePath, directories: readonly string[], onOdd?: OnOdd): AsyncGenerator<string> {
  for (const directory of directories) {
    const path = `${folder}/${directory}`;
    if (isLitter(nameIn(directory))) continue;
    if (nameIn(directory).startsWith(".")) {
      onOdd?.(showBytes(path), "it is a hidden folder among the messages");
      continue;
    }
    try {
      for await (const entry of await entriesIn(path))
        if (!entry.isDirectory()) {
          if (!entry.name.startsWith(".")) yield `${directory}/${entry.name}`;
        } else if (!isLitter(entry.name))
          onOdd?.(showBytes(`${path}/${entry.name}`), "it is a folder in a folder among the messages");
    } catch (error) {
      if (errno(error) !== "ENOENT") onOdd?.(showBytes(path), `it cannot be listed (${errno(error) ?? "EIO"})`);
    }
  }
}

async function entriesIn(path: BytePath): Promise<AsyncIterable<Dirent>> {
  // Byte strings, see paths.ts; Node's types know only UTF-8 here.
  return (await opendir(listedPath(path), { bufferSize: READ_AHEAD, encoding: "latin1" })) as AsyncIterable<Dirent>;
}

/** All files of a folder in the order in which they were delivered; about 80 octets a message. */
export interface Listing {
  readonly count: number;
  /** "cur/name" of the i-th message. */
  file(i: number): string;
  /** True when another file here has the same base name: then only the whole name tells them apart. */
  isTwin(i: number): boolean;
  hasTwin(base: string): boolean;
}

/** Lists again when the folder changed meanwhile: a file that is renamed during a listing may be missed by it (POSIX readdir). */
export async function listFolder(folder: BytePath, onOdd?: OnOdd): Promise<Listing> {
  for (let round = 1; ; round++) {
    const before = await changeTimes(folder);
    const odd = new Map<string, string>();
    const listing = await gather(folder, (path, why) => odd.set(path, why));
    if (round < ROUNDS && (await changeTimes(folder)) !== before) continue;
    for (const [path, why] of odd) onOdd?.(path, why);
    return listing;
  }
}

/** Moves with every file that comes, goes or is renamed. */
export async function changeTimes(folder: BytePath): Promise<string> {
  const times = await Promise.all(
    PLACES.map((place) => stat(fsPath(`${folder}/${place}`), { bigint: true }).catch(() => undefined)),
  );
  return times.map((found) => found?.mtimeNs ?? "").join();
}

/** The same at once: over thousands of folders a turn through the thread pool for each costs more. */
export function changeTimesNow(folder: BytePath): string {
  return PLACES.map(
    (place) => statSync(fsPath(`${folder}/${place}`), { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? "",
  ).join();
}

async function gather(folder: BytePath, onOdd: OnOdd): Promise<Listing> {
  const blocks: Buffer[] = [];
  let used = BLOCK;
  let places = new Float64Array(1024);
  let keys = new Float64Array(1024);
  let hashes = new Float64Array(1024);
  let count = 0;
  for await (const file of messageFiles(folder, onOdd)) {
    if (used + file.length + 2 > BLOCK) {
      blocks.push(Buffer.allocUnsafe(BLOCK));
      used = 0;
    }
    const block = blocks[blocks.length - 1];
    if (block === undefined) continue;
    block.writeUInt16LE(file.length, used);
    block.write(file, used + 2, "latin1");
    if (count === places.length) [places, keys, hashes] = [doubled(places), doubled(keys), doubled(hashes)];
    const { base } = parseFileName(nameIn(file));
    places[count] = (blocks.length - 1) * BLOCK + used;
    keys[count] = deliveryOrder(base);
    hashes[count++] = nameHash(base);
    used += file.length + 2;
  }
  const order = new Uint32Array(count).map((_, i) => i);
  order.sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b);
  const twins = repeated(hashes.subarray(0, count));
  return {
    count,
    file(i) {
      const place = places[order[i] ?? 0] ?? 0;
      const block = blocks[Math.floor(place / BLOCK)];
      if (block === undefined) return "";
      const at = place % BLOCK;
      return block.toString("latin1", at + 2, at + 2 + block.readUInt16LE(at));
    },
    hasTwin: (base) => twins.size > 0 && twins.has(nameHash(base)),
    isTwin: (i) => twins.size > 0 && twins.has(hashes[order[i] ?? 0] ?? 0),
  };
}

function doubled(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(array.length * 2);
  larger.set(array);
  return larger;
}

function repeated(hashes: Float64Array): Set<number> {
  const sorted = hashes.slice().sort();
  const found = new Set<number>();
  for (let i = 1; i < sorted.length; i++) {
    const hash = sorted[i];
    if (hash !== undefined && hash === sorted[i - 1]) found.add(hash);
  }
  return found;
}
