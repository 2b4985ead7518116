// A packed mailbox is named with the way to read it: under the name that it has when it is unpacked.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ArchiveRoom } from "../kit/archive-cli.ts";

const BOX = "From a@example.org Mon Mar  1 10:00:00 2004\nFrom: a@example.org\nSubject: x\n\nBody\n\n";

let room: ArchiveRoom;
beforeAll(() => {
  room = new ArchiveRoom();
});
afterAll(() => room[Symbol.dispose]());

it.each(["Old mail.mbox", "plain", "Sent.mbx"])("%s.gz", async (name) => {
  const dir = join(room.root, "boxes");
  mkdirSync(dir, { recursive: true });
  const packed = join(dir, `${name}.gz`);
  writeFileSync(packed, gzipSync(BOX));
  const unpacked = packed.replace(/\.gz$/, "");
  const word = /\s/.test(unpacked) ? `'${unpacked}'` : unpacked;
  for (const source of [dir, packed]) {
    const { code, err } = await room.cli("backup", `mbox:${source}`, `maildir:${join(room.root, "out")}`);
    expect([2, 3]).toContain(code);
    expect(err).toContain(`mbox:${word}`);
    expect(err).not.toMatch(/give what was in it: \S*\.gz/);
  }
  // As it says.
  writeFileSync(unpacked, gunzipSync(gzipSync(BOX)));
  expect((await room.cli("folders", `mbox:${unpacked}`)).code).toBe(0);
});

it("a message of Thunderbird's is as long as it is without its state, and not told as short", async () => {
  const maildir = join(room.root, "Thunderbird");
  for (const place of ["cur", "new", "tmp"]) mkdirSync(join(maildir, place), { recursive: true });
  const state = `X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: ${"tag ".repeat(40)}\n`;
  const write = (i: number, body: string): void =>
    writeFileSync(
      join(maildir, "cur", `170436960000${i}.eml`),
      `${state}From: a@example.org\nSubject: ${i}\n\n${body}`,
    );
  write(0, "short\n");
  write(1, "longer\n".repeat(100_000));
  const to = `maildir:${join(room.root, "copy")}`;
  const { code, err } = await room.cli("backup", `maildir:${maildir}`, to, "-q");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect((await room.cli("verify", `maildir:${maildir}`, to, "--quick")).code).toBe(0);
});
