// The files of a Maildir archive beside its messages: checksums of our own lines, and dovecot-keywords against what we noted.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { lacksOnlyItsEnd, type ReadAt, scanLines } from "../../core/lines.ts";
import { isObstacle, openOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { ARCHIVE_HOME } from "../archive.ts";
import { readTree } from "../disk/tree.ts";
import { folderId, LETTER_MARK } from "./folder.ts";
import { FOLDER_MAP } from "./folder-map.ts";
import { keywordsOf } from "./keywords.ts";
import { type BytePath, showBytes } from "./paths.ts";

/** How the directory of a folder ends whose name no directory can have (see substituteName). */
const SUBSTITUTE = /-[0-9a-f]{8,}$/;

/**
 * Checks `folders.jsonl`, the traits of every folder, and that each folder's dovecot-keywords still gives the letters the meaning
 * that we gave them. Not the messages. `subscriptions`, `maildirfolder` and keywords that other programs added are theirs: they
 * have no checksum.
 */
export async function checkMaildirFiles(root: string, onProblem: (text: string) => void): Promise<void> {
  const home = join(root, ARCHIVE_HOME);
  let notes = 0;
  await checkLines(join(home, FOLDER_MAP), onProblem, () => void notes++);
  const given = new Map<string, Map<string, string>>();
  const traits = join(home, "traits");
  for (const file of (await names(traits)).filter((name) => name.endsWith(".jsonl"))) {
    const letters = new Map<string, string>();
    given.set(file.replace(/\.jsonl$/, ""), letters);
    await checkLines(join(traits, file), onProblem, (text) => {
      // A quick look first: there is a line for every message with a label.
      if (!text.startsWith(`{"m":"${LETTER_MARK}`)) return;
      const { m, k } = JSON.parse(text) as { readonly m: string; readonly k?: readonly unknown[] };
      letters.set(m.slice(LETTER_MARK.length), String(k?.[0]));
    });
  }
  const { folders } = await readTree(root, { style: "maildir", isOwn: true }, new AbortController().signal);
  for (const { place: directory, name, kind } of folders) {
    if (kind !== "maildir") continue;
    const id = folderId(directory);
    await checkKeywords(directory, given.get(id ?? "") ?? new Map(), onProblem);
    if (notes === 0 && id !== undefined && SUBSTITUTE.test(name))
      onProblem(`${showBytes(name)} stands for a longer name, and ${FOLDER_MAP}, which says it, is missing or empty`);
  }
}

/** Every line holds its checksum; an end without a line end is let pass, as a killed run leaves it. No file has no lines. */
async function checkLines(
  path: string,
  onProblem: (text: string) => void,
  onLine: (text: string) => void,
): Promise<void> {
  try {
    const file = await openOwn(path);
    try {
      const read: ReadAt = async (buffer, at) => (await file.read(buffer, 0, buffer.length, at)).bytesRead;
      let number = 0;
      for await (const lines of scanLines(read, 0))
        for (const { text, torn, offset } of lines) {
          number++;
          if (text !== undefined) onLine(text);
          else if (!torn || (await lacksOnlyItsEnd(read, offset))) onProblem(`${path}: line ${number} is damaged`);
        }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isObstacle(error)) onProblem((error as Error).message);
    else if (errno(error) !== "ENOENT") throw ioError(`cannot read ${path}`, error);
  }
}

async function checkKeywords(
  directory: BytePath,
  given: ReadonlyMap<string, string>,
  onProblem: (text: string) => void,
): Promise<void> {
  if (given.size === 0) return;
  const table = keywordsOf(directory);
  await table.load();
  for (const [letter, keyword] of given) {
    const name = table.nameOf(letter);
    if (name === keyword) continue;
    const now = name === undefined ? "nothing" : JSON.stringify(name);
    onProblem(
      `${showBytes(directory)}/dovecot-keywords: the letter ${letter} was ${JSON.stringify(keyword)}, and is ${now} now`,
    );
  }
}

async function names(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errno(error) === "ENOENT") return [];
    throw ioError(`cannot read ${directory}`, error);
  }
}
