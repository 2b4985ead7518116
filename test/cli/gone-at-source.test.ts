// A folder of an archive that the source has no more, with damage: --recheck tells what cannot be had again, and verify is then sound.

import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { useArchive } from "../kit/archive-cli.ts";

const { room, archive } = useArchive("maildir", [[6, 0]], {
  prepare: ({ source }) => cpSync(join(source, "Inbox"), join(source, "Old")),
});
beforeEach(() => rmSync(join(room.source, "Old"), { force: true }));

const pair = (): string =>
  join(archive, "mailferry", "ledger", readdirSync(join(archive, "mailferry", "ledger"))[0] ?? "");
const journal = (): string => join(pair(), readdirSync(pair()).find((name) => name.startsWith("_Old")) ?? "");
const cur = (): string => join(archive, ".Old", "cur");
const edit = (path: string, change: (lines: string[]) => string[]): void =>
  writeFileSync(path, change(readFileSync(path, "latin1").split("\n")).join("\n"), "latin1");

it.each([
  ["its ledger gone", () => rmSync(journal()), "6 messages of .Old are in no ledger", 18],
  [
    "a line of its ledger damaged",
    () => edit(journal(), (lines) => lines.map((line, i) => (i === 4 ? line.replace('"k":"', '"k":"-') : line))),
    "1 message of .Old is in no ledger",
    18,
  ],
  [
    "the first line of its ledger damaged",
    () => edit(journal(), ([first = "", ...rest]) => [first.replace('"v"', '"V"'), ...rest]),
    "6 messages of .Old are in no ledger",
    18,
  ],
  [
    "a message of it spoilt",
    () => edit(join(cur(), readdirSync(cur())[2] ?? ""), (lines) => [...lines, "more", ""]),
    "1 message of .Old is damaged or gone",
    17,
  ],
  [
    "all of it gone",
    () => rmSync(join(archive, ".Old"), { recursive: true }),
    "6 messages of .Old are damaged or gone",
    12,
  ],
] as const)("%s", async (_, damage, said, messages) => {
  expect((await room.cli("verify", archive)).code).toBe(0);
  damage();
  expect((await room.cli("verify", archive)).code).toBe(6);
  const backup = (...more: string[]) => room.cli("backup", `mbox:${room.source}`, `maildir:${archive}`, ...more);
  expect((await backup("--recheck")).err).toContain(said);
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining(`Sound: ${messages} messages`),
  });
  expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
});

it("and nothing damaged: nothing is said of it, and it stays", async () => {
  expect((await room.cli("backup", `mbox:${room.source}`, `maildir:${archive}`, "--recheck")).err).not.toContain("Old");
  expect(await room.cli("verify", archive)).toMatchObject({
    code: 0,
    err: expect.stringContaining("Sound: 18 messages"),
  });
});
