// `runs.jsonl` beside the journals: when each run began and ended, and the raw name that each path got in the target.

import { GroupCommit } from "../core/group.ts";
import { frame } from "../core/lines.ts";
import type { FolderPath } from "../mail/model.ts";
import type { RunEnd, RunRecord, RunStart } from "./ledger.ts";
import type { Header } from "./ledger-codec.ts";
import { type FileOptions, type JournalStore, openJournalFile } from "./ledger-file.ts";
import { decodeRun, type RunLine } from "./ledger-runs-codec.ts";

/** No folder's journal has this name: theirs end in a hash. */
export const RUNS_FILE = "runs.jsonl";

/** Dispositions of a message whose copy is new to the ledger. */
const COPIED = ["copied", "adopted", "altered"];

interface Found {
  highest: number;
  /** The last run that ended with something copied. */
  copying: number;
  readonly names: Map<string, string>;
  /** Octets of whole lines. */
  size: number;
  damaged: boolean;
}

/**
 * The file is open only while it is read or written. Nothing that was copied depends on it: where it is damaged or gone, numbers and names
 * are lost with it and nothing else.
 */
export class RunLog {
  readonly #place: { readonly path: string; readonly header: Header } | undefined;
  readonly #writable: boolean;
  readonly #notice: (text: string) => void;
  readonly #options: Pick<FileOptions, "hold" | "written">;
  readonly #writes: GroupCommit<RunLine, undefined>;
  #found: Promise<Found> | undefined;
  /** The run that was begun. */
  #number: number | undefined;

  /** `writable` false: what is new stays in memory. */
  constructor(
    place: { readonly path: string; readonly header: Header } | undefined,
    writable: boolean,
    notice: (text: string) => void,
    options: Pick<FileOptions, "hold" | "written"> = {},
  ) {
    this.#place = place;
    this.#writable = writable;
    this.#notice = notice;
    this.#options = options;
    this.#writes = new GroupCommit((lines) => this.#write(lines));
  }

  get number(): number | undefined {
    return this.#number;
  }

  async begin({ version, selection }: RunStart): Promise<number> {
    const number = (await this.#load()).highest + 1;
    await this.#writes.add({ s: "start", n: number, a: now(), v: version, o: selection });
    this.#number = number;
    return number;
  }

  async end({ outcome, balance, inventory }: RunEnd): Promise<void> {
    const list = inventory === undefined ? {} : { i: inventory };
    if (this.#number !== undefined)
      await this.#writes.add({ s: "end", n: this.#number, a: now(), w: outcome, b: balance, ...list });
  }

  /** The number of the last run that copied anything and came to its end; 0 where there is none. */
  async lastCopying(): Promise<number> {
    return (await this.#load()).copying;
  }

  async nameOf(path: FolderPath): Promise<string | undefined> {
    return (await this.#load()).names.get(JSON.stringify(path));
  }

  async remember(path: FolderPath, name: string): Promise<void> {
    if ((await this.nameOf(path)) !== name) await this.#writes.add({ s: "name", f: path, r: name });
  }

  async runs(): Promise<readonly RunRecord[]> {
    const runs = new Map<number, RunRecord>();
    const take = (line: RunLine): void => {
      if (line.s === "start")
        runs.set(line.n, { number: line.n, startedAt: line.a, version: line.v, selection: line.o });
      if (line.s !== "end") return;
      const run = runs.get(line.n);
      if (run !== undefined) runs.set(line.n, { ...run, end: { at: line.a, outcome: line.w, balance: line.b } });
    };
    await this.#withFile(false, (store) => eachLine(store, take));
    return [...runs.values()];
  }

  #load(): Promise<Found> {
    if (this.#found === undefined) {
      this.#found = this.#read();
      // Tried again, it is read again.
      this.#found.catch(() => {
        this.#found = undefined;
      });
    }
    return this.#found;
  }

  async #read(): Promise<Found> {
    const found: Found = { highest: 0, copying: 0, names: new Map(), size: 0, damaged: false };
    await this.#withFile(false, async (store) => {
      const { bad, torn } = await eachLine(store, (line) => apply(found, line));
      // Lines without their counter are written anew, as a journal's are.
      found.damaged = bad > 0 || (store.runs === undefined && store.size > 0);
      found.highest = Math.max(found.highest, store.runs ?? 0);
      found.size = torn ?? store.size;
      if (bad > 0)
        this.#notice(`The file with the past runs from this source has ${bad} damaged lines; all others hold.`);
    });
    return found;
  }

  async #write(lines: readonly RunLine[]): Promise<{ value: undefined }[]> {
    const found = await this.#load();
    const numbers = lines.map((line) => (line.s === "start" ? line.n : 0));
    const highest = Math.max(found.highest, ...numbers);
    await this.#withFile(true, async (store) => {
      // A finished FILE.zip needs no state any more: its end made no place for one.
      if (store.size === 0 && found.size > 0 && lines.every(({ s }) => s === "end")) return;
      if (found.damaged) await this.#mend(store, found);
      else if (store.size > found.size) store.cut(found.size);
      const text = lines.map((line) => frame(JSON.stringify(line))).join("");
      await store.append(text, highest === store.runs ? undefined : highest);
      found.size = store.size;
    });
    for (const line of lines) apply(found, line);
    return lines.map(() => ({ value: undefined }));
  }

  /** The file as it was is kept, and what still holds is written anew. */
  async #mend(store: JournalStore, found: Found): Promise<void> {
    const copy = await store.setAside();
    if (copy !== undefined) this.#notice(`The damaged file with the past runs from this source is kept as ${copy}.`);
    await store.replace(goodLines(store), found.highest);
    found.damaged = false;
  }

  async #withFile(writing: boolean, work: (store: JournalStore) => Promise<unknown>): Promise<void> {
    if (this.#place === undefined || (writing && !this.#writable)) return;
    const { path, header } = this.#place;
    const notice = (text: string): void => (writing ? this.#notice(text) : undefined);
    const store = await openJournalFile(path, header, {
      writable: writing,
      notice,
      ...this.#options,
      // An archive that was not begun when a run failed has another identity the next time.
      mayReplace: true,
    });
    try {
      await work(store);
    } finally {
      await store.close();
    }
  }
}

function apply(found: Found, line: RunLine): void {
  if (line.s === "name") found.names.set(JSON.stringify(line.f), line.r);
  else found.highest = Math.max(found.highest, line.n);
  if (line.s === "end" && COPIED.some((as) => (line.b[as] ?? 0) > 0)) found.copying = line.n;
}

/** `torn`: where the last line begins, if the file ends before it does. */
async function eachLine(
  store: JournalStore,
  take: (line: RunLine) => void,
): Promise<{ bad: number; torn: number | undefined }> {
  let bad = 0;
  let end: number | undefined;
  for await (const lines of store.scan())
    for (const { text, offset, torn } of lines) {
      const line = text === undefined ? undefined : decodeRun(text);
      if (line !== undefined) take(line);
      else if (torn) end = offset;
      else bad++;
    }
  return { bad, torn: end };
}

async function* goodLines(store: JournalStore): AsyncGenerator<string> {
  for await (const lines of store.scan())
    for (const { text } of lines) if (text !== undefined && decodeRun(text) !== undefined) yield frame(text);
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
