// What a newcomer reads: words that fit what was done, the exit code in every report, and what a shell made of a command line.

import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { renderIdle } from "../../src/cli/report.ts";
import type { FolderSummary } from "../../src/migrate/events.ts";
import { selectFolders } from "../../src/migrate/select.ts";
import type { Source } from "../../src/sources/source.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

it("an empty source is empty, and nothing of it was copied already", async () => {
  const source = desk.put("source", []);
  const { err, code } = await desk.run(["backup", source, desk.path("archive")]);
  expect(code).toBe(0);
  expect(err).toMatch(/INBOX: empty|Nothing to copy in 1 folder: it is empty\./);
  expect(err).not.toContain("Nothing new");
  const one = (listed: number, balance: object): FolderSummary => {
    const none = {
      copied: 0,
      "already-copied": 0,
      failed: 0,
      adopted: 0,
      filtered: 0,
      altered: 0,
      vanished: 0,
      planned: 0,
    };
    return { folder: ["A"], name: "A", listed, balance: { ...none, ...balance }, closes: true };
  };
  expect(renderIdle([one(0, {}), one(0, {})])).toEqual(["Nothing to copy in 2 folders: they are empty."]);
  expect(renderIdle([one(2, { filtered: 2 }), one(0, {})])).toEqual(["Nothing new in 2 folders: 2 filtered."]);
});

it("verify writes its exit code into the report: of two places, and of one archive", async () => {
  const source = desk.put("source", ["a", "b"]);
  const archive = desk.path("archive");
  expect(await desk.run(["backup", source, archive])).toMatchObject({ code: 0 });
  const reported = async (...args: string[]): Promise<[number, unknown]> => {
    const { code } = await desk.run(["verify", ...args, "--report", desk.path("report.json")]);
    return [code, (JSON.parse(readFileSync(desk.path("report.json"), "utf8")) as { exitCode?: unknown }).exitCode];
  };
  expect(await reported(source, archive)).toEqual([0, 0]);
  expect(await reported(archive)).toEqual([0, 0]);
  desk.put("source", ["c"]);
  expect(await reported(source, archive)).toEqual([6, 6]);
});

it("-V is --version", async () => {
  const { out, code } = await desk.run(["--version"]);
  expect(out).toMatch(/^\d+\.\d+\.\d+/);
  expect(await desk.run(["-V"])).toMatchObject({ out, code });
});

describe("a URL that ends at an & that was not quoted", () => {
  it.each([
    ["backup", "imaps://me@host?ca=ca.pem"],
    ["verify", "--quick"],
    ["migrate", "maildir:in", "-q"],
  ])("%s %s", async (...args) => {
    const { err, code } = await desk.run(args);
    expect(code).toBe(2);
    if (args.some((word) => word.includes("?")))
      expect(err).toContain("quote it, as in 'imaps://user@host?ca=FILE&connections=2'");
    else expect(err).not.toContain("quote it");
  });
});

it("--use alone is answered by uses, and says nothing of globs", async () => {
  const folders = [
    { path: ["INBOX"], selectable: true, use: "inbox" as const },
    { path: ["Gesendet"], selectable: true },
  ];
  const source = {
    async *folders() {
      yield* folders;
    },
  } as unknown as Source;
  const { signal } = new AbortController();
  const hint = async (select: object): Promise<string> => {
    try {
      await selectFolders(source, { select: { include: [], exclude: [], ...select } }, signal);
    } catch (error) {
      return (error as { details: { hint: string } }).details.hint;
    }
    return "";
  };
  const use = await hint({ uses: ["all"] });
  expect(use).toContain("The source has: INBOX (inbox), Gesendet. --use goes by what the source says");
  expect(use).not.toContain("*");
  const glob = await hint({ include: ["Work"] });
  expect(glob).toContain('"**" goes through all');
  expect(glob).not.toContain("--use");
  expect(glob).not.toContain("(inbox)");
});
