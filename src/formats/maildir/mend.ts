// A Maildir archive that is looked at anew: letters get back the keywords that we gave them, and traits of no folder go aside.

import { readdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { replaceFile } from "../../core/files.ts";
import { isObstacle, readOwn } from "../../core/own-file.ts";
import { errno, ioError } from "../../mail/errors.ts";
import { readTree } from "../disk/tree.ts";
import { asideName } from "../mend.ts";
import { folderId, LETTER_MARK } from "./folder.ts";
import { type BytePath, fsPath, showBytes, toBytes } from "./paths.ts";
import { openSidecar } from "./sidecar.ts";

const LETTERS = 26;
const FIRST = 97;

/** `home`: the archive's `mailferry/`. */
export async function mendKeywords(home: string): Promise<void> {
  for (const directory of await foldersOf(home)) {
    const id = folderId(directory);
    if (id === undefined) continue;
    const notes = await openSidecar(toBytes(join(home, "traits", `${id}.jsonl`)));
    const path = `${directory}/dovecot-keywords`;
    const names = await namesIn(fsPath(path));
    let isRight = true;
    for (let i = 0; i < LETTERS; i++) {
      const noted = (await notes.get(`${LETTER_MARK}${String.fromCharCode(FIRST + i)}`))?.keywords[0];
      if (noted === undefined || names[i] === noted) continue;
      names[i] = noted;
      isRight = false;
    }
    if (isRight) continue;
    await replaceFile(showBytes(path), names.map((name, i) => (name === undefined ? "" : `${i} ${name}\n`)).join(""));
  }
}

async function foldersOf(home: string): Promise<BytePath[]> {
  const options = { style: "maildir", isOwn: true } as const;
  const { folders } = await readTree(dirname(home), options, new AbortController().signal);
  return folders.filter(({ kind }) => kind === "maildir").map(({ place }) => place);
}

async function namesIn(path: string | Buffer): Promise<(string | undefined)[]> {
  const names = new Array<string | undefined>(LETTERS).fill(undefined);
  try {
    for (const line of (await readOwn(path)).toString("utf8").split("\n")) {
      const [, index, name] = /^(\d{1,2}) (.+)$/.exec(line) ?? [];
      if (Number(index) < LETTERS) names[Number(index)] = name;
    }
  } catch (error) {
    if (!isObstacle(error) && errno(error) !== "ENOENT") throw ioError(`cannot read ${String(path)}`, error);
  }
  return names;
}

/** Gives the names of those that went aside. */
export async function setLonelyTraitsAside(home: string): Promise<string[]> {
  const ids = new Set<string | undefined>();
  for (const directory of await foldersOf(home)) ids.add(folderId(directory));
  const moved: string[] = [];
  const traits = join(home, "traits");
  for (const name of await readdir(traits).catch(() => [])) {
    const [, id] = /^(.*)\.jsonl$/.exec(name) ?? [];
    if (id === undefined || ids.has(id)) continue;
    await rename(join(traits, name), asideName(join(traits, name)));
    moved.push(`traits/${name}`);
  }
  return moved;
}
