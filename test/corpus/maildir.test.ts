// Real Maildirs that others published, where they are present: counts, flags and bytes of every folder.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openMaildirSource } from "../../src/sources/maildir.ts";
import { foldersOf, readAll, SIGNAL } from "../formats/maildir/kit.ts";

const CORPUS = join(import.meta.dirname, "../../../shared/corpus");
const FLAGS = { S: "seen", R: "answered", F: "flagged", T: "deleted", D: "draft" } as const;

interface Expected {
  readonly cur: number;
  readonly new: number;
  readonly flags: Readonly<Record<string, number>>;
}

let root = "";

describe.runIf(existsSync(join(CORPUS, "maildir.tar")))("published Maildirs", () => {
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "maildir-corpus-"));
    execFileSync("tar", ["xf", join(CORPUS, "maildir.tar"), "-C", root]);
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  test("every folder has the messages and flags that were counted apart, and the bytes of its files", async () => {
    const text = await readFile(join(CORPUS, "maildir-expected.json"), "utf8");
    const expected = Object.entries(JSON.parse(text) as Record<string, Expected>);
    expect(expected.length).toBeGreaterThan(10);
    let messages = 0;
    for (const [name, counts] of expected) {
      const path = join(root, name);
      const got = await readAll(await openMaildirSource({ path }, SIGNAL), ["INBOX"]);
      const files = await Promise.all(["cur", "new"].map((place) => readdir(join(path, place)).catch(() => [])));
      const hidden = files.flat().filter((file) => file.startsWith(".")).length;
      expect([name, got.length]).toEqual([name, counts.cur + counts.new - hidden]);
      for (const [letter, flag] of Object.entries(FLAGS))
        expect([name, flag, got.filter(({ entry }) => entry.traits.flags.has(flag)).length]).toEqual([
          name,
          flag,
          counts.flags[letter] ?? 0,
        ]);
      expect(got.filter(({ entry }) => entry.traits.keywords.has("$Forwarded"))).toHaveLength(counts.flags.P ?? 0);
      const onDisk = await Promise.all(
        ["cur", "new"].flatMap((place, i) =>
          (files[i] ?? [])
            .filter((file) => !file.startsWith("."))
            .map(async (file) => {
              const raw = await readFile(join(path, place, file), "latin1");
              return raw.includes("\r\n") ? raw : raw.replaceAll("\n", "\r\n");
            }),
        ),
      );
      expect(got.map(({ bytes }) => bytes?.toString("latin1")).sort()).toEqual(onDisk.sort());
      messages += got.length;
    }
    expect(messages).toBeGreaterThan(70);
  });

  test.each([
    ["mail-parser/maildir", ["INBOX", "My Folder", "My Folder/Nested Folder"]],
    ["mu/testdir2", ["Foo", "bar", "wom_bat"]],
    ["neomutt/maildir", ["apple", "apple/child", "banana", "damson", "empty/child"]],
    [
      "postsack/maildir",
      [
        "INBOX/toto",
        "INBOX/toto/coincoin",
        "INBOX/toto/coincoin/coucou",
        "INBOX/toto/titi",
        "INBOX/toto/titi/tutu",
        "many_messages",
      ],
    ],
  ])("%s is read as a tree", async (name, paths) => {
    const folders = await foldersOf(await openMaildirSource({ path: join(root, name) }, SIGNAL));
    expect([...folders.values()].map(({ path }) => path.join("/")).sort()).toEqual(paths);
  });
});
