// A run and the list of its archive's own files: looked at when it begins, written when it ends.

import { dirname, join, relative } from "node:path";
import { isObstacle } from "../core/own-file.ts";
import {
  addToInventory,
  type Inventory,
  isNoFile,
  isZipState,
  readInventory,
  type Stated,
  stateOf,
  strayName,
} from "../formats/inventory.ts";
import { checkMaildirFiles } from "../formats/maildir/check.ts";
import { mendKeywords, setLonelyTraitsAside } from "../formats/maildir/mend.ts";
import { listZips } from "../formats/mboxzip/layout.ts";
import { mendNumbers } from "../formats/mboxzip/numbers.ts";
import { stateZips } from "../formats/mboxzip/shape.ts";
import { mendLines, setObstaclesAside } from "../formats/mend.ts";
import { type Amiss, checkOwnFiles, inWords, ofInventory, ownFiles, shortened } from "../formats/own-files.ts";
import { readArchiveRuns } from "./archive-runs.ts";
import type { EventStream } from "./event-stream.ts";
import type { Written } from "./ledger-file.ts";
import type { RunTally } from "./tally.ts";

/** Files of lines that are no ledgers: those mend themselves. */
const LINES = /^(?:folders\.jsonl|traits\/[^/]+\.jsonl)$/;

export class InventoryKeeper {
  /** What is gone, in words. A ledger is not among it: the target is looked at instead, and its records are made again. */
  readonly missing: readonly string[];
  /** The same of ledgers. */
  readonly ledgers: readonly string[];
  /** Journals that the run writes to, by their paths. */
  readonly written = new Map<string, Written>();
  /** The generations of folders that were looked at anew, each with the number of copies in it that are nobody's. */
  readonly looked = new Map<string, number>();
  readonly #home: string;
  readonly #archive: string;
  readonly #before: Inventory | undefined;
  /** The list itself cannot be trusted: it stays so until everything was looked at. */
  readonly #isSpoilt: boolean;
  readonly #amiss: ReadonlySet<string>;
  /** The highest number that a run said it wrote. */
  readonly #wanted: number;
  /** Zips from this number on are of this run. */
  readonly #nextZip: number;

  private constructor(
    home: string,
    archive: string,
    before: Inventory | undefined,
    found: {
      readonly amiss: readonly Amiss[];
      readonly list: readonly string[];
      readonly wanted: number;
      readonly nextZip: number;
    },
  ) {
    this.#wanted = found.wanted;
    this.#nextZip = found.nextZip;
    this.#home = home;
    this.#archive = archive;
    this.#before = before;
    this.#isSpoilt = found.list.length > 0;
    const isLedger = ({ file }: Amiss): boolean => file.startsWith("ledger/");
    this.#amiss = new Set(found.amiss.map(({ file }) => file));
    this.missing = [
      ...found.list,
      ...inWords(
        home,
        found.amiss.filter((amiss) => !isLedger(amiss)),
      ),
    ];
    this.ledgers = inWords(home, found.amiss.filter(isLedger));
  }

  /** `isWritable`: what is in the way is moved aside. `isLookedFor`: lines that are damaged are taken out, as all is looked at. */
  static async open(
    home: string,
    archive: string,
    { isWritable, isLookedFor }: { readonly isWritable: boolean; readonly isLookedFor: boolean },
  ): Promise<InventoryKeeper> {
    const aside = isWritable ? await setObstaclesAside(home) : [];
    if (isWritable && isLookedFor && archive.startsWith("maildir:")) await mendKeywords(home);
    const { inventory: wanted } = await readArchiveRuns(home);
    let before: Inventory | undefined;
    let list: string[];
    try {
      before = await readInventory(home);
      list = [...ofInventory(home, before, wanted)];
    } catch (error) {
      if (!isObstacle(error)) throw error;
      list = [(error as Error).message];
    }
    const files = await ownFiles(home);
    const amiss = before === undefined ? [] : [...shortened(before, files)];
    const known = new Set(amiss.map(({ file }) => file));
    for (const path of aside) {
      const file = relative(home, path);
      if (!known.has(file)) amiss.push({ file, what: "was no file, and is moved aside" });
    }
    if (isWritable && isLookedFor)
      for (const file of files.keys())
        if (LINES.test(file) && (await mendLines(join(home, file))) && !known.has(file))
          amiss.push({ file, what: "has damaged lines" });
    const zips = archive.startsWith("mboxzip:") ? await listZips(dirname(home)) : [];
    if (isWritable && isLookedFor && (await mendNumbers(home, zips)) && !known.has("numbers"))
      amiss.push({ file: "numbers", what: "has damaged lines" });
    const nextZip = (zips.at(-1)?.number ?? 0) + 1;
    return new InventoryKeeper(home, archive, before, { amiss, list, wanted: wanted ?? 0, nextZip });
  }

  /** What the run cannot mend by itself makes it incomplete, as a lost zip does. */
  async tell(tally: RunTally, events: EventStream, isLookedFor: boolean): Promise<void> {
    const again =
      "run it once with --recheck over all folders: what the source still tells of it is then written again";
    const now = "what the source still tells of it is written again; when that is done, it is not missed any longer";
    if (this.missing.length > 0)
      await events.emit({ type: "notice", text: `${this.missing.join("; ")}; ${isLookedFor ? now : again}` });
    if (this.ledgers.length > 0)
      await events.emit({ type: "notice", text: `${this.ledgers.join("; ")}; the target is looked at instead` });
    tally.missing = [...tally.missing, ...this.missing];
  }

  /**
   * States what the files hold now, durably; gives the number of the inventory, or undefined where the list stays as it is.
   * `anew`: what was lost is not missed any more, as all that can be brought back was.
   */
  async write(anew: boolean): Promise<number | undefined> {
    if (this.#isSpoilt && !anew) return undefined;
    const changes = new Map<string, Stated | undefined>();
    const lonely = anew && this.#archive.startsWith("maildir:") ? await setLonelyTraitsAside(this.#home) : [];
    for (const file of lonely) if (this.#before?.files.has(file) === true) changes.set(file, undefined);
    const sizes = await ownFiles(this.#home);
    for (const [file, size] of sizes) {
      const stated = this.#before?.files.get(file);
      const written = this.written.get(join(this.#home, file));
      if (this.#isKept(file, stated, written, anew)) continue;
      const isNew = stated === undefined || this.#mayHaveOther(file, stated, written, anew);
      // A file that grows grows at its end; a journal that nobody wrote to is as it was.
      if (!isNew && written === undefined && size <= stated.size) continue;
      const now = await stateOf(join(this.#home, file), isNew ? {} : { known: stated });
      if (now !== undefined && !isSame(now, stated)) changes.set(file, now);
    }
    if (anew) for (const [generation, strays] of this.looked) noteStrays(changes, this.#before, generation, strays);
    if (this.#archive.startsWith("mboxzip:")) await this.#stateZips(changes, anew);
    if (anew)
      for (const file of this.#before?.files.keys() ?? [])
        if (!sizes.has(file) && !isNoFile(file) && !this.#isKept(file, this.#before?.files.get(file), undefined, true))
          changes.set(file, undefined);
    if (changes.size === 0 && this.#before !== undefined && !this.#isSpoilt) return this.#before.batch;
    const before = this.#isSpoilt ? undefined : this.#before;
    return await addToInventory(this.#home, this.#archive, before, changes, this.#wanted);
  }

  async #stateZips(changes: Map<string, Stated | undefined>, anew: boolean): Promise<void> {
    const zips = await listZips(dirname(this.#home));
    const states = await stateZips(zips, this.#before, { anew, written: this.#nextZip });
    for (const [name, state] of states) if (!isSame(state, this.#before?.files.get(name))) changes.set(name, state);
    if (!anew) return;
    for (const name of this.#before?.files.keys() ?? [])
      if (isZipState(name) && !states.has(name)) changes.set(name, undefined);
  }

  /** What was lost stays stated as it was, until a run looked for all of it once more. */
  #isKept(file: string, stated: Stated | undefined, written: Written | undefined, anew: boolean): boolean {
    if (stated === undefined || !this.#amiss.has(file)) return false;
    if (file.startsWith("ledger/")) return !anew && written === undefined;
    const [, traits] = /^traits\/(.*)\.jsonl$/.exec(file) ?? [];
    return !anew || (traits !== undefined && !this.looked.has(traits));
  }

  #mayHaveOther(file: string, stated: Stated, written: Written | undefined, anew: boolean): boolean {
    if (anew || this.#amiss.has(file)) return true;
    return written !== undefined && (written.replaced || written.from < stated.size);
  }
}

/** What an archive lacks that is read makes the run incomplete: a run into it that was broken off, files of it that are gone. */
export async function tellArchive(
  { home, kind }: { readonly home: string; readonly kind: string },
  tally: RunTally,
  events: EventStream,
  signal: AbortSignal,
): Promise<void> {
  const { unfinished, inventory } = await readArchiveRuns(home);
  const found: string[] = [];
  await checkOwnFiles(home, inventory, signal, (text) => found.push(text));
  if (kind === "maildir") await checkMaildirFiles(dirname(home), (text) => found.push(text));
  for (const text of unfinished) found.push(`the archive is not complete: ${text}`);
  for (const text of found) await events.emit({ type: "notice", text });
  tally.missing = [...tally.missing, ...found];
}

/** Copies under our names that no record speaks of, and that nobody can be asked about any more. */
function noteStrays(
  changes: Map<string, Stated | undefined>,
  before: Inventory | undefined,
  generation: string,
  strays: number,
): void {
  const name = strayName(generation);
  const known = before?.files.get(name)?.size ?? 0;
  if (strays !== known) changes.set(name, strays === 0 ? undefined : { size: strays, sum: 0 });
}

function isSame(now: Stated, before: Stated | undefined): boolean {
  return before !== undefined && now.size === before.size && now.sum === before.sum && now.runs === before.runs;
}
