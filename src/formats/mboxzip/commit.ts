// Group commit into the spool: a batch's mboxes are durable first, then its manifest lines, and only then is anybody told.

import { type FileHandle, open } from "node:fs/promises";
import { PRIVATE_FILE, syncDirectory } from "../../core/files.ts";
import { type Fate, GroupCommit } from "../../core/group.ts";
import type { Hold } from "../../core/lock.ts";
import { ioError, MailError } from "../../mail/errors.ts";
import type { Message } from "../../mail/message.ts";
import { encodeRecord, MAX_LINE, type UpdateRecord } from "../manifest.ts";
import { storeMessage } from "./content.ts";
import { formatRef, placeOf } from "./ref.ts";
import type { Spool, SpoolFolder } from "./spool.ts";

export interface Committer {
  /** The message's ref, once it is durable. */
  append(folder: SpoolFolder, message: Message, signal: AbortSignal): Promise<string>;
  /** Durable when it resolves. */
  update(record: UpdateRecord, signal: AbortSignal): Promise<void>;
  /** Writes the folder's line as it is then. */
  list(folder: SpoolFolder): Promise<void>;
  idle(): Promise<void>;
}

type Item =
  | { readonly kind: "message"; readonly folder: SpoolFolder; readonly message: Message; readonly signal: AbortSignal }
  | { readonly kind: "update"; readonly record: UpdateRecord; readonly signal: AbortSignal }
  | { readonly kind: "folder"; readonly folder: SpoolFolder };

/** Octets that one batch may hold, and gather before a write. */
const BATCH_BYTES = 32 * 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;
const BATCH_ITEMS = 1000;

/** An mbox in the middle of a batch. */
interface Growing {
  readonly handle: FileHandle;
  /** The end with everything that this batch gave it, and the part of it that was handed to the disk. */
  end: number;
  flushed: number;
  parts: Uint8Array[];
  /** The disk refused: the whole batch fails, since its messages share writes. */
  failure?: unknown;
}

/** `hold` is called before each write: what it throws stands for good, and nothing is undone, since all of it is another run's. */
export function committer(spool: Spool, hold: Hold = () => undefined): Committer {
  /** Set when the disk did something that cannot be undone: only a new run, which looks at what is there, may go on. */
  let broken: MailError | undefined;
  const guarded: Hold = (now) => {
    try {
      hold(now);
    } catch (error) {
      if (error instanceof MailError) broken = error;
      throw error;
    }
  };

  const run = async (items: readonly Item[]): Promise<readonly Fate<string>[]> => {
    if (broken !== undefined) throw broken;
    const batch = newBatch(spool, guarded);
    try {
      const fates: Fate<string>[] = [];
      for (const item of items) fates.push(await batch.take(item));
      await batch.commit();
      return fates;
    } catch (error) {
      if (broken !== undefined) throw broken;
      try {
        await batch.undo();
      } catch {
        broken = new MailError("io", `${spool.directory} is in an unknown state`, {
          scope: "account",
          remedy: "give-up",
          outcome: "unknown",
          hint: "Mend the disk and run the same command again; it looks at what is there.",
          cause: error,
        });
        throw broken;
      }
      throw ioError(`cannot write to ${spool.directory}`, error);
    } finally {
      await batch.close();
    }
  };
  const group = new GroupCommit<Item, string>(run, {
    maxItems: BATCH_ITEMS,
    maxWeight: BATCH_BYTES,
    weigh: (item) => (item.kind === "message" ? item.message.body.shape.size : 0),
  });
  return {
    append: (folder, message, signal) => group.add({ kind: "message", folder, message, signal }),
    update: async (record, signal) => void (await group.add({ kind: "update", record, signal })),
    list: async (folder) => void (await group.add({ kind: "folder", folder })),
    idle: () => group.idle(),
  };
}

function newBatch(spool: Spool, hold: Hold) {
  const growing = new Map<SpoolFolder, Growing>();
  const listing = new Set<SpoolFolder>();
  let text: string[] = [];
  let messages = 0;
  let created = false;

  const grow = async (folder: SpoolFolder): Promise<Growing> => {
    let mbox = growing.get(folder);
    if (mbox === undefined) {
      if (folder.end === 0) created = true;
      const path = spool.fileOf(folder.record.entry);
      // Opening one anew empties it.
      hold();
      const handle = await open(path, folder.end === 0 ? "w" : "r+", PRIVATE_FILE);
      mbox = { handle, end: folder.end, flushed: folder.end, parts: [] };
      growing.set(folder, mbox);
    }
    return mbox;
  };
  const list = (folder: SpoolFolder): void => {
    listing.add(folder);
    text.push(encodeRecord(folder.record));
  };

  return {
    async take(item: Item): Promise<Fate<string>> {
      if (item.kind === "folder") {
        list(item.folder);
        return { value: "" };
      }
      if (item.signal.aborted) return { error: item.signal.reason };
      if (item.kind === "update") {
        text.push(encodeRecord(item.record));
        return { value: "" };
      }
      const { folder, message } = item;
      if (!folder.listed && !listing.has(folder)) list(folder);
      const mbox = await grow(folder);
      const start = mbox.end;
      const parts = mbox.parts.length;
      try {
        const form = await storeMessage(message.body, message.traits, (chunk) => write(mbox, chunk, hold));
        const record = {
          type: "message",
          folder: folder.record.path,
          origin: message.entry.origin,
          traits: message.traits,
          size: message.body.shape.size,
          key: message.body.key,
          sha256: form.sha256,
          lines: form.lines,
          entry: folder.record.entry,
          offset: start,
          length: form.length,
          added: [start + form.from, start + form.from + form.added],
          newline: form.newline,
          ...(form.hides ? { hides: true } : {}),
        } as const;
        const line = encodeRecord(record);
        if (Buffer.byteLength(line) > MAX_LINE) throw new Error("what the source says beside its bytes is too long");
        text.push(line);
        messages++;
        return { value: formatRef(placeOf(spool.header.zip, record)) };
      } catch (error) {
        if (mbox.failure !== undefined) throw mbox.failure;
        await cutBack(mbox, start, parts);
        return { error: alone(error) };
      }
    },
    async commit(): Promise<void> {
      for (const mbox of growing.values()) await flush(mbox, hold);
      await Promise.all([...growing.values()].map(({ handle }) => handle.datasync()));
      if (created) await syncDirectory(spool.directory);
      const data = Buffer.from(text.join(""));
      hold();
      await writeAt(spool.manifest, data, spool.manifestEnd);
      await spool.manifest.datasync();
      for (const [folder, { end }] of growing) folder.end = end;
      for (const folder of listing) folder.listed = true;
      spool.manifestEnd += data.length;
      spool.lines += text.length;
      spool.messages += messages;
      text = [];
    },
    /** Back to the last batch. */
    async undo(): Promise<void> {
      for (const [folder, { handle }] of growing) await handle.truncate(folder.end);
      await spool.manifest.truncate(spool.manifestEnd);
      await spool.manifest.datasync();
    },
    async close(): Promise<void> {
      for (const { handle } of growing.values()) await handle.close().catch(() => undefined);
    },
  };
}

function write(mbox: Growing, chunk: Uint8Array, hold: Hold): Promise<void> | undefined {
  mbox.parts.push(chunk);
  mbox.end += chunk.length;
  return mbox.end - mbox.flushed < WRITE_BYTES ? undefined : flush(mbox, hold);
}

async function flush(mbox: Growing, hold: Hold): Promise<void> {
  if (mbox.parts.length === 0) return;
  const data = Buffer.concat(mbox.parts);
  try {
    hold();
    await writeAt(mbox.handle, data, mbox.flushed);
  } catch (error) {
    mbox.failure = error;
    throw error;
  }
  mbox.parts = [];
  mbox.flushed += data.length;
}

async function writeAt(handle: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await handle.write(data, done, data.length - done, position + done);
    done += bytesWritten;
  }
}

/** Takes away what one message gave, so that the next begins where it began. */
async function cutBack(mbox: Growing, start: number, parts: number): Promise<void> {
  if (mbox.flushed > start) {
    // Whatever stood before it was written along, so that the list holds only what is its own.
    await mbox.handle.truncate(start);
    mbox.flushed = start;
    mbox.parts = [];
  } else mbox.parts.length = parts;
  mbox.end = start;
}

function alone(error: unknown): MailError {
  if (error instanceof MailError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new MailError("io", `cannot store the message: ${text}`, {
    scope: "message",
    remedy: "give-up",
    cause: error,
  });
}
