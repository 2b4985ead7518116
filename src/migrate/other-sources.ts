// Whose mail an archive holds beside that of this run: two accounts in one Maildir lie in the same folders.

import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { openOwn } from "../core/own-file.ts";
import { plural } from "../core/words.ts";
import type { EventStream } from "./event-stream.ts";
import { RUNS_FILE } from "./ledger-runs.ts";
import { ledgerDirectoryOf } from "./pair.ts";

/** Octets of a journal's first line. */
const FIRST_LINE = 4096;
/** Sources that are named. */
const NAMED = 3;

/** Says so in the first run of a source into an archive that others were copied into. */
export async function tellOthers(home: string, source: string, events: EventStream): Promise<void> {
  const mine = basename(ledgerDirectoryOf(home, source));
  let names: readonly string[];
  try {
    names = await readdir(join(home, "ledger"));
  } catch {
    // It holds nobody's; what cannot be read is met when it is opened.
    return;
  }
  if (names.includes(mine) || names.length === 0) return;
  const others: string[] = [];
  for (const name of names) {
    const other = await sourceIn(join(home, "ledger", name, RUNS_FILE));
    if (other !== undefined) others.push(other);
  }
  if (others.length === 0) return;
  const rest = others.length > NAMED ? ` and ${plural(others.length - NAMED, "other source")}` : "";
  await events.emit({
    type: "notice",
    text: `the archive holds mail of ${others.slice(0, NAMED).join(", ")}${rest} already: that of ${source} is put beside it, in the same folders. For an archive of its own give another place, or --into FOLDER`,
    insist: true,
  });
}

async function sourceIn(path: string): Promise<string | undefined> {
  try {
    await using file = await openOwn(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(FIRST_LINE), 0, FIRST_LINE, 0);
    const [line = ""] = buffer.toString("utf8", 0, bytesRead).split("\n", 1);
    const header: unknown = JSON.parse(line.slice(line.indexOf("{")));
    if (typeof header !== "object" || header === null || !("source" in header)) return undefined;
    return typeof header.source === "string" ? header.source : undefined;
  } catch {
    // verify tells what is wrong with it.
    return undefined;
  }
}
