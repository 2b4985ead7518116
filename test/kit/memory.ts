// A source and a sink held in memory that can be told to misbehave: for testing the engine, not the adapters.

import { MailError } from "../../src/mail/errors.ts";
import { applyChange, type Fidelity, FULL_FIDELITY } from "../../src/mail/fidelity.ts";
import { messageIdOf } from "../../src/mail/headers.ts";
import { type ContentKey, keyOf } from "../../src/mail/key.ts";
import type { Folder, FolderPath, Traits } from "../../src/mail/model.ts";
import { NO_TRAITS, showPath } from "../../src/mail/model.ts";
import type { Copy, Setback, Sink, SinkFolder, Stood } from "../../src/sinks/sink.ts";
import type { Source } from "../../src/sources/source.ts";

export interface StoredMail {
  readonly id: string;
  bytes: Buffer;
  traits: Traits;
}

export interface MemoryFolder {
  readonly path: FolderPath;
  generation: string;
  readonly mail: StoredMail[];
  state?: string;
}

export function mail(
  id: string,
  text = `Message-ID: <${id}@example>\r\n\r\nbody ${id}\r\n`,
  traits: Partial<Traits> = {},
): StoredMail {
  return { id, bytes: Buffer.from(text, "latin1"), traits: { ...NO_TRAITS, ...traits } };
}

/** Called at every step that an adapter takes; what it throws, the adapter throws. */
export type Step = (what: SourceStep | SinkStep) => void;
export type SourceStep = "read" | "deliver" | "content" | "remove" | "removed";
export type SinkStep = "open" | "list" | "position" | "store" | "stored" | "reopen" | "update" | "updated" | "seal";

export interface SourceFaults {
  readonly step?: Step;
  /** Throws this when it is about to yield the n-th wanted message (counted from 1 over all reads), once. */
  readonly breakAt?: Map<number, MailError>;
  /** Content of these ids fails. */
  readonly content?: Map<string, MailError>;
  /** Wanted, and never yielded. */
  readonly swallow?: Set<string>;
}

export function memorySource(folders: readonly MemoryFolder[], faults: SourceFaults = {}) {
  let yielded = 0;
  const reads: string[] = [];
  const source = {
    kind: "memory",
    identity: "memory:source",
    limits: { sessions: 2 },
    tells: FULL_FIDELITY,
    async *folders() {
      for (const { path, state, mail: held } of folders)
        yield {
          path,
          selectable: true,
          messages: held.length,
          ...(state === undefined ? {} : { state }),
        } satisfies Folder;
    },
    async *slices(folder: Folder) {
      yield { folder };
    },
    async *read({ folder }, { want, listed, signal }) {
      const store = folders.find(({ path }) => showPath(path) === showPath(folder.path));
      if (store === undefined)
        throw new MailError("not-found", "no such folder", { scope: "folder", remedy: "give-up" });
      reads.push(showPath(folder.path));
      faults.step?.("read");
      const wanted: StoredMail[] = [];
      for (const held of [...store.mail]) {
        const origin = { folder: store.path, generation: store.generation, id: held.id };
        if (await want({ origin, traits: held.traits, size: held.bytes.length })) wanted.push(held);
      }
      listed?.();
      for (const held of wanted) {
        if (signal.aborted) return;
        faults.step?.("deliver");
        const fault = faults.breakAt?.get(++yielded);
        if (fault !== undefined) throw fault;
        if (faults.swallow?.has(held.id) === true) continue;
        const origin = { folder: store.path, generation: store.generation, id: held.id };
        const broken = faults.content?.get(held.id);
        const gone = !store.mail.includes(held);
        yield {
          entry: { origin, traits: held.traits, size: held.bytes.length },
          content: (async function* () {
            if (gone) throw new MailError("not-found", "gone", { scope: "message", remedy: "give-up" });
            if (broken !== undefined) throw broken;
            faults.step?.("content");
            yield held.bytes;
          })(),
        };
      }
    },
    async *remove(origins) {
      for await (const origin of origins) {
        const store = folders.find(({ path }) => showPath(path) === showPath(origin.folder));
        const at = store?.generation === origin.generation ? store.mail.findIndex(({ id }) => id === origin.id) : -1;
        if (store === undefined || at === -1) continue;
        faults.step?.("remove");
        store.mail.splice(at, 1);
        faults.step?.("removed");
        yield origin;
      }
    },
    async [Symbol.asyncDispose]() {},
  } satisfies Source;
  return Object.assign(source, { reads });
}

export interface SinkFaults {
  readonly step?: Step;
  /** Asked before (stored: false) and after (stored: true) every append; what it returns is thrown. */
  append?(text: string, stored: boolean): MailError | undefined;
  /** Changes the bytes that are kept; nobody is told. */
  alter?(bytes: Buffer): Buffer;
  /** The same of a store whose sink sees it. */
  rewrite?(bytes: Buffer): Buffer;
  /** Asked at every append to a folder that was opened empty: true where the new message takes the place of the last. */
  overwrites?(): boolean;
  readonly noReceipts?: boolean;
}

export interface StoredCopy {
  readonly ref: string;
  readonly bytes: Buffer;
  traits: Traits;
}

export interface MemoryStore {
  generation: string;
  /** By folder name, in order of arrival. */
  readonly folders: Map<string, StoredCopy[]>;
  next: number;
}

export const newStore = (): MemoryStore => ({ generation: "1", folders: new Map(), next: 1 });

export function memorySink(store: MemoryStore, faults: SinkFaults = {}, fidelity: Fidelity = FULL_FIDELITY) {
  const counts = { appends: 0, listings: 0, sealed: 0, updates: 0 };
  const sink = {
    kind: "memory",
    identity: "memory:sink",
    limits: { writes: 8, folders: 2 },
    async describe(folder: Folder) {
      return { name: showPath(folder.path), path: folder.path, fidelity };
    },
    async open(folder: Folder, _signal?: AbortSignal, stood?: Stood): Promise<SinkFolder> {
      faults.step?.("open");
      const name = showPath(folder.path);
      const created = !store.folders.has(name);
      const held = store.folders.get(name) ?? [];
      store.folders.set(name, held);
      const isOpenedEmpty = held.length === 0;
      const find = (ref: string) => {
        const copy = held.find((item) => item.ref === ref);
        if (copy === undefined)
          throw new MailError("not-found", "no such copy", { scope: "message", remedy: "give-up" });
        return copy;
      };
      const setback = stood === undefined ? undefined : setbackOf(stood, store, held);
      return {
        name,
        path: folder.path,
        fidelity,
        generation: store.generation,
        created,
        ...(setback === undefined ? {} : { setback }),
        stand: () => String(store.next),
        async position() {
          faults.step?.("position");
          return String(store.next - 1);
        },
        async *copies(since): AsyncGenerator<Copy> {
          counts.listings++;
          for (const { ref, bytes, traits } of [...held]) {
            if (since !== undefined && Number(ref) <= Number(since)) continue;
            faults.step?.("list");
            const messageId = messageIdOf(bytes);
            yield { receipt: { ref }, traits, size: bytes.length, ...(messageId === undefined ? {} : { messageId }) };
          }
        },
        async append({ body, traits }) {
          counts.appends++;
          const chunks: Uint8Array[] = [];
          for await (const chunk of body.open()) chunks.push(chunk);
          const text = Buffer.concat(chunks).toString("latin1");
          const early = faults.append?.(text, false);
          if (early !== undefined) throw early;
          // A real store answers later.
          await new Promise<void>((resolve) => setImmediate(resolve));
          faults.step?.("store");
          const sent = Buffer.concat(chunks);
          if (isOpenedEmpty && faults.overwrites?.() === true) held.pop();
          const ref = String(store.next++);
          const bytes = faults.rewrite?.(sent) ?? faults.alter?.(sent) ?? sent;
          held.push({ ref, bytes, traits });
          const late = faults.append?.(text, true);
          if (late !== undefined) throw late;
          faults.step?.("stored");
          const altered = faults.rewrite === undefined || bytes.equals(sent) ? {} : { altered: "other octets" };
          return { ...altered, ...(faults.noReceipts === true ? {} : { receipt: { ref } }) };
        },
        async *reopen({ ref }) {
          faults.step?.("reopen");
          yield find(ref).bytes;
        },
        async update({ ref }, change) {
          counts.updates++;
          faults.step?.("update");
          const copy = find(ref);
          copy.traits = applyChange(copy.traits, change);
          faults.step?.("updated");
        },
      };
    },
    async seal() {
      faults.step?.("seal");
      counts.sealed++;
    },
    async [Symbol.asyncDispose]() {},
  } satisfies Sink;
  return Object.assign(sink, { counts });
}

/** As a server with UIDs tells it. */
function setbackOf({ at, newest, recorded }: Stood, { next }: MemoryStore, held: readonly StoredCopy[]): Setback {
  const last = Math.max(Number(at ?? 0), ...newest.map(({ receipt }) => Number(receipt.ref) + 1));
  if (next < last) return { why: "it went back" };
  const strange = newest.filter(({ receipt }) => held.some(({ ref }) => ref === receipt.ref));
  return { strange, thinned: held.length < recorded };
}

/** The content keys of a folder, sorted: the multiset to compare. */
export async function keysIn(items: Iterable<{ bytes: Buffer }>): Promise<ContentKey[]> {
  const keys: ContentKey[] = [];
  for (const { bytes } of items) {
    const content = (async function* () {
      yield bytes;
    })();
    keys.push((await keyOf(content)).key);
  }
  return keys.sort();
}
