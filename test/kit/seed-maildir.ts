// Fills an account by writing its Maildir from outside, which takes thousands of messages a second; before anybody logs in.

import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FolderPath, type SystemFlag, showPath } from "../../src/mail/model.ts";
import type { Dovecot } from "./dovecot.ts";
import { encodeName, type Seed } from "./imap-client.ts";

const LETTERS: Readonly<Record<SystemFlag, string>> = {
  draft: "D",
  flagged: "F",
  answered: "R",
  seen: "S",
  deleted: "T",
};
/** Dovecot's letters a to z (dovecot-keywords). */
const MOST_KEYWORDS = 26;

interface Place {
  readonly directory: string;
  readonly keywords: string[];
}

/**
 * Writes the messages into the user's Maildir (Maildir++, with LF line ends; names as the listescape plugin spells them) and
 * returns how many. For a user who has not logged in yet: Dovecot then numbers them in this order.
 */
export function seedMaildir(server: Dovecot, user: string, seeds: Iterable<Seed>): number {
  const root = server.maildir(user);
  const places = new Map<string, Place>();
  const subscriptions: string[] = [];
  let count = 0;
  const open = (path: FolderPath): Place => {
    const inbox = path.length === 1 && path[0] === "INBOX";
    const directory = inbox ? root : join(root, `.${directoryName(path)}`);
    for (const name of ["cur", "new", "tmp"]) mkdirSync(join(directory, name), { recursive: true, mode: 0o700 });
    if (!inbox) {
      writeFileSync(join(directory, "maildirfolder"), "");
      subscriptions.push(directoryName(path));
    }
    const place = { directory, keywords: [] };
    places.set(showPath(path), place);
    return place;
  };
  open(["INBOX"]);
  for (const { folder, bytes, flags = [], keywords = [], received } of seeds) {
    const place = places.get(showPath(folder)) ?? open(folder);
    const letters = flags.map((flag) => LETTERS[flag]);
    for (const keyword of keywords) {
      let index = place.keywords.indexOf(keyword);
      if (index < 0) index = place.keywords.push(keyword) - 1;
      if (index >= MOST_KEYWORDS) throw new Error(`more than ${MOST_KEYWORDS} keywords in one Maildir folder`);
      letters.push(String.fromCharCode(97 + index));
    }
    count++;
    // Later than any date of theirs, as a delivery is.
    const unique = `${1_790_000_000 + count}.M${count}P1.localhost`;
    const file = join(place.directory, "cur", `${unique}:2,${letters.sort().join("")}`);
    writeFileSync(file, unixLines(bytes), { flag: "wx", mode: 0o600 });
    if (received !== undefined) utimesSync(file, received.epochSeconds, received.epochSeconds);
  }
  for (const { directory, keywords } of places.values())
    if (keywords.length > 0)
      writeFileSync(
        join(directory, "dovecot-keywords"),
        keywords.map((keyword, index) => `${index} ${keyword}\n`).join(""),
      );
  if (subscriptions.length > 0) {
    // Version 2 separates names by tabs and escapes nothing of ours (Dovecot, subscription-file.c).
    const lines = subscriptions.map((name) => `${name.split(".").join("\t")}\n`);
    writeFileSync(join(root, "subscriptions"), `V\t2\n\n${lines.join("")}`);
  }
  server.adopt(user);
  return count;
}

/** A Maildir++ folder name: mUTF-7, and what is not allowed in one of its parts as backslash and hexadecimal. */
function directoryName(path: FolderPath): string {
  const escaped = path.map((name) =>
    name.replace(/[./\\]|^~/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, "0")}`),
  );
  return encodeName(escaped, ".");
}

function unixLines(bytes: Uint8Array): Buffer {
  return Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll("\r\n", "\n"), "latin1");
}
