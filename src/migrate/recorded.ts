// What the ledgers of an archive that is read say of its messages: octets that they know to be wrong are not delivered.

import { join } from "node:path";
import { plural } from "../core/words.ts";
import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { wireSize } from "../mail/key.ts";
import { type Entry, type Folder, type FolderPath, showPath } from "../mail/model.ts";
import { MOST_GONE } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { firstWord, nameKey, type Recorded, readLedgers } from "./verify-journals.ts";

export interface Fewer {
  readonly folder: FolderPath;
  readonly gone: number;
  /** More than an owner is thought to delete between two runs. */
  readonly isLost: boolean;
  /** Goes on behind the folder's name. */
  readonly why: string;
}

/** What its owner deleted, as a run saw, is not missed. */
function storedIn(recorded: Recorded | undefined): number {
  return (recorded?.table.size ?? 0) - (recorded?.removed.size ?? 0);
}

function goneInWords(gone: number): string {
  return `${plural(gone, "message")} that ${gone === 1 ? "was stored is" : "were stored are"} no longer there (deleted there, or lost)`;
}

export class ArchiveRecords {
  readonly #source: Source;
  readonly #recorded: ReadonlyMap<string, Recorded>;

  private constructor(source: Source, recorded: ReadonlyMap<string, Recorded>) {
    this.#source = source;
    this.#recorded = recorded;
  }

  /** Undefined for what has no ledgers of its own, or (a zip) holds each message against its own manifest. */
  static async of(source: Source): Promise<ArchiveRecords | undefined> {
    if (source.home === undefined || source.kind !== "maildir") return undefined;
    // What is wrong with the ledgers themselves is told where the archive's own files are looked at.
    return new ArchiveRecords(source, await readLedgers(join(source.home, "ledger"), source.identity, () => undefined));
  }

  /**
   * Each of these folders that holds fewer messages than were stored in it: where they are few, somebody may have deleted them. `all`: they
   * are all folders of the archive, and what is recorded beside them is gone as a whole.
   */
  *fewer(folders: readonly Folder[], all: boolean): Generator<Fewer> {
    const there = new Set<string>();
    for (const { name, path, messages } of folders) {
      const where = name ?? showPath(path);
      there.add(where);
      const stored = storedIn(this.#recorded.get(where));
      if (messages === undefined || messages >= stored) continue;
      const gone = stored - messages;
      yield { folder: path, gone, isLost: gone >= MOST_GONE * stored, why: goneInWords(gone) };
    }
    if (!all) return;
    for (const [name, recorded] of this.#recorded) {
      const gone = storedIn(recorded);
      if (there.has(name) || gone === 0) continue;
      yield {
        folder: [name],
        gone,
        isLost: true,
        why: `the folder is not there, and with it ${plural(gone, "message")}`,
      };
    }
  }

  /** Undefined where nothing speaks against these bytes. */
  doubt({ name, path }: Folder, entry: Entry, { key, shape }: Body): MailError | undefined {
    const table = this.#recorded.get(name ?? showPath(path))?.table;
    const [row] = table?.find(nameKey(entry.origin.id)) ?? [];
    if (row === undefined) return undefined;
    // The key does not see a last line end that became another.
    const size = this.#source.wireSize?.(entry) ?? wireSize(shape);
    if (row.id === firstWord(key) && size === wireSize(shape)) return undefined;
    return new MailError(
      "malformed",
      `${entry.origin.id} has other bytes than were stored: the archive is damaged there`,
      {
        scope: "message",
        remedy: "give-up",
        outcome: "none",
        hint: "A backup with --recheck fetches it again from where it came from.",
      },
    );
  }
}
