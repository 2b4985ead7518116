// What an archive holds, a folder at a time: manifests read once into a spill, later changes folded in on the way out.

import { type FolderPath, MAX_FOLDERS, type Traits } from "../../mail/model.ts";
import { decodeRecord, type FolderRecord, type ManifestLine, type MessageRecord } from "../manifest.ts";
import { collectChanges } from "./changes.ts";
import { tooManyFolders } from "./layout.ts";
import { openSpill } from "./spill.ts";

export interface CatalogueFolder {
  /** As the newest line says. */
  readonly record: FolderRecord;
  readonly messages: number;
  /** Octets of the originals. */
  readonly bytes: number;
}

export interface CatalogueMessage {
  readonly zip: number;
  /** Counts the messages of one zip in the order of its manifest, from 0. */
  readonly index: number;
  readonly record: MessageRecord;
  /** With every later change. */
  readonly traits: Traits;
}

export interface Catalogue extends AsyncDisposable {
  /**
   * Takes over the lines of one manifest; `index` is that of its first message. Returns the index after its last one. A second
   * call for the same zip goes on where the first ended.
   */
  absorb(zip: number, lines: AsyncIterable<ManifestLine>, index: number): Promise<number>;
  /** In the order in which they first appeared. */
  folders(): Iterable<CatalogueFolder>;
  /** The messages of a folder in the order of the manifests. */
  messages(path: FolderPath): AsyncGenerator<CatalogueMessage>;
}

interface Known {
  record: FolderRecord;
  messages: number;
  bytes: number;
  updates: number;
}

/** One path, one key. */
export function pathKey(path: FolderPath): string {
  return JSON.stringify(path);
}

/** A folder's newest line over an older one: what the newer does not say stays. */
export function mergeFolder(older: FolderRecord | undefined, newer: FolderRecord): FolderRecord {
  return { ...older, ...newer };
}

/** Temporary files go to `directory`, and vanish with the catalogue. */
export async function openCatalogue(directory: string): Promise<Catalogue> {
  const spill = await openSpill(directory);
  const folders = new Map<string, Known>();

  const folderOf = (path: FolderPath): Known => {
    const key = pathKey(path);
    let known = folders.get(key);
    if (known === undefined) {
      known = { record: { type: "folder", path, selectable: true, entry: "" }, messages: 0, bytes: 0, updates: 0 };
      folders.set(key, known);
      if (folders.size > MAX_FOLDERS) throw tooManyFolders("the archive");
    }
    return known;
  };

  return {
    async absorb(zip, lines, index) {
      let next = index;
      for await (const { record, bytes } of lines) {
        if (record.type === "header") continue;
        if (record.type === "folder") {
          const known = folderOf(record.path);
          known.record = mergeFolder(known.record, record);
          continue;
        }
        const known = folderOf(record.folder);
        if (record.type === "update") known.updates++;
        else {
          known.messages++;
          known.bytes += record.size;
        }
        const at = record.type === "message" ? next++ : 0;
        const wait = spill.add(pathKey(record.folder), `${zip} ${at} ${bytes.toString("utf8")}`);
        if (wait !== undefined) await wait;
      }
      return next;
    },
    folders: () => folders.values(),
    async *messages(path) {
      const key = pathKey(path);
      const changes = collectChanges();
      if ((folders.get(key)?.updates ?? 0) > 0)
        for await (const { record } of parsed(spill.lines(key))) if (record.type === "update") changes.add(record);
      for await (const { zip, index, record } of parsed(spill.lines(key))) {
        if (record.type !== "message") continue;
        yield { zip, index, record, traits: changes.fold(zip, record.entry, record.offset, record.traits) };
      }
    },
    [Symbol.asyncDispose]: () => spill[Symbol.asyncDispose](),
  };
}

async function* parsed(lines: AsyncIterable<string>) {
  for await (const line of lines) {
    const first = line.indexOf(" ");
    const second = line.indexOf(" ", first + 1);
    const record = decodeRecord(Buffer.from(line.slice(second + 1)));
    yield { zip: Number(line.slice(0, first)), index: Number(line.slice(first + 1, second)), record };
  }
}
