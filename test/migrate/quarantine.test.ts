// What is set aside lies in the quarantine, whatever its folder is called, and each message in files of its own.

import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MailError } from "../../src/mail/errors.ts";
import type { FolderPath } from "../../src/mail/model.ts";
import { checkQuarantine } from "../../src/migrate/quarantine.ts";
import { run } from "../../src/migrate/run.ts";
import { count } from "../kit/counts.ts";
import { mail, memorySink, memorySource, newStore } from "../kit/memory.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mailferry-quarantine-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** In groups of those that look alike once they are made readable. */
const FOLDERS: readonly FolderPath[] = [
  ...[
    [".."],
    ["..", ".."],
    ["../.."],
    ["../../../../escaped"],
    ["..", "..", "..", "escaped"],
    ["."],
    [""],
    ["...", ""],
  ],
  ...[["/etc"], ["", "etc"], ["/etc/passwd"], ["etc"], ["_etc"]],
  ...[["C:\\"], ["C:\\Windows\\x"], ["C:", "Windows", "x"], ["CON"], ["a:stream"]],
  ...[["a\0b"], ["a\nb"], ["a_b"], ["a", "b"], ["a/b"], ["A_B"]],
  ...[["x".repeat(300)], ["x".repeat(301)], ["x".repeat(60)], ["ü".repeat(300)], Array<string>(300).fill("..")],
  ...[[".hidden"], ["-rf"], ["~"], ["$HOME"], ["\u202egnp"], ["\ud800"]],
];

it("a run whose messages fail in folders with hostile names writes into the quarantine alone, each to a place of its own", async () => {
  const stateDirectory = join(root, "one", "two", "three", "state");
  await mkdir(stateDirectory, { recursive: true });
  // In other words each time: the same to everything would say that the target is full.
  let refused = 0;
  const refusal = (): MailError => {
    const words = refused++ % 2 === 0 ? "no such thing" : "no, thank you";
    return new MailError("malformed", words, { scope: "message", remedy: "give-up" });
  };
  // The same ids everywhere: the folders alone tell them apart.
  const folders = FOLDERS.map((path, n) => ({
    path,
    generation: "1",
    mail: ["1", "2"].map((id) => mail(id, `Subject: ${n}-${id}\r\n\r\nx\r\n`)),
  }));
  const going = run(
    memorySource(folders),
    memorySink(newStore(), { append: refusal }),
    { stateDirectory },
    new AbortController().signal,
  );
  const places: string[] = [];
  for await (const event of going)
    if (event.type === "message-settled" && event.as === "failed") places.push(event.quarantine ?? "nowhere");
  const { summary } = { summary: await going.finished };
  expect(summary.balance.failed).toBe(2 * FOLDERS.length);
  count("hostile names", FOLDERS.length);

  const [quarantine = ""] = places.map(dirname);
  expect(new Set(places.map(dirname))).toEqual(new Set([quarantine]));
  expect(quarantine).toMatch(/\/state\/[^/]+\/quarantine$/);
  // Where names that differ in case are one, too.
  expect(new Set(places.map((place) => place.toLowerCase())).size).toBe(2 * FOLDERS.length);
  const subjects = await Promise.all(places.map(async (place) => /\d+-\d/.exec(await readFile(place, "utf8"))?.[0]));
  expect(new Set(subjects).size).toBe(2 * FOLDERS.length);

  const files = await readdir(root, { recursive: true, withFileTypes: true });
  const written = files.filter((file) => file.isFile() && /\.(?:eml|txt)$/.test(file.name));
  expect(written.length).toBe(4 * FOLDERS.length);
  for (const { parentPath, name } of written) {
    expect(parentPath).toBe(quarantine);
    // Harmless for shells and other file systems, hidden from nobody.
    expect(name).toMatch(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,90}$/);
  }
  expect(files.filter((file) => !file.parentPath.startsWith(join(root, "one")) && file.name !== "one")).toEqual([]);
  const problems: string[] = [];
  await checkQuarantine(quarantine, (text) => problems.push(text));
  expect(problems).toEqual([]);
});
