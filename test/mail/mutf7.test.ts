// Modified UTF-7: exact both ways, and nothing but the one valid encoding is taken.

import { expect, test } from "vitest";
import { decodeMutf7, encodeMutf7 } from "../../src/mail/mutf7.ts";

const PAIRS: readonly (readonly [string, string])[] = [
  ["", ""],
  ["INBOX", "INBOX"],
  ["a b-c,d+e", "a b-c,d+e"],
  ["&", "&-"],
  ["&&", "&-&-"],
  ["R&D", "R&-D"],
  ["Entwürfe", "Entw&APw-rfe"],
  ["~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"],
  ["☺!", "&Jjo-!"],
  ["😀", "&2D3eAA-"],
  ["Отправленные", "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"],
  ["a\u0000b\r\nc\u007f", "a&AAA-b&AA0ACg-c&AH8-"],
  ["é&è", "&AOk-&-&AOg-"],
];

test.each(PAIRS)("%j is written %j, and read back", (name, raw) => {
  expect(encodeMutf7(name)).toBe(raw);
  expect(decodeMutf7(raw)).toBe(name);
});

test.each([
  "&", // never closed
  "a&AOk", // never closed
  "&A-", // six bits are no unit
  "&AO-", // one octet is no unit
  "&AOl-", // stray bits after the unit
  "&AGE-", // printable ASCII in base64
  "&AOk-&AOg-", // two shifts where one would do
  "&AOk=-", // padding
  "&U/BTFw-", // "/" is no letter of this base64
  "&2D0-", // half a surrogate pair
  "&3gA-", // the other half
  "caf\u00e9", // 8-bit
  "a\u0000", // NUL
  "a\nb", // line break
  "&AO k-", // space inside
])("%j is refused", (raw) => {
  expect(decodeMutf7(raw)).toBeUndefined();
});

test("every unit, alone and between letters, comes back as it was", () => {
  const wrong: string[] = [];
  for (let code = 0; code <= 0x10ffff; code += code < 0x3000 ? 1 : 211) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const char = String.fromCodePoint(code);
    for (const name of [char, `a${char}z`, `${char}&${char}-`])
      if (decodeMutf7(encodeMutf7(name)) !== name) wrong.push(name);
  }
  expect(wrong).toEqual([]);
});

test("an unpaired surrogate can be written, and is never taken for a valid name", () => {
  expect(encodeMutf7("a\ud83d")).toBe("a&2D0-");
  expect(decodeMutf7(encodeMutf7("a\ud83d"))).toBeUndefined();
});
