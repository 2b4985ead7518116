// The ledger on disk: a journal a target folder in one private directory, and the same in memory for a dry run.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Hold } from "../core/lock.ts";
import { samePath } from "../mail/model.ts";
import type { FolderLedger, Glance, Ledger } from "./ledger.ts";
import { decode, type Header, headsOf, JOURNAL_VERSION, type Stamp, stoodOf } from "./ledger-codec.ts";
import { type FileOptions, lastLine, openJournalFile, type Written } from "./ledger-file.ts";
import { loadFolder } from "./ledger-folder.ts";
import { memoryStore } from "./ledger-memory.ts";
import { RUNS_FILE, RunLog } from "./ledger-runs.ts";

/** The identities of source and sink: a ledger of one pair is never used for another. */
export interface LedgerPair {
  readonly source: string;
  readonly sink: string;
}

export interface LedgerOptions {
  /** Told in one sentence about damage that was found and what became of it. */
  onNotice?(text: string): void;
  /** Called before each write. */
  hold?: Hold;
  /** Gets the path of each journal with its first write. */
  readonly written?: Map<string, Written>;
  /** Known.announced is wanted: four octets of memory a record. */
  readonly keepsAnnounced?: boolean;
}

/**
 * The ledger in a directory (made with mode 0700 when something is first written). One process at a time: hold a lock.
 * `folder` fails with MailError config when a journal belongs to another pair or version, io or quota when it cannot be
 * read or written.
 */
export async function openLedger(directory: string, pair: LedgerPair, options: LedgerOptions = {}): Promise<Ledger> {
  return ledger({ directory, pair }, true, options);
}

/** Reads what is in `base`, and keeps everything new in memory. */
export function memoryLedger(
  base?: { readonly directory: string; readonly pair: LedgerPair },
  options: LedgerOptions = {},
): Ledger {
  return ledger(base, false, options);
}

function ledger(
  base: { readonly directory: string; readonly pair: LedgerPair } | undefined,
  writable: boolean,
  options: LedgerOptions,
): Ledger {
  const open = new Map<string, Promise<FolderLedger>>();
  const notice = (text: string): void => options.onNotice?.(text);
  const header = (pair: LedgerPair, folder: string): Header => ({
    v: JOURNAL_VERSION,
    source: pair.source,
    sink: pair.sink,
    folder,
  });
  const log = new RunLog(
    base === undefined ? undefined : { path: join(base.directory, RUNS_FILE), header: header(base.pair, "") },
    writable,
    notice,
    writesOf(options),
  );
  const stamp = (): Stamp | undefined =>
    log.number === undefined ? undefined : { run: log.number, now: Math.floor(Date.now() / 1000) };
  const place = (name: string): { path: string; header: Header } | undefined =>
    base === undefined ? undefined : { path: join(base.directory, journalName(name)), header: header(base.pair, name) };

  const load = async (name: string): Promise<FolderLedger> => {
    const at = place(name);
    const file =
      at === undefined
        ? undefined
        : await openJournalFile(at.path, at.header, {
            writable,
            notice,
            ...writesOf(options),
          });
    const store = writable && file !== undefined ? file : memoryStore(file);
    try {
      return await loadFolder(store, name, {
        notice,
        stamp,
        onDispose: () => open.delete(name),
        keepsAnnounced: options.keepsAnnounced === true,
      });
    } catch (error) {
      await store.close();
      throw error;
    }
  };
  return {
    beginRun: (start) => log.begin(start),
    endRun: (end) => log.end(end),
    runs: () => log.runs(),
    nameOf: (path) => log.nameOf(path),
    rememberName: (path, name) => log.remember(path, name),
    folder(name) {
      let folder = open.get(name);
      if (folder === undefined) {
        folder = load(name);
        open.set(name, folder);
        folder.catch(() => open.delete(name));
      }
      return folder;
    },
    async glance(name) {
      const loaded = await open.get(name);
      if (loaded !== undefined) return loaded.clean ? glanceOf(loaded) : undefined;
      const at = place(name);
      const last = at === undefined ? undefined : await lastLine(at.path, at.header);
      const line = last === undefined ? undefined : decode(last.text);
      if (line?.s !== "close" || line.n !== last?.runs) return undefined;
      const heads = headsOf(line);
      return {
        sinkGeneration: line.g,
        sinkPosition: line.p,
        stood: stoodOf(line.q, line.c ?? 0, line.w ?? []),
        isLatest: line.u !== undefined && line.u === (await log.lastCopying()),
        head: (source) => heads.find((entry) => samePath(entry.source, source))?.head,
      };
    },
    async [Symbol.asyncDispose]() {
      for (const folder of [...open.values()]) await (await folder)[Symbol.asyncDispose]();
    },
  };
}

function writesOf({ hold, written }: LedgerOptions): Pick<FileOptions, "hold" | "written"> {
  return { ...(hold === undefined ? {} : { hold }), ...(written === undefined ? {} : { written }) };
}

function glanceOf(folder: FolderLedger): Glance {
  const { sinkGeneration, sinkPosition, stood } = folder;
  return { sinkGeneration, sinkPosition, stood, isLatest: false, head: (source) => folder.head(source) };
}

/** Readable for people, and another for every name on every file system. */
function journalName(folder: string): string {
  const short = folder.replace(/[^A-Za-z0-9-]+/g, "_").slice(0, 40);
  return `${short}-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}.jsonl`;
}
