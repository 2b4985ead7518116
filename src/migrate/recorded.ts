// What the ledgers of an archive that is read say of its messages: octets that they know to be wrong are not delivered.

import { join } from "node:path";
import { plural } from "../core/words.ts";
import type { Body } from "../mail/body.ts";
import { MailError } from "../mail/errors.ts";
import { wireSize } from "../mail/key.ts";
import { type Entry, type Folder, showPath } from "../mail/model.ts";
import type { Source } from "../sources/source.ts";
import { firstWord, nameKey, type Recorded, readLedgers } from "./verify-journals.ts";

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

  /** A line for each of these folders that holds fewer messages than were stored in it: deleted by somebody, or lost. */
  *fewer(folders: Iterable<Folder>): Generator<string> {
    for (const { name, path, messages } of folders) {
      const where = showPath(path);
      const { table, removed } = this.#recorded.get(name ?? where) ?? {};
      const stored = (table?.size ?? 0) - (removed?.size ?? 0);
      if (messages !== undefined && messages < stored)
        yield `${where}: ${plural(stored - messages, "message")} that were stored are no longer there (deleted there, or lost)`;
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
