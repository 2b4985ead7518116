// What belongs to an archive is known to the archive: verify, restore and backup tell what of it is gone, cut or unfinished.

import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useArchive } from "../kit/archive-cli.ts";

const { room, archive, verify, restore, backup } = useArchive("maildir", [
  [24, 0],
  [10, 30],
]);
const home = join(archive, "mailferry");

const pair = (): string => join(home, "ledger", readdirSync(join(home, "ledger"))[0] ?? "");
const journals = (): string[] =>
  readdirSync(pair())
    .filter((name) => name !== "runs.jsonl")
    .map((name) => join(pair(), name));
const firstOf = (directory: string): string => join(directory, readdirSync(directory)[0] ?? "");

/** The first half of its lines. */
function halve(path: string): void {
  const lines = readFileSync(path, "latin1").split("\n").slice(0, -1);
  const half = lines.slice(0, Math.floor(lines.length / 2));
  writeFileSync(path, half.map((line) => `${line}\n`).join(""), "latin1");
}

it("an archive that nothing happened to is sound, also after a run that brought nothing", async () => {
  expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 80 messages") });
  expect((await backup()).code).toBe(0);
  expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 80 messages") });
  expect(await restore()).toMatchObject({ code: 0, err: expect.stringContaining("Complete") });
});

const FILES: readonly (readonly [string, () => string])[] = [
  ["the traits of a folder", () => firstOf(join(home, "traits"))],
  ["folders.jsonl", () => join(home, "folders.jsonl")],
  ["a ledger", () => journals()[0] ?? ""],
  ["the runs", () => join(pair(), "runs.jsonl")],
  ["the inventory", () => join(home, "inventory.jsonl")],
];
const DEEDS: readonly (readonly [string, (path: string) => void])[] = [
  ["gone", (path) => rmSync(path)],
  ["empty", (path) => writeFileSync(path, "")],
  ["cut at a line", halve],
  ["cut within a line", (path) => truncateSync(path, readFileSync(path).length - 3)],
];

describe.each(FILES)("%s", (_, pathOf) => {
  it.each(DEEDS)("%s: told by verify and restore, and mended by --recheck", async (_, deed) => {
    deed(pathOf());
    const checked = await verify();
    expect(checked.code).toBe(6);
    expect(checked.err).not.toContain("Sound");
    expect(checked.err).not.toContain("of other programs");
    expect(await restore()).toMatchObject({ code: 3, err: expect.not.stringContaining("Complete") });
    await backup("--recheck");
    const after = await verify();
    expect(after).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 80 messages") });
    rmSync(join(room.root, "restored"), { recursive: true });
    expect((await restore()).code).toBe(0);
    expect(await room.cli("verify", `mbox:${room.source}`, `maildir:${join(room.root, "restored")}`)).toMatchObject({
      code: 0,
    });
  });
});

it("traits that were lost are told by each backup until one looked for all of them again", async () => {
  rmSync(firstOf(join(home, "traits")));
  for (let night = 0; night < 2; night++) {
    expect(await backup("-q")).toMatchObject({ code: 3, err: expect.stringContaining("is missing") });
    expect((await verify()).code).toBe(6);
  }
  expect(await backup("--recheck", "--folder", "INBOX")).toMatchObject({ code: 3 });
  expect((await verify()).code).toBe(6);
  await backup("--recheck");
  expect(await backup("-q")).toMatchObject({ code: 0, err: "" });
  expect((await verify()).code).toBe(0);
});

it("emptied traits are told by a backup, too", async () => {
  writeFileSync(firstOf(join(home, "traits")), "");
  expect(await backup("-q")).toMatchObject({ code: 3, err: expect.stringContaining("is empty") });
});

it("a list that was lost is missed: no backup writes the list anew as if nothing had been in it", async () => {
  rmSync(join(home, "inventory.jsonl"));
  rmSync(firstOf(join(home, "traits")));
  expect((await backup()).code).toBe(3);
  expect(await verify()).toMatchObject({ code: 6, err: expect.stringContaining("inventory.jsonl is missing") });
});

it("a line of the list that is gone is missed", async () => {
  const path = join(home, "inventory.jsonl");
  const lines = readFileSync(path, "latin1").split("\n");
  writeFileSync(path, lines.filter((_, i) => i !== 3).join("\n"), "latin1");
  expect(await verify()).toMatchObject({ code: 6, err: expect.stringContaining("inventory.jsonl is damaged") });
});

it("a run that was stopped is not one that came to its end", async () => {
  const path = join(pair(), "runs.jsonl");
  const { frame } = await import("../../src/core/lines.ts");
  const lines = [
    { s: "start", n: 3, a: 1_700_000_000, v: "0.1.0", o: {} },
    { s: "end", n: 3, a: 1_700_000_009, w: "stopped", b: {} },
  ];
  writeFileSync(
    path,
    readFileSync(path, "latin1") + lines.map((line) => frame(JSON.stringify(line))).join(""),
    "latin1",
  );
  expect(await verify()).toMatchObject({ code: 6, err: expect.stringContaining("Not finished") });
});

it("a ledger that was cut is made good by the next run", async () => {
  halve(journals()[0] ?? "");
  expect(await backup()).toMatchObject({ code: 0, err: expect.stringContaining("the target is looked at instead") });
  expect(await verify()).toMatchObject({ code: 0, err: expect.stringContaining("Sound: 80 messages") });
});

it("half of the ledgers gone: nobody says that the mail is of other programs", async () => {
  rmSync(journals()[1] ?? "");
  const checked = await verify();
  expect(checked.code).toBe(6);
  expect(checked.err).not.toContain("of other programs");
});

it("an archive of an earlier version has no list of its files: that is not known, and no damage", async () => {
  rmSync(join(home, "inventory.jsonl"));
  const path = join(pair(), "runs.jsonl");
  const { frame, unframe } = await import("../../src/core/lines.ts");
  const lines = readFileSync(path, "latin1").split("\n").slice(0, -1);
  const before = lines.map((line) => frame((unframe(Buffer.from(line, "latin1")) ?? "").replace(/,"i":\d+/, "")));
  writeFileSync(path, before.join(""), "latin1");
  const checked = await verify();
  expect(checked).toMatchObject({ code: 0, err: expect.stringContaining("is not known") });
  expect(checked.err).toContain("Sound: 80 messages");
  expect((await restore()).code).toBe(0);
  expect((await backup()).code).toBe(0);
  expect((await verify()).err).not.toContain("is not known");
});

it("a run that was broken off is told, by verify and restore, until it is run again", async () => {
  const path = join(pair(), "runs.jsonl");
  const { frame } = await import("../../src/core/lines.ts");
  const start = { s: "start", n: 3, a: 1_700_000_000, v: "0.1.0", o: {} };
  writeFileSync(path, `${readFileSync(path, "latin1")}${frame(JSON.stringify(start))}`, "latin1");
  const checked = await verify();
  expect(checked).toMatchObject({ code: 6, err: expect.stringContaining("did not come to its end") });
  expect(checked.err).toContain("Not finished");
  expect(checked.err).not.toContain("Damaged");
  expect(await restore()).toMatchObject({ code: 3, err: expect.stringContaining("did not come to its end") });
  expect((await backup("--folder", "INBOX")).code).toBe(0);
  expect((await verify()).code).toBe(6);
  expect((await backup()).code).toBe(0);
  expect((await verify()).err).toContain("Sound");
});

it("what an ordinary backup cannot bring back stays missed", async () => {
  halve(firstOf(join(home, "traits")));
  for (let night = 0; night < 2; night++) expect((await backup()).code).toBe(3);
  expect((await verify()).code).toBe(6);
});
