// For a dry run: what the target seems to have beside what the ledger knows, by date and size. No message is read, and nothing is written.

import type { Entry, Folder, FolderPath, Received } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";

/** The copies of one target folder; each is the copy of one message alone. */
export interface Copies {
  /** Whether one is there that may be a copy of this message; it is nobody else's from then on. */
  take(entry: Entry): boolean;
}

interface Sized {
  readonly octets: number;
  /** With CRLF line ends, as an account counts them; else with those that the disk has. */
  readonly isWire: boolean;
}

/** A line end is one octet more on the wire: no message has more lines than half its octets. */
const MOST_GROWN = 2;

export class Present {
  readonly #open: () => Promise<Source | undefined>;
  readonly #source: Source;
  readonly #signal: AbortSignal;
  #target: Promise<{ readonly target: Source; readonly folders: Map<string, Folder> } | undefined> | undefined;

  /** `open` gives the target for reading, once; undefined where nothing is there. */
  constructor(open: () => Promise<Source | undefined>, source: Source, signal: AbortSignal) {
    this.#open = open;
    this.#source = source;
    this.#signal = signal;
  }

  /** Undefined where the folder holds no more than what is known: then there is nothing to look for. */
  async of(path: FolderPath, known: number): Promise<Copies | undefined> {
    this.#target ??= this.#list();
    const { target, folders } = (await this.#target) ?? {};
    const folder = folders?.get(pathKey(path));
    if (target === undefined || folder === undefined || (folder.messages ?? Number.POSITIVE_INFINITY) <= known)
      return undefined;
    const copies = new Map<number | undefined, Sized[]>();
    const want = (entry: Entry): boolean => {
      const second = secondOf(entry.traits.received);
      const sized = sizedOf(target, entry);
      const same = copies.get(second);
      if (same === undefined) copies.set(second, [sized]);
      else same.push(sized);
      return false;
    };
    for await (const slice of target.slices(folder, this.#signal))
      for await (const _ of target.read(slice, { want, signal: this.#signal }));
    const source = this.#source;
    return {
      take(entry) {
        const mine = sizedOf(source, entry);
        const second = secondOf(entry.traits.received);
        // What tells no date is known by its size alone, and that must be the same.
        for (const same of second === undefined ? copies.values() : [copies.get(second) ?? []]) {
          const exact = same.findIndex((one) => isSame(one, mine));
          const at = exact !== -1 || second === undefined ? exact : same.findIndex((one) => isAlike(one, mine));
          if (at !== -1) return same.splice(at, 1).length > 0;
        }
        return false;
      },
    };
  }

  async #list(): Promise<{ readonly target: Source; readonly folders: Map<string, Folder> } | undefined> {
    const target = await this.#open();
    const folders = new Map<string, Folder>();
    if (target === undefined) return undefined;
    for await (const folder of target.folders(this.#signal)) folders.set(pathKey(folder.path), folder);
    return { target, folders };
  }
}

const pathKey = (path: FolderPath): string => JSON.stringify(path);

const secondOf = (received: Received | undefined): number | undefined => received?.epochSeconds;

function sizedOf(source: Source, entry: Entry): Sized {
  const wire = source.kind === "imap" || source.kind === "pop3" ? entry.size : source.wireSize?.(entry);
  return { octets: wire ?? entry.size ?? 0, isWire: wire !== undefined };
}

function isSame(a: Sized, b: Sized): boolean {
  return a.octets === b.octets && a.isWire === b.isWire;
}

/** The same but for line ends. */
function isAlike(a: Sized, b: Sized): boolean {
  const [small, large] = [Math.min(a.octets, b.octets), Math.max(a.octets, b.octets)];
  return !(a.isWire && b.isWire) && large <= small * MOST_GROWN;
}
