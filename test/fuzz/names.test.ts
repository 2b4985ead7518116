// Names of any characters go through every coding and come back the same, clash with nobody, and cannot leave their place or
// become a part of a command.

import { expect } from "vitest";
import { directoryName, isInbox, pathOfDirectory, substituteName } from "../../src/formats/maildir/folder-name.ts";
import { entryName, entryNames, foldedName, isEntryName } from "../../src/formats/mboxzip/names.ts";
import { formatRef, parseRef } from "../../src/formats/mboxzip/ref.ts";
import { type FolderPath, parsePath, samePath, showPath } from "../../src/mail/model.ts";
import { decodeMutf7, encodeMutf7 } from "../../src/mail/mutf7.ts";
import { nameFor } from "../../src/protocol/imap/names.ts";
import { isKeyword, stringPart } from "../../src/protocol/imap/syntax.ts";
import { octets, oddPath, oddText, textOf, times } from "./generate.ts";
import { fuzz, target } from "./kit.ts";

const CODED = [
  "&",
  "-",
  "&-",
  "&AGE-",
  "&AOQ-",
  "&2D0-",
  "&2D3eAA-",
  ",",
  "A",
  "z",
  "+",
  "/",
  "=",
  "\x80",
  "\0",
  "&A",
  "&AAAA-",
  " ",
];

fuzz({
  "modified UTF-7 comes back exactly, and only what is legal is decoded": target({
    inputs: 12_000,
    make: (random) => ({ name: oddText(random), raw: textOf(random, CODED, 8) }),
    check({ name, raw }) {
      const encoded = encodeMutf7(name);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      if (!/\p{Surrogate}/u.test(name)) expect(decodeMutf7(encoded)).toBe(name);
      const decoded = decodeMutf7(raw);
      if (decoded !== undefined) expect(encodeMutf7(decoded)).toBe(raw);
    },
  }),
  "a Maildir++ directory is one entry below its root, and gives its path back": target({
    inputs: 8_000,
    make: (random) => ({ path: oddPath(random), directory: `.${oddText(random)}` }),
    check({ path, directory }) {
      const plain = directoryName(path);
      const names = [...(plain === undefined ? [] : [plain]), substituteName(path, 8)];
      for (const name of names) {
        expect(name).toMatch(/^\.[^/\0]+$/);
        expect([".", ".."]).not.toContain(name);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        expect(name).toMatch(/^[\x20-\x7e]*$/);
      }
      if (plain !== undefined) expect(pathOfDirectory(plain)).toEqual(path);
      // Any directory that somebody made has a path, and one that goes there again where it can.
      const back = pathOfDirectory(directory);
      expect(back.length).toBeGreaterThan(0);
      const again = directoryName(back);
      if (again !== undefined && !isInbox(back)) expect(pathOfDirectory(again)).toEqual(back);
    },
  }),
  "entries of a zip are safe to unpack anywhere, and no two are one": target({
    inputs: 1_500,
    make: (random) => times(1 + random.upTo(12), () => oddPath(random)),
    check(paths, random) {
      // Names that differ little: by case, by Unicode form, by a part.
      const near = paths.flatMap((path) => [
        path,
        path.map((part) => part.toUpperCase()),
        path.map((part) => part.normalize(random.pick(["NFC", "NFD"]))),
        [...path, ".mbox"],
        path.slice(0, -1).concat(`${path.at(-1)}.mbox`),
      ]);
      const unique = [...new Map(near.map((path) => [JSON.stringify(path), path])).values()];
      const names = entryNames();
      const claimed = unique.map((path) => names.claim(path));
      const folded = new Set(claimed.map(foldedName));
      expect(folded.size).toBe(unique.length);
      for (const name of [...claimed, ...unique.map(entryName)]) {
        expect(isEntryName(name)).toBe(true);
        expect(name).not.toMatch(/^\/|(?:^|\/)\.\.?(?:\/|$)|[\\\0-\x1f:]/);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(1024);
        for (const part of name.split("/")) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(255);
      }
      for (const name of folded) for (const other of folded) expect(other.startsWith(`${name}/`)).toBe(false);
    },
  }),
  "a place in a zip is read back as it was given, and nothing else is a place": target({
    inputs: 4_000,
    make: (random) => ({
      place: {
        zip: 1 + random.upTo(99_999),
        entry: `${oddText(random)}x`,
        offset: random.upTo(2 ** 40),
        length: 200 + random.upTo(2 ** 30),
        head: random.upTo(100),
        lines: random.pick(["lf", "as-is"] as const),
        newline: random.chance(0.5),
        hides: random.chance(0.5),
      },
      at: random.upTo(60),
      by: random.pick([..."0123456789:/@lnh"]),
    }),
    check({ place, at, by }) {
      const ref = formatRef(place);
      expect(parseRef(ref)).toEqual(place);
      const other = ref.slice(0, at) + by + ref.slice(at + 1);
      const read = parseRef(other);
      if (other !== ref && read !== undefined) expect(formatRef(read)).toBe(other);
      if (other !== ref && other.length === ref.length && at < ref.length) expect(read).toBeUndefined();
    },
  }),
  "a path that is shown is read back": target({
    inputs: 5_000,
    make: (random): FolderPath => oddPath(random).map((part) => part || "x"),
    check(path) {
      expect(parsePath(showPath(path))).toEqual(path);
    },
  }),
  "an IMAP name holds one level a part, says so when it could not, and cannot end its command": target({
    inputs: 6_000,
    make: (random) => ({
      path: oddPath(random),
      naming: {
        prefix: random.pick(["", "INBOX.", "INBOX/"]),
        delimiter: random.pick(["/", ".", "\\", null, "-", "&"]),
      },
      attempt: random.upTo(7),
      plain: random.chance(0.3),
    }),
    check({ path, naming, attempt, plain }) {
      const { name, path: back } = nameFor(path, naming, attempt, plain);
      expect(name).toMatch(/^[\x20-\x7e]+$/);
      expect(typeof stringPart(name)).toBe("string");
      if (naming.delimiter !== null && !isInbox(path) && samePath(path, back)) expect(back.length).toBe(path.length);
      for (const part of back) expect(part).not.toBe("");
      if (name.toUpperCase() === "INBOX") expect(path).toEqual(["INBOX"]);
    },
  }),
  "a string in a command is a closed one, whatever is in it; a keyword is an atom": target({
    inputs: 6_000,
    make: (random) => (random.chance(0.5) ? octets(random, 30).toString("latin1") : oddText(random)),
    check(text) {
      const part = stringPart(text);
      if (typeof part === "string") expect(/^"(?:[^"\\\r\n\0]|\\["\\])*"$/.test(part)).toBe(true);
      else expect(part.size).toBe(Buffer.from(text, "latin1").length);
      if (isKeyword(text)) expect(text).toMatch(/^[!#$&'+,\-./0-9:;<=>?@A-Z[^_`a-z|}~]{1,255}$/);
    },
    show: (input) => Buffer.from(input),
  }),
});
