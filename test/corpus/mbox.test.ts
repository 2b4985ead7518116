// Promise: other people's mboxes are cut as their own programs cut them; read from a corpus beside the repository, if there.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { expect, test } from "vitest";
import { type MboxSourceOptions, openMboxSource } from "../../src/sources/mbox.ts";

const CORPUS = joinPath(import.meta.dirname, "../../../shared/corpus/mbox");
const { signal } = new AbortController();

interface Expected {
  readonly ambiguous: boolean;
  readonly messages: { readonly mboxrd: number };
  readonly message_bytes?: readonly number[];
  readonly message_sha256?: readonly string[];
  readonly message_sha256_unquoted?: readonly string[];
}

/** Files that the corpus calls ambiguous, by our rules (see formats/mbox/cut.ts): the reading that loses no message. */
const OURS: Readonly<Record<string, number | "refused">> = {
  "comm-central/mbox_unquoted": 2,
  // Three of its separators have no blank line before them, but header fields behind.
  "gyb/historic-public-mbox__sample.mbox": 15,
  // Three of its messages have neither a blank line before them nor a true Content-Length.
  "mimekit/content-length.mbox.txt": 29,
  "mimekit/issue1189.mbox.txt": 4,
  "mimekit/unmunged.mbox.txt": 2,
  "neomutt/cherry.mbox": "refused",
  "neomutt/endive.mbox": "refused",
  "neomutt/fig.mbox": "refused",
  "tika/quoted.mbox": 1,
  "tika/simple.mbox": 2,
};

async function hashes(path: string, options: Partial<MboxSourceOptions>): Promise<{ sha256: string; size: number }[]> {
  await using source = await openMboxSource({ path, ...options }, signal);
  const found: { sha256: string; size: number }[] = [];
  for await (const folder of source.folders(signal))
    for await (const { content } of source.read({ folder }, { want: () => true, signal })) {
      const hash = createHash("sha256");
      let size = 0;
      for await (const chunk of content) {
        hash.update(chunk);
        size += chunk.length;
      }
      found.push({ sha256: hash.digest("hex"), size });
    }
  return found;
}

const index = joinPath(CORPUS, "expected.json");
if (!existsSync(index)) {
  test("the corpus is not beside this repository: nothing to compare with", () => {
    expect(existsSync(index)).toBe(false);
  });
} else {
  const { files } = JSON.parse(readFileSync(index, "utf8")) as { files: Record<string, Expected> };
  for (const [name, expected] of Object.entries(files)) {
    const path = joinPath(CORPUS, name);
    const ours = OURS[name];
    if (!expected.ambiguous)
      test(`${name} gives the messages that every rule gives, byte for byte`, async () => {
        const asTheyLie = await hashes(path, { raw: true, dialect: "cl2" });
        expect(asTheyLie.map(({ sha256 }) => sha256)).toEqual(expected.message_sha256);
        expect(asTheyLie.map(({ size }) => size)).toEqual(expected.message_bytes);
        const read = await hashes(path, { raw: true });
        expect(read.map(({ sha256 }) => sha256)).toEqual(expected.message_sha256_unquoted ?? expected.message_sha256);
        expect(await hashes(path, {})).toHaveLength(expected.messages.mboxrd);
      });
    else if (ours === "refused")
      test(`${name} is no mbox and is refused`, async () => {
        await expect(hashes(path, {})).rejects.toMatchObject({ code: "config" });
      });
    else
      test(`${name}, which rules cut differently, gives ${ours}`, async () => {
        expect(await hashes(path, {})).toHaveLength(ours ?? -1);
      });
  }
}
