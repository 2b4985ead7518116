// A message in an archive whose bytes changed: restore does not deliver it, --recheck fetches it again, and the archive is sound.

import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { filesBelow, useArchive } from "../kit/archive-cli.ts";

const { room, archive, restored, backup, restore } = useArchive("maildir", [[6, 0]]);
const cur = (): string => join(archive, "cur");
const message = (): string => join(cur(), readdirSync(cur()).sort()[2] ?? "");

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at] = (bytes.at(at) ?? 0) ^ 4;
  writeFileSync(path, bytes);
}

async function isMended(messages = 12): Promise<void> {
  expect((await room.cli("verify", archive)).code).toBe(6);
  await backup("--recheck");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining(`Sound: ${messages} messages`),
  });
  rmSync(restored, { recursive: true, force: true });
  expect(await restore()).toMatchObject({ code: 0 });
  expect((await room.cli("verify", `mbox:${room.source}`, restored, "--both-ways")).code).toBe(0);
}

describe.each([
  ["in its body", (path: string) => flip(path, -5)],
  ["in its header", (path: string) => flip(path, 20)],
  [
    "in its last line end",
    (path: string) => writeFileSync(path, readFileSync(path, "latin1").replace(/\n$/, "\r"), "latin1"),
  ],
  ["cut", (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -12))],
  ["empty", (path: string) => writeFileSync(path, "")],
  ["longer", (path: string) => writeFileSync(path, `${readFileSync(path, "latin1")}more\n`, "latin1")],
])("%s", (_, deed) => {
  it("is named by restore and not delivered, set aside by --recheck and fetched again", async () => {
    deed(message());
    const found = await restore();
    expect(found.code).toBe(3);
    expect(found.err).toContain("other bytes than were stored");
    expect(found.err).toContain("--recheck");
    expect(filesBelow(join(restored, "cur"))).toHaveLength(5);
    await isMended();
    expect(filesBelow(join(archive, "mailferry", "spoilt"))).toHaveLength(1);
  });
});

it("a message that its source does not have any more stays aside, and the archive is sound without it", async () => {
  const words = readFileSync(message(), "latin1");
  const path = join(room.source, "Inbox");
  const before = readFileSync(path, "latin1");
  const id = /<in-\d+@example.org>/.exec(words)?.[0] ?? "";
  flip(message(), -5);
  writeFileSync(
    path,
    before
      .split(/(?=^From a@)/m)
      .filter((one) => !one.includes(id))
      .join(""),
    "latin1",
  );
  try {
    await isMended(11);
  } finally {
    writeFileSync(path, before, "latin1");
  }
});

it("pipes and links among the mail are named, and --recheck moves them out", async () => {
  execFileSync("mkfifo", [join(cur(), "1600000000.pipe.x:2,S")]);
  symlinkSync("/dev/zero", join(cur(), "1600000001.link.x:2,S"));
  expect((await restore()).code).toBe(3);
  await isMended();
});

it("a second file of a message under a name of ours has no owner after --recheck, and is no damage then", async () => {
  const second = message().replace(/cur\/(\d+)\./, (_, seconds: string) => `cur/${Number(seconds) - 1}.`);
  cpSync(message(), second);
  expect((await room.cli("verify", archive)).code).toBe(6);
  await backup("--recheck");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining("Sound: 13 messages"),
  });
});
