// Where the state of one source and one target lies, and the names that it remembers.

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { FolderPath } from "../mail/model.ts";
import { memoryLedger } from "./journal.ts";
import type { Ledger } from "./ledger.ts";

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

/** The same out of the ledger of a pair of accounts, where there is one; nothing is written. */
export async function namesOfPair(
  stateDirectory: string,
  pair: { readonly source: string; readonly sink: string },
  paths: readonly FolderPath[],
): Promise<readonly RememberedName[]> {
  const directory = ledgerDirectoryOf(pairDirectory(stateDirectory, pair.source, pair.sink), pair.source);
  await using ledger = memoryLedger({ directory, pair });
  return await rememberedNames(ledger, paths);
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
