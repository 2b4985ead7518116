// Seeded mail laid out on disk as other programs do it: an mbox tree and a Maildir++, written without our own writers.

import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { SystemFlag } from "../../src/mail/model.ts";
import { encodeMutf7 } from "../../src/mail/mutf7.ts";
import type { SeedFolder, SeedMail } from "./seed.ts";

/** A new folder, and how to be rid of it. */
export async function scratch(): Promise<{ path: string; dispose(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "mailferry-conformance-"));
  return { path, dispose: () => rm(path, { recursive: true, force: true }) };
}

const LETTERS: Readonly<Record<SystemFlag, string>> = {
  draft: "D",
  flagged: "F",
  answered: "R",
  seen: "S",
  deleted: "T",
};

const unixLines = ({ bytes }: SeedMail): string => bytes.toString("latin1").replaceAll("\r\n", "\n");

/** Maildir++ as Dovecot lays it out. */
export async function writeMaildir(root: string, folders: readonly SeedFolder[]): Promise<void> {
  let number = 0;
  for (const { path, mail } of [{ path: ["INBOX"], mail: [] }, ...folders]) {
    const name = path.map(encodeMutf7).join(".");
    const directory = name === "INBOX" ? root : join(root, `.${name}`);
    for (const part of ["cur", "new", "tmp"]) await mkdir(join(directory, part), { recursive: true });
    const keywords = [...new Set(mail.flatMap(({ traits }) => [...traits.keywords]))];
    if (keywords.length > 0)
      await writeFile(join(directory, "dovecot-keywords"), keywords.map((word, i) => `${i} ${word}\n`).join(""));
    for (const seed of mail) {
      const { flags, keywords: own, received } = seed.traits;
      const letters = [
        ...[...flags].map((flag) => LETTERS[flag]),
        ...[...own].map((word) => String.fromCharCode(97 + keywords.indexOf(word))),
      ];
      const file = join(
        directory,
        "cur",
        `${1_790_000_000 + ++number}.M1P1Q${number}.host:2,${letters.sort().join("")}`,
      );
      await writeFile(file, unixLines(seed), "latin1");
      if (received !== undefined) await utimes(file, received.epochSeconds, received.epochSeconds);
    }
  }
}

/** A tree of mboxrd files as mutt keeps them: a directory a parent folder, a file a folder. */
export async function writeMboxTree(root: string, folders: readonly SeedFolder[]): Promise<void> {
  for (const { path, mail } of folders) {
    const file = join(root, ...path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, mail.map(mboxEntry).join(""), "latin1");
  }
}

function mboxEntry(seed: SeedMail): string {
  const { flags, keywords, received } = seed.traits;
  const [weekday, day, month, year, time] = new Date((received?.epochSeconds ?? 0) * 1000).toUTCString().split(/,? /);
  const has = (flag: SystemFlag, letter: string): string => (flags.has(flag) ? letter : "");
  const status = has("seen", "RO");
  const more = has("answered", "A") + has("flagged", "F") + has("draft", "T") + has("deleted", "D");
  const state =
    (status === "" ? "" : `Status: ${status}\n`) +
    (more === "" ? "" : `X-Status: ${more}\n`) +
    (keywords.size === 0 ? "" : `X-Keywords: ${[...keywords].join(" ")}\n`);
  const text = unixLines(seed).replace(/^(>*From )/gm, ">$1");
  const ended = text.endsWith("\n") ? text : `${text}\n`;
  return `From anna@seed.example ${weekday} ${month} ${day} ${time} ${year}\n${state}${ended}\n`;
}
