// An mbox all of whose From_ lines have a form that nobody knows: either reading can be forced, and the way to it is said.

import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ArchiveRoom } from "../kit/archive-cli.ts";

let room: ArchiveRoom;
let file: string;

beforeAll(() => {
  room = new ArchiveRoom();
  file = join(room.root, "odd");
  const letter = (i: number): string =>
    `From Ann Smith, message ${i} of hers\nFrom: a@example.org\nSubject: ${i}\nMessage-ID: <${i}@example.org>\n\nBody ${i}\n\n`;
  writeFileSync(file, [0, 1, 2].map(letter).join(""));
});
afterAll(() => room[Symbol.dispose]());

async function backup(query: string): Promise<{ code: number; err: string; messages: number }> {
  const to = join(room.root, "to");
  const { code, err } = await room.cli("backup", `mbox:${file}${query}`, `maildir:${to}`);
  const messages = code === 2 ? 0 : readdirSync(join(to, ".odd", "cur")).length;
  rmSync(to, { recursive: true, force: true });
  return { code, err, messages };
}

it("every parts at each of them, blank at none; without either the way is said", async () => {
  expect(await backup("")).toMatchObject({ code: 2, err: expect.stringContaining("mbox:FILE?dialect=every") });
  expect(await backup("?dialect=every")).toMatchObject({ code: 0, messages: 3 });
  expect(await backup("?dialect=blank")).toMatchObject({ code: 0, messages: 1 });
});

it("a text that begins with the word is no mbox, whatever is asked for", async () => {
  writeFileSync(file, "From time to time\nI write: letters\n\nFrom Ann Smith\nFrom: a\nSubject: b\n");
  const { code, err } = await backup("?dialect=every");
  expect(code).toBe(2);
  expect(err).not.toContain("dialect=every parts");
});
