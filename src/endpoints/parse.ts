// What a user types for a place with mail, as data: "imaps://me@host?connections=2", "maildir:./backup", "old.mbox".

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { configError, type MailError } from "../mail/errors.ts";
import { DIALECTS, type Dialect, type Endpoint, type Role } from "./endpoint.ts";
import { parseServer } from "./parse-server.ts";
import { onOff, readOptions } from "./query.ts";
import { recognise, refuseSpecial } from "./recognise.ts";

const FORMS = "imaps://user@host, imap://…, pop3s://…, pop3://…, mbox:FILE, maildir:DIR, mboxzip:FILE.zip, or a path";

/**
 * Parses an endpoint; a bare path is recognised by what is there (source) or by its name (target). Throws MailError config
 * with a message that never repeats what may be a password. `side`: where it stood on the command line, when that differs
 * from what is done with it (verify reads its target).
 */
export function parseEndpoint(text: string, role: Role, side: Role = role): Endpoint {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1];
  // The command line is given "-" as an empty word.
  if (text === "" || text === "-")
    throw configError(
      `the ${side} is empty or "-": mail is not read from standard input, nor written to standard output`,
      `Write ${FORMS}; a file or folder of that name is ./-.`,
    );
  if (/[\0\r\n]/.test(text)) throw configError(`the ${side} contains a line break or a NUL`, "Remove it.");
  if (scheme === undefined) return parsePath(undefined, text, role, side);
  const rest = text.slice(scheme.length + 1);
  switch (scheme.toLowerCase()) {
    case "imap":
    case "imaps":
    case "pop3":
    case "pop3s":
      return parseServer(scheme.toLowerCase(), rest, role, side);
    case "mbox":
    case "maildir":
    case "mboxzip":
      return parsePath(scheme.toLowerCase() as PathKind, rest, role, side);
    default:
      throw unknownScheme(scheme, side);
  }
}

function unknownScheme(scheme: string, side: Role): MailError {
  const near = { pop: "pop3", pops: "pop3s", imap4: "imap", mdir: "maildir", zip: "mboxzip", mbx: "mbox" }[
    scheme.toLowerCase()
  ];
  const guess = near === undefined ? "" : ` Did you mean ${near}:?`;
  return configError(
    `the ${side} starts with "${scheme}:", which is no kind of endpoint`,
    `Known are ${FORMS}; a path with a colon is written ./${scheme}:….${guess}`,
  );
}

type PathKind = "mbox" | "maildir" | "mboxzip";

/** The options of a path's query, by kind: name, and how its value reads. */
const PATH_OPTIONS: Readonly<Record<PathKind, readonly string[]>> = {
  mbox: ["dialect", "raw"],
  maildir: [],
  mboxzip: ["store"],
};

function parsePath(scheme: PathKind | undefined, text: string, role: Role, side: Role): Endpoint {
  // A query is only what looks like one: names of files may hold a "?".
  const query = existsSync(text) ? undefined : /\?([a-z-]+=[^?/]*)$/.exec(text);
  let path = query === undefined || query === null ? text : text.slice(0, query.index);
  if (scheme !== undefined && path.startsWith("//") && !path.startsWith("///"))
    throw configError(
      `the ${side} "${scheme}:" is followed by "//"`,
      `Write ${scheme}:DIR or ${scheme}:/absolute/path, without a host.`,
    );
  if (path === "")
    throw configError(`the ${side} "${scheme ?? ""}:" names no path`, `Write ${scheme ?? "maildir"}:PATH.`);
  // The shell expands "~" only at the start of a word, and so not after "maildir:".
  if (scheme !== undefined && (path === "~" || path.startsWith("~/"))) path = join(homedir(), path.slice(1));

  refuseSpecial(path);
  const kind = scheme ?? recognise(path, role, side);
  if (kind === "mbox" && role === "target")
    throw configError("mbox files are only read, never written", "Write maildir:DIR, mboxzip:FILE.zip or mboxzip:DIR.");
  const options = readOptions(query?.[1] ?? "", kind, PATH_OPTIONS[kind], `the ${side} ${kind}:${path}`);
  const on = (name: string): boolean | undefined => onOff(options.get(name), name);
  switch (kind) {
    case "mbox": {
      const dialect = options.get("dialect");
      const raw = on("raw");
      if (dialect !== undefined && !isDialect(dialect))
        throw configError(`"${dialect}" is no dialect of mbox`, `Known are ${DIALECTS.join(", ")}.`);
      return { kind, path, ...(dialect === undefined ? {} : { dialect }), ...(raw === undefined ? {} : { raw }) };
    }
    case "maildir":
      return { kind, path };
    case "mboxzip": {
      const store = on("store");
      return { kind, path, ...(store === undefined ? {} : { store }) };
    }
  }
}

function isDialect(text: string): text is Dialect {
  return (DIALECTS as readonly string[]).includes(text);
}
