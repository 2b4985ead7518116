// One zip of a growing archive is damaged: the others are read and added to, it is named, and --recheck carries anew what it held.

import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { useArchive } from "../kit/archive-cli.ts";

const { room, archive, restored, backup, restore, zips } = useArchive("mboxzip", [
  [8, 0],
  [4, 8],
  [3, 12],
]);
beforeEach(() => room.fill(0, 15));

const cut = (path: string): void => writeFileSync(path, readFileSync(path).subarray(0, -40));

function flip(path: string, part: number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length * part);
  bytes[at] = (bytes[at] ?? 0) ^ 8;
  writeFileSync(path, bytes);
}

async function isMended(): Promise<void> {
  await backup("--recheck");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining("Sound: 30 messages"),
  });
  expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
  rmSync(restored, { recursive: true, force: true });
  expect((await restore()).code).toBe(0);
  expect(await room.cli("verify", `mbox:${room.source}`, restored, "--both-ways")).toMatchObject({ code: 0 });
}

describe.each([
  ["the first", 0],
  ["the one between", 1],
  ["the last", 2],
])("%s of three", (_, which) => {
  it("cut off: restore reads the others and names it, backup goes on beside it, --recheck mends it", async () => {
    const bad = zips()[which] ?? "";
    cut(bad);
    expect((await room.cli("verify", archive)).code).toBe(6);
    const found = await restore();
    expect(found.code).toBe(3);
    expect(found.err).toContain(bad);
    expect(found.err).toMatch(/copied +(14|22|24) /);
    room.fill(0, 16);
    const next = await backup();
    expect(next.code).toBe(3);
    expect(next.err).toContain(bad);
    expect(next.err).toContain("--recheck");
    await backup("--recheck");
    expect(await room.cli("verify", archive)).toMatchObject({
      code: 0,
      err: expect.stringContaining("Sound: 32 messages"),
    });
  });
});

it.each<[string, number, string, RegExp]>([
  ["to what is not there, the first", 0, "/nonexistent/z", / is a link to \/nonexistent\/z, which is not there/],
  ["to what is not there, the last", 2, "/nonexistent/z", / is a link to \/nonexistent\/z, which is not there/],
  ["to itself", 1, "", / is a link that leads round in a circle/],
])("a link %s: the others are read, it is named, --recheck mends it", async (_, which, to, said) => {
  const bad = zips()[which] ?? "";
  rmSync(bad);
  symlinkSync(to === "" ? basename(bad) : to, bad);
  const verify = await room.cli("verify", archive);
  expect(verify.code).toBe(6);
  expect(verify.out + verify.err).toMatch(said);
  const found = await restore();
  expect(found.code).toBe(3);
  expect(found.err).toMatch(said);
  expect(found.err).toMatch(/copied +(14|22|24) /);
  const next = await backup();
  expect(next.code).toBe(3);
  expect(next.err).toMatch(said);
  await isMended();
});

it("emptied: what --recheck set aside is no mbox beside the archive", async () => {
  writeFileSync(zips()[0] ?? "", "");
  await isMended();
});

it.each([0.2, 0.4, 0.6, 0.8])("a bit turned at %d of it: --recheck brings back what is broken", async (part) => {
  flip(zips()[0] ?? "", part);
  expect((await room.cli("verify", archive)).code).toBe(6);
  expect([0, 3]).toContain((await restore()).code);
  await isMended();
});

it("what still holds of a damaged zip is kept, where the source does not have it any more", async () => {
  rmSync(archive, { recursive: true });
  expect((await room.cli("backup", `mbox:${room.source}`, `mboxzip:${archive}?store=on`)).code).toBe(0);
  const [zip = ""] = zips();
  const stored = readFileSync(zip, "latin1");
  const at = stored.indexOf("Body 3 of in.");
  writeFileSync(zip, `${stored.slice(0, at)}bODY${stored.slice(at + 4)}`, "latin1");
  const path = join(room.source, "Inbox");
  const messages = readFileSync(path, "latin1").split(/(?=^From a@)/m);
  writeFileSync(path, messages.slice(3, 5).join(""), "latin1");
  await backup("--recheck");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining("Sound: 30 messages"),
  });
  expect((await restore()).code).toBe(0);
});
