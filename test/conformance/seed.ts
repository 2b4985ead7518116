// The mail that every adapter is tried with, and how what came back is compared with it.

import { expect } from "vitest";
import { difference, type Fidelity, narrow } from "../../src/mail/fidelity.ts";
import { type ContentKey, keyOf } from "../../src/mail/key.ts";
import { type FolderPath, NO_TRAITS, type SpecialUse, type Traits } from "../../src/mail/model.ts";

export interface SeedMail {
  readonly bytes: Buffer;
  readonly traits: Traits;
}

export interface SeedFolder {
  readonly path: FolderPath;
  readonly use?: SpecialUse;
  readonly mail: readonly SeedMail[];
}

const MARCH = 1_709_632_800;

/** A message with an unmistakable body. CRLF line ends, unless `text` says otherwise. */
export function letter(marker: string, traits: Partial<Traits> = {}, body = `This is ${marker}.\r\n`): SeedMail {
  const header = [
    `Message-ID: <${marker}@seed.example>`,
    "From: Anna <anna@seed.example>",
    "To: =?utf-8?q?J=C3=BCrgen?= <j@seed.example>",
    `Subject: ${marker}`,
    "Date: Tue, 05 Mar 2024 10:00:00 +0000",
  ];
  return raw(`${header.join("\r\n")}\r\n\r\n${body}`, traits);
}

/** A message given as text, one octet a character. */
export function raw(text: string, traits: Partial<Traits> = {}): SeedMail {
  return { bytes: Buffer.from(text, "latin1"), traits: { ...NO_TRAITS, received: { epochSeconds: MARCH }, ...traits } };
}

const at = (days: number) => ({ received: { epochSeconds: MARCH + days * 86_400 } });

/** What real mail holds: bytes, lines and separators that a careless reader breaks. */
export function oddMail(): SeedMail[] {
  const utf8 = Buffer.from("Grüße, 日本語, 😀", "utf8").toString("latin1");
  return [
    letter("plain", { flags: new Set(["seen"]), ...at(1) }),
    letter("eight-bit", at(2), `${utf8}\r\n\xff\xfe\x80 raw octets\r\n`),
    letter(
      "from-lines",
      at(3),
      "From here\r\n>From there\r\n\r\nFrom anna@seed.example Tue Mar  5 10:00:00 2024\r\nend\r\n",
    ),
    letter("dots", at(4), ".\r\n..\r\n.dot\r\n\r\n.\r\nend\r\n"),
    letter("long-line", at(5), `${"x".repeat(100_000)}\r\n`),
    letter("many-blank-lines", at(6), "\r\n\r\n\r\nlast\r\n\r\n\r\n"),
    letter("no-final-newline", at(7), "the end comes without a line end"),
    letter("looks-like-protocol", at(8), ")\r\n* 1 FETCH (UID 1)\r\nA1 OK done\r\n+OK\r\n-ERR\r\n{3}\r\nabc\r\n"),
    raw("Subject: header only\r\n\r\n", at(9)),
    raw("Subject: the header never ends\r\n", at(10)),
    raw("no header at all, and no colon either\r\n", at(11)),
  ];
}

/** A tree with flags, keywords, dates, exact twins and an empty folder. */
export function seedTree(): SeedFolder[] {
  const twin = letter("twin", at(20));
  return [
    { path: ["INBOX"], mail: oddMail() },
    { path: ["Empty"], mail: [] },
    {
      path: ["Clients", "Größe und Länge"],
      mail: [
        letter("flags", { flags: new Set(["seen", "answered", "flagged"]), ...at(30) }),
        letter("draft", { flags: new Set(["draft"]), ...at(31) }),
        letter("keywords", { keywords: new Set(["$Forwarded", "Later"]), ...at(32) }),
        twin,
        twin,
      ],
    },
  ];
}

export async function contentKey(content: AsyncIterable<Uint8Array>): Promise<ContentKey> {
  return (await keyOf(content)).key;
}

export function seedKey({ bytes }: SeedMail): Promise<ContentKey> {
  return contentKey(chunks(bytes));
}

/** One chunk of odd length after another. */
export async function* chunks(bytes: Buffer, size = 1021): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

/** Fails unless both say the same as far as `ground` goes; `what` names the message. */
export function expectTraits(actual: Traits, expected: Traits, ground: Fidelity, what: string): void {
  const left = narrow(actual, ground).kept;
  const right = narrow(expected, ground).kept;
  expect(difference(left, right), `traits of ${what}`).toBeUndefined();
  if (ground.received) expect(left.received?.epochSeconds, `date of ${what}`).toBe(right.received?.epochSeconds);
}
