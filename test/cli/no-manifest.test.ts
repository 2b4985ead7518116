// A zip whose manifest is damaged: its mboxes are read without it, which is said; one bad member stops no other.

import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MANIFEST_NAME } from "../../src/formats/manifest.ts";
import { openArchiveState } from "../../src/formats/mboxzip/archive-state.ts";
import { findArchive } from "../../src/formats/mboxzip/find.ts";
import { repack, useArchive } from "../kit/archive-cli.ts";

const { room, pristine, archive, restored, backup, restore, zips, demand } = useArchive(
  "mboxzip",
  [
    [8, 0],
    [7, 8],
  ],
  { query: "?store=on" },
);
const single = join(room.root, "single.zip");
const signal = new AbortController().signal;

beforeAll(() => demand(`${pristine}.zip`));
beforeEach(() => {
  cpSync(`${pristine}.zip`, single);
  room.fill(0, 15);
});
afterEach(() => rmSync(single, { force: true }));

const first = (): string => zips()[0] ?? "";
const same = () => room.cli("verify", `mbox:${room.source}`, restored, "--both-ways", "--quick");

/** Puts other octets in the place of the first text of that kind. */
function spoil(path: string, text: string, by: string): void {
  const bytes = readFileSync(path, "latin1");
  const at = bytes.indexOf(text);
  expect(at).toBeGreaterThan(0);
  writeFileSync(path, bytes.slice(0, at) + by + bytes.slice(at + by.length), "latin1");
}

describe.each([
  ["its header", '"format":"mailferry-mboxzip"', '"forMat"'],
  ["the line of a message in the middle", '"id":"3', '"iD"'],
  ["its first line of a folder", '"type":"folder"', '"tYpe"'],
])("a manifest damaged in %s", (_, text, by) => {
  it("of a FILE.zip: all mail is restored, and it is said", async () => {
    spoil(single, text, by);
    const { code, err } = await restore(single);
    expect(code).toBe(3);
    expect(err).toContain("read from its mboxes alone");
    expect(err).toMatch(/copied +30 /);
    const { err: compared } = await same();
    expect(compared).not.toMatch(/missing|only in the target/);
    expect(await room.cli("verify", single)).toMatchObject({ code: 6, err: expect.stringContaining("manifest") });
  });

  it("of one zip of several: all mail is restored, backup goes on beside it, --recheck mends it", async () => {
    spoil(first(), text, by);
    expect(await restore(archive)).toMatchObject({ code: 3, err: expect.stringMatching(/copied +30 /) });
    room.fill(0, 16);
    expect([0, 3]).toContain((await backup()).code);
    await backup("--recheck");
    expect(await room.cli("verify", archive)).toMatchObject({
      code: 0,
      err: expect.stringContaining("Sound: 32 messages"),
    });
    expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
  });

  it("and the ledger gone too: backup looks at the mboxes, copies nothing twice, and says it", async () => {
    spoil(first(), text, by);
    rmSync(join(archive, "mailferry", "ledger"), { recursive: true });
    rmSync(join(archive, "mailferry", "inventory.jsonl"));
    const { code, err } = await backup();
    expect(code).toBe(3);
    expect(err).toContain("manifest.jsonl, line");
    await backup("--recheck");
    expect(await room.cli("verify", archive)).toMatchObject({
      code: 0,
      err: expect.stringContaining("Sound: 30 messages"),
    });
  });

  it("mail that the source has no more is carried over from the mboxes", async () => {
    spoil(first(), text, by);
    room.fill(0, 2);
    await backup("--recheck");
    room.fill(0, 15);
    expect(await room.cli("verify", archive)).toMatchObject({
      code: 0,
      err: expect.stringContaining("Sound: 30 messages"),
    });
    expect((await restore(archive)).code).toBe(0);
    expect((await same()).err).not.toMatch(/missing|only in the target/);
  });
});

it("a bad member of a FILE.zip: its messages fail by name, all others are restored", async () => {
  spoil(single, "Body 3 of in.", "bODY");
  const { code, err } = await restore(single);
  expect(code).toBe(3);
  expect(err).toMatch(/copied +29 /);
  expect(err).toContain("SHA-256");
});

it("a bad member and a bad manifest: what cannot be believed is not restored, and named", async () => {
  spoil(single, '"format":"mailferry-mboxzip"', '"forMat"');
  spoil(single, "Body 3 of in.", "bODY");
  const { code, err } = await restore(single);
  expect(code).toBe(3);
  // Each of the others is the one that its line in the manifest speaks of.
  expect(err).toMatch(/copied +29 /);
  expect(err).toContain("does not match its CRC");
});

it("a salvage that was killed before the bad zip went aside doubles nothing, with or without --recheck", async () => {
  spoil(first(), "Body 3 of in.", "bODY");
  const name = first();
  const found = await findArchive(archive, "job", signal, true);
  await (await openArchiveState(found, "job", false, signal, true))[Symbol.asyncDispose]();
  const aside = readdirSync(archive).find((file) => file.includes(".damaged-")) ?? "";
  renameSync(join(archive, aside), name);
  await backup();
  await backup("--recheck");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining("Sound: 30 messages"),
  });
  expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
});

it("a lost zip is not taken for mail that its owner deleted", async () => {
  room.fill(0, 60);
  await backup();
  rmSync(first());
  const { code, err } = await backup();
  expect(code).toBe(3);
  expect(err).not.toContain("deleted from the archive");
});

it.each([
  ["by a disk", () => spoil(single, '"type":"message"', '"tYpe"')],
  [
    "by a program that packed the zip again, with a CRC that fits",
    () =>
      repack(single, (name, bytes) =>
        name === MANIFEST_NAME
          ? Buffer.from(bytes.toString("latin1").replace('"type":"message"', '"tYpe":"message"'), "latin1")
          : bytes,
      ),
  ],
])("the lines behind one that was damaged %s are read: one message alone lacks its labels", async (_, deed) => {
  await deed();
  expect(await restore(single)).toMatchObject({ code: 3, err: expect.stringMatching(/copied +30 /) });
  const traits = join(restored, "mailferry", "traits");
  const lines = readdirSync(traits).map((name) => readFileSync(join(traits, name), "utf8"));
  expect(lines.join("").match(/"label \d"/g)?.length).toBe(29);
  const { err: told } = await room.cli("verify", single);
  expect(told).toContain("29 messages were read");
  expect(told.match(/line \d+: /g)?.length).toBeLessThan(4);
});
