// dovecot-keywords: which keyword each of the 26 letters a to z stands for in one folder.

import { closeSync, fstatSync, openSync, renameSync, statSync } from "node:fs";
import { stat, unlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { PRIVATE_FILE, syncDirectory, writeDurably } from "../../core/files.ts";
import { readOwnNow } from "../../core/own-file.ts";
import { errno, ioError, MailError } from "../../mail/errors.ts";
import { messageFiles } from "./listing.ts";
import { parseFileName } from "./names.ts";
import { type BytePath, fsPath, showBytes } from "./paths.ts";

export const FORWARDED = "$Forwarded";
const FILE = "dovecot-keywords";
const LETTERS = 26;
const FIRST = "a".charCodeAt(0);
/** RFC 9051 atom; longer ones than Dovecot lets a client set (mail_max_keyword_length) are not given a letter. */
const ATOM = /^[^\x00-\x20\x7f-\uffff(){%*"\\\]]{1,50}$/;
/** Dovecot takes its own dotlocks for stale after a minute without a change. */
const LOCK_STALE_MS = 60_000;
const LOCK_WAIT_MS = 10_000;
const LOCK_POLL_MS = 50;

export interface Keywords {
  /** Reads the file again if it has changed; no file is an empty table. */
  load(): Promise<void>;
  /** What a letter stood for at the last load. */
  nameOf(letter: string): string | undefined;
  /** The letter of a keyword, compared without case. */
  letterOf(keyword: string): string | undefined;
  /**
   * Gives letters to those that have none, durably, as far as there are free ones; the others, and those that are no atoms, stay
   * without. Letters that files carry without a meaning are not given away. Throws MailError locked when Dovecot holds its lock
   * for long.
   */
  ensure(keywords: Iterable<string>): Promise<void>;
}

/** `fresh`: the folder was just made, and no file in it has a letter yet. */
export function keywordsOf(folder: BytePath, fresh = false): Keywords {
  const path = `${folder}/${FILE}`;
  let names: (string | undefined)[] = [];
  let letters = new Map<string, string>();
  let stamp = "";
  let used: Set<string> | undefined = fresh ? new Set() : undefined;
  let running: Promise<void> = Promise.resolve();
  const waiting = new Set<string>();

  const take = (table: (string | undefined)[]): void => {
    names = table;
    letters = new Map();
    for (const [i, name] of table.entries())
      if (name !== undefined && !letters.has(name.toLowerCase()))
        letters.set(name.toLowerCase(), String.fromCharCode(FIRST + i));
  };
  const load = async (): Promise<void> => {
    try {
      const now = stampOf(statSync(fsPath(path)));
      if (now === stamp) return;
      take(parse(readOwnNow(fsPath(path)).toString("utf8")));
      stamp = now;
    } catch (error) {
      if (errno(error) !== "ENOENT") throw ioError(`cannot read ${showBytes(path)}`, error);
      take([]);
      stamp = "";
    }
  };
  const missing = (keywords: Iterable<string>): string[] =>
    [...keywords].filter((keyword) => ATOM.test(keyword) && !letters.has(keyword.toLowerCase()));

  const extend = async (keywords: readonly string[]): Promise<void> => {
    used ??= await lettersInUse(folder);
    const fd = await lock(`${path}.lock`);
    let done = false;
    try {
      await load();
      if (missing(keywords).length === 0 || full(names)) return;
      const table = [...names];
      for (const keyword of missing(keywords)) {
        if (table.some((name) => name?.toLowerCase() === keyword.toLowerCase())) continue;
        for (let i = 0; i < LETTERS; i++) {
          if (table[i] !== undefined || used.has(String.fromCharCode(FIRST + i))) continue;
          table[i] = keyword;
          break;
        }
      }
      const lines = table.map((name, i) => (name === undefined ? "" : `${i} ${name}\n`));
      await writeDurably(fd, lines.join(""));
      const written = stampOf(fstatSync(fd));
      renameSync(fsPath(`${path}.lock`), fsPath(path));
      done = true;
      await syncDirectory(showBytes(folder));
      take(table);
      stamp = written;
    } finally {
      closeSync(fd);
      if (!done) await unlink(fsPath(`${path}.lock`)).catch(() => undefined);
    }
  };

  return {
    load,
    nameOf: (letter) => names[letter.charCodeAt(0) - FIRST],
    letterOf: (keyword) => letters.get(keyword.toLowerCase()),
    async ensure(keywords) {
      if (missing(keywords).length === 0 || full(names)) return;
      // Many messages with new keywords come at once: one writing serves them all.
      for (const keyword of keywords) waiting.add(keyword);
      const next = running.then(() => {
        const all = missing(new Set([...keywords, ...waiting]));
        waiting.clear();
        return all.length === 0 ? undefined : extend(all);
      });
      running = next.catch(() => undefined);
      try {
        await next;
      } catch (error) {
        throw ioError(`cannot write ${showBytes(path)}`, error);
      }
    },
  };
}

/** What changes with the file: each writing of it is another file. */
function stampOf({
  mtimeMs,
  size,
  ino,
}: {
  readonly mtimeMs: number;
  readonly size: number;
  readonly ino: number;
}): string {
  return `${mtimeMs} ${size} ${ino}`;
}

function full(names: readonly (string | undefined)[]): boolean {
  for (let i = 0; i < LETTERS; i++) if (names[i] === undefined) return false;
  return true;
}

/** `INDEX NAME` a line; what is no such line, or beyond z, is passed over as Dovecot does. */
function parse(text: string): (string | undefined)[] {
  const table: (string | undefined)[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d{1,3}) (.+)$/.exec(line);
    const index = Number(match?.[1]);
    if (match?.[2] !== undefined && index < LETTERS) table[index] = match[2];
  }
  return table;
}

/** Letters that other programs use here in their own sense: a new keyword must not fall on their messages. */
async function lettersInUse(folder: BytePath): Promise<Set<string>> {
  const used = new Set<string>();
  for await (const file of messageFiles(folder)) for (const letter of parseFileName(file).letters) used.add(letter);
  return used;
}

/** Dovecot's dotlock: whoever creates it writes the new file into it and renames it into place. */
async function lock(path: BytePath): Promise<number> {
  const until = performance.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      return openSync(fsPath(path), "wx", PRIVATE_FILE);
    } catch (error) {
      if (errno(error) !== "EEXIST") throw error;
    }
    const age = await stat(fsPath(path)).then(
      // Made in a time to come, before the clock was set back: nobody is writing it now.
      ({ mtimeMs }) => Math.abs(Date.now() - mtimeMs),
      () => 0,
    );
    if (age > LOCK_STALE_MS) await unlink(fsPath(path)).catch(() => undefined);
    else if (performance.now() > until)
      throw new MailError("locked", `${showBytes(path)} is held by another program`, {
        scope: "folder",
        remedy: "wait",
        hint: "Run the same command again when the mail server is idle, or remove the lock file if nothing uses it.",
      });
    else await delay(LOCK_POLL_MS);
  }
}
