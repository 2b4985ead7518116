// What servers were seen to make of a message that they store: each takes the octets as sent and gives those that are kept.

import type { Manners } from "./imap-account.ts";

type Alter = (bytes: Buffer) => Buffer;

/** Header with its blank line, and body. */
function parts(bytes: Buffer): readonly [string, string] {
  const text = bytes.toString("latin1");
  const blank = text.indexOf("\r\n\r\n");
  return blank === -1 ? [text, ""] : [text.slice(0, blank + 2), text.slice(blank + 2)];
}

const of = (header: string, body: string): Buffer => Buffer.from(header + body, "latin1");
let stamps = 0;

export const ALTERATIONS = {
  /** Octets above 127 in the header become X, at the same size (Cyrus, by default). */
  mask8: (bytes) => {
    const [header, body] = parts(bytes);
    return of(header.replace(/[\x80-\xff]/g, "X"), body);
  },
  /** CRs without an LF go (Courier). */
  crdel: (bytes) => Buffer.from(bytes.toString("latin1").replace(/\r(?!\n)/g, ""), "latin1"),
  /** CRs without an LF become LFs, at the same size. */
  crlf: (bytes) => Buffer.from(bytes.toString("latin1").replace(/\r(?!\n)/g, "\n"), "latin1"),
  /** Each gets fields of the server's own, and no two the same (mailutils). */
  addheader: (bytes) => Buffer.concat([Buffer.from(`X-UID: ${1000 + ++stamps}\r\nStatus: O\r\n`), bytes]),
  /** One line more at the end of each. */
  footer: (bytes) => Buffer.concat([bytes, Buffer.from("-- \r\nscanned by the gateway\r\n")]),
  /** A field's value is another. */
  rewritten: (bytes) => {
    const [header, body] = parts(bytes);
    return of(header.replace(/^Subject: (.*)$/m, "Subject: [external] $1"), body);
  },
  /** Each gets a Message-ID of the server's own, and no two the same; the sender's is kept beside it. */
  renamed: (bytes) => {
    const [header, body] = parts(bytes);
    const id = `Message-ID: <${++stamps}@gateway>\r\n`;
    const had = /^Message-ID: (.*)\r\n/im.exec(header);
    const other = had === null ? id + header : header.replace(had[0], `${id}X-Original-Message-ID: ${had[1]}\r\n`);
    return of(other, body);
  },
} satisfies Readonly<Record<string, Alter>>;

export type Alteration = keyof typeof ALTERATIONS;

/** A server that does so to all that is appended. */
export function altering(how: Alteration): Pick<Manners, "store"> {
  return { store: (bytes, date) => ({ bytes: ALTERATIONS[how](bytes), date }) };
}

/** Without UIDPLUS; of what is appended to the folder that the same session has open, the last one alone stays (mailutils). */
export const OVERWRITING: Manners = { capabilities: ["IMAP4rev1", "LITERAL+"], uidplus: false, overwrites: true };
