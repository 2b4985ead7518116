// With --recheck over all folders: those of a Maildir archive that the source has no more. Nothing of them can be fetched again, so what is
// lost of them is told now, and missed by nobody from then on.

import { rename } from "node:fs/promises";
import { join } from "node:path";
import { plural } from "../core/words.ts";
import { folderId, type MailFolder, openMailFolder } from "../formats/maildir/folder.ts";
import { entriesOf } from "../formats/maildir/layout.ts";
import { messageFiles, nameIn } from "../formats/maildir/listing.ts";
import { parseFileName, parseOwn } from "../formats/maildir/names.ts";
import { showBytes, toBytes } from "../formats/maildir/paths.ts";
import { isWhole, moveOut } from "../formats/maildir/spoilt.ts";
import { asideName } from "../formats/mend.ts";
import type { RunContext } from "./context.ts";
import type { DoneRecord, FolderLedger } from "./ledger.ts";
import { RUNS_FILE } from "./ledger-runs.ts";
import { folderOfJournal, list, nameKey, readLedgers } from "./verify-journals.ts";

const BATCH = 1000;

/** `home`: the archive's `mailferry/`; `ledgers`: the directory of this pair's ledger in it. Notes in `looked` what is nobody's. */
export async function lookAtUnvisited(
  context: RunContext,
  looked: Map<string, number>,
  home: string,
  ledgers: string,
): Promise<void> {
  const root = join(home, "..");
  const pathOf = (name: string): string => (name === "INBOX" ? root : join(root, name));
  const isLooked = (name: string): boolean => looked.has(folderId(toBytes(pathOf(name))) ?? "");
  for (const file of await list(ledgers)) {
    if (!file.endsWith(".jsonl") || file === RUNS_FILE) continue;
    const name = await folderOfJournal(join(ledgers, file));
    // Whose it is nobody can tell: what it says is looked for in the folders themselves.
    if (name === undefined) await rename(join(ledgers, file), asideName(join(ledgers, file)));
    else if (!isLooked(name)) await lookAt(context, await context.ledger.folder(name), name, pathOf(name), home);
  }
  const recorded = await readLedgers(join(home, "ledger"), context.sink.identity, () => undefined);
  const names = ((await entriesOf(toBytes(root))) ?? []).map((entry) => showBytes(entry.name));
  for (const name of ["INBOX", ...names.filter((entry) => entry.startsWith("."))]) {
    const id = folderId(toBytes(pathOf(name)));
    if (id === undefined || looked.has(id)) continue;
    let strays = 0;
    for await (const file of messageFiles(toBytes(pathOf(name)))) {
      const { base } = parseFileName(nameIn(file));
      const isKnown = recorded.get(name)?.table.find(nameKey(base)).next().done === false;
      if (parseOwn(base) !== undefined && !isKnown) strays++;
    }
    looked.set(id, strays);
    if (strays > 0) {
      const are = strays === 1 ? "is" : "are";
      const text = `${plural(strays, "message")} of ${name} ${are} in no ledger any more, and the source has no such folder to compare with: kept as ${strays === 1 ? "it is" : "they are"}`;
      await context.events.emit({ type: "notice", text });
    }
  }
}

async function lookAt(
  { events, hard }: RunContext,
  ledger: FolderLedger,
  name: string,
  path: string,
  home: string,
): Promise<void> {
  const directory = toBytes(path);
  const id = folderId(directory);
  const mail =
    id === undefined ? undefined : await openMailFolder(directory, toBytes(join(home, "traits", `${id}.jsonl`)));
  const wasClean = ledger.clean;
  let batch: DoneRecord[] = [];
  let lost = 0;
  const note = async (): Promise<void> => {
    await ledger.putAll(batch);
    lost += batch.length;
    batch = [];
  };
  for await (const record of ledger.records()) {
    const { receipt, gone, state } = record;
    if (state !== "done" || gone === true || receipt === undefined) continue;
    if (await isThere(mail, receipt.ref, record.key, join(home, "spoilt", id ?? ""), hard)) continue;
    batch.push({ ...record, gone: true });
    if (batch.length >= BATCH) await note();
  }
  await note();
  // Closing it also takes damaged lines out.
  if (!wasClean || lost > 0) await ledger.close(ledger.sinkPosition, []);
  if (lost === 0) return;
  const text = `${plural(lost, "message")} of ${name} ${lost === 1 ? "is" : "are"} damaged or gone, and the source has no such folder any more: lost (what was damaged lies in ${join(home, "spoilt")})`;
  await events.emit({ type: "notice", text });
}

async function isThere(
  mail: MailFolder | undefined,
  ref: string,
  key: DoneRecord["key"],
  spoilt: string,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await mail?.locator.with(ref, async (file) => {
    if (await isWhole(mail, file, ref, key, signal)) return "whole";
    await moveOut(mail.directory, file, spoilt);
    return "moved";
  });
  return found === "whole";
}
