// Where the state of one source and one target lies, and the names that it remembers.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Loss } from "../mail/fidelity.ts";
import type { FolderPath, Origin } from "../mail/model.ts";
import { type LedgerPair, memoryLedger } from "./journal.ts";
import type { FolderLedger, Ledger } from "./ledger.ts";

/** For a target that has no home of its own. */
export function pairDirectory(stateDirectory: string, source: string, sink: string): string {
  return join(stateDirectory, `pair-${hash(`${source}\n${sink}`)}`);
}

export function ledgerDirectoryOf(home: string, source: string): string {
  return join(home, "ledger", hash(source));
}

export interface RememberedName {
  readonly path: FolderPath;
  readonly name: string;
}

/** Those of these paths whose folder got another name than the rule says. */
export async function rememberedNames(
  ledger: Pick<Ledger, "nameOf">,
  paths: readonly FolderPath[],
): Promise<readonly RememberedName[]> {
  const names: RememberedName[] = [];
  for (const path of paths) {
    const name = await ledger.nameOf(path);
    if (name !== undefined) names.push({ path, name });
  }
  return names;
}

/** What the ledger of a pair of accounts knows, where there is one; nothing is written. One folder's journal is held at a time. */
export function ledgerOfPair(stateDirectory: string, pair: LedgerPair): PairLedger {
  const directory = ledgerDirectoryOf(pairDirectory(stateDirectory, pair.source, pair.sink), pair.source);
  const ledger = memoryLedger({ directory, pair });
  let open: { readonly name: string; readonly folder: FolderLedger } | undefined;
  return {
    names: (paths) => rememberedNames(ledger, paths),
    async told(name, origin) {
      if (open?.name !== name) {
        await open?.folder[Symbol.asyncDispose]();
        open = undefined;
        open = { name, folder: await ledger.folder(name) };
      }
      const record = await open.folder.find(origin)?.read();
      return { losses: record?.losses ?? [], isAltered: record?.state === "altered" };
    },
    [Symbol.asyncDispose]: () => ledger[Symbol.asyncDispose](),
  };
}

export interface PairLedger extends AsyncDisposable {
  names(paths: readonly FolderPath[]): Promise<readonly RememberedName[]>;
  told(folder: string, origin: Origin): Promise<Told>;
}

/** What was told when a message was copied. */
export interface Told {
  readonly losses: readonly Loss[];
  /** The target stored other bytes. */
  readonly isAltered: boolean;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
