// The words that leave something out for good do that, as they are printed; and -q says nothing that the exit code does not speak of.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { renderExclusion } from "../../src/cli/report.ts";
import type { LeftOut } from "../../src/mail/left-out.ts";
import type { FolderSummary } from "../../src/migrate/events.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

const MAIL =
  "From: a@example.org\nTo: b@example.org\nSubject: s\nDate: Tue, 2 Jan 2024 10:00:00 +0000\nMessage-ID: <a@x>\n\nx\n";

/** An mbox, and beside it folders that hold one single message each. */
function tree(...folders: readonly string[]): string {
  const root = desk.path("tree");
  mkdirSync(root);
  writeFileSync(join(root, "Mail"), `From a@example.org Tue Jan  2 10:00:00 2024\n${MAIL}\n`);
  for (const name of folders) {
    mkdirSync(join(root, name), { recursive: true });
    writeFileSync(join(root, name, "one.eml"), MAIL);
  }
  return root;
}

it("--exclude is given as it works, whatever the folder is called", async () => {
  const root = tree("plain", "it's [a] *star* of 2024?", "deep/er");
  const args = ["backup", root, desk.path("archive")];
  const first = await desk.run(args);
  expect(first.code).toBe(3);
  const line = first.err.match(/To leave this out for good: (.*)/)?.[1] ?? "";
  const words = line.split(/(?:^| )--exclude /).slice(1);
  expect(words.length).toBe(3);
  // As a shell takes them.
  const globs = words.map((word) => (word.startsWith("'") ? word.slice(1, -1).replaceAll("'\\''", "'") : word));
  const again = await desk.run([...args, ...globs.flatMap((glob) => ["--exclude", glob])]);
  expect(again).toMatchObject({ code: 0, err: expect.stringContaining("The balance closes.") });
});

it("no words are given that would leave out mail that is read", () => {
  const item = (name: string) => ({ name: `/x/${name}`, why: "is not read", folder: [name] });
  const balance: FolderSummary["balance"] = Object.create(null);
  const folder = (name: string, listed: number): FolderSummary => ({
    folder: [name],
    name,
    listed,
    balance,
    closes: true,
  });
  const words = (...items: LeftOut[]): string[] => renderExclusion(items, [folder("A", 3), folder("B", 0)]);
  expect(words(item("A"))).toEqual([]);
  expect(words(item("A"), item("B"))).toEqual(["  To leave what lies in these folders out for good: --exclude B"]);
  expect(words(item("B"))).toEqual(["  To leave this out for good: --exclude B"]);
  expect(words(item("a\nb"))).toEqual([]);
});

it("verify -q says nothing of what only the target has, unless it is asked for", async () => {
  const source = desk.put("source", ["a", "b"]);
  const archive = desk.path("archive");
  expect((await desk.run(["backup", source, archive])).code).toBe(0);
  rmSync(join(source, "cur", "1704189600.a.x:2,S"));
  expect(await desk.run(["verify", source, archive])).toMatchObject({
    code: 0,
    err: expect.stringContaining("extra: "),
  });
  expect(await desk.run(["verify", source, archive, "-q"])).toEqual({ code: 0, out: "", err: "" });
  const both = await desk.run(["verify", source, archive, "-q", "--both-ways"]);
  expect(both).toMatchObject({ code: 6, err: expect.stringContaining("extra: ") });
});
