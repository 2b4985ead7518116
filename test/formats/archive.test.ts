// The archive's id: made once, kept for ever, and never over something else.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { openArchive, readArchiveId } from "../../src/formats/archive.ts";
import { scratch } from "./maildir/kit.ts";

const at = scratch();

test("an archive gets an id, and keeps it", async () => {
  expect(await readArchiveId(at.path("box"))).toBeUndefined();
  const { id, home } = await openArchive(at.path("box"), "maildir");
  expect(home).toBe(at.path("box/mailferry"));
  expect(await openArchive(at.path("box"), "maildir")).toEqual({ id, home });
  expect(await readArchiveId(at.path("box"), "maildir")).toBe(id);
  expect(JSON.parse(await readFile(at.path("box/mailferry/archive.json"), "utf8"))).toEqual({
    format: "maildir",
    version: 1,
    id,
  });
});

test("many that make the same archive at once agree on one id", async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => openArchive(at.path("box"), "mboxzip")));
  expect(new Set(all.map(({ id }) => id)).size).toBe(1);
});

test.each([
  ["another kind", '{"format":"mboxzip","version":1,"id":"abcdefgh"}', /another kind/],
  ["a newer version", '{"format":"maildir","version":2,"id":"abcdefgh"}', /newer mailferry/],
  ["a newer version of something unheard of", '{"format":"cloud","version":9}', /newer mailferry/],
  ["an id that is a path", '{"format":"maildir","version":1,"id":"../../x"}', /damaged/],
  ["no version", '{"format":"maildir","id":"abcdefgh"}', /damaged/],
  ["torn", '{"format":', /damaged/],
  ["null", "null", /damaged/],
])("%s is refused with the way out, and not changed", async (_, text, words) => {
  await mkdir(at.path("box/mailferry"), { recursive: true });
  await writeFile(at.path("box/mailferry/archive.json"), text);
  const refused = openArchive(at.path("box"), "maildir");
  await expect(refused).rejects.toThrow(words);
  await expect(refused).rejects.toMatchObject({ code: "config", details: { hint: expect.any(String) } });
  await expect(readArchiveId(at.path("box"), "maildir")).rejects.toThrow(words);
  expect(await readFile(at.path("box/mailferry/archive.json"), "utf8")).toBe(text);
});
