// What the options name and the source has not: said, with what may have been meant, and never called complete.

import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Folder, SpecialUse } from "../../src/mail/model.ts";
import { selectFolders } from "../../src/migrate/select.ts";
import { advised, Desk } from "../kit/cli.ts";
import { memorySource } from "../kit/memory.ts";

let desk: Desk;
let source: string;
beforeEach(() => {
  desk = new Desk();
  source = desk.put("source", ["a"]);
  desk.put("source", ["b"], "Clients.Old & new");
  desk.put("source", ["c"], "Sent");
  desk.put("source", ["d"], "Clients.New");
});
afterEach(() => desk[Symbol.dispose]());

const backup = (...more: string[]) => desk.run(["backup", source, desk.path("target"), ...more]);

describe("a --folder that matches nothing", () => {
  it.each([
    ["clients/**", "Clients/**"],
    ["Clients/Old", "Clients/Old & new"],
    ["Old & new", "Clients/Old & new"],
    ["Clients.Old & new", "Clients/Old & new"],
    ["Snet", "Sent"],
    ["Clienst/**", "Clients/**"],
    ["Old*", "**/Old*"],
    ["sent", "Sent"],
  ])("%s is named while the rest is carried, with %s, which does it", async (glob, meant) => {
    const { code, err } = await backup("--folder", glob, "--folder", "INBOX");
    expect(code).toBe(3);
    expect(err).toContain(`no folder matches ${glob}; did you mean ${meant}?`);
    expect(err).toMatch(/ copied +1\b/);
    expect(err).toMatch(/Not complete: no folder matches/);
    expect(err).not.toMatch(/Complete\.|The balance closes/);
    expect(await backup("--folder", meant, "--folder", "INBOX")).toMatchObject({ code: 0 });
  });

  it("is told with -q too, and in the JSON", async () => {
    const { code, err, out } = await backup("--folder", "Nothing", "--folder", "INBOX", "-q", "--json");
    expect(code).toBe(3);
    expect(err).toContain("Not complete: no folder matches Nothing.");
    expect(JSON.parse(out.trim().split("\n").at(-1) ?? "")).toMatchObject({
      summary: { outcome: "partial", unmatched: ["no folder matches Nothing"] },
    });
  });

  it("is told by folders and by verify", async () => {
    const asked = ["--folder", "Sent", "--folder", "Gone"];
    await backup();
    const verified = await desk.run(["verify", source, desk.path("target"), ...asked]);
    expect(verified).toMatchObject({
      code: 3,
      err: expect.stringMatching(/Not complete: 1 message .*; but no folder matches Gone\.$/m),
    });
    const listed = await desk.run(["folders", source, "-q", ...asked]);
    expect(listed).toMatchObject({ code: 3, err: "no folder matches Gone\n", out: expect.stringContaining("Sent") });
    const report = desk.path("report");
    const events = await desk.run(["folders", source, "--json", "--report", report, "--exclude", "Nobody", ...asked]);
    const said = [
      expect.objectContaining({ type: "folder", name: "Sent" }),
      { type: "unmatched", text: "no folder matches Gone" },
      { type: "notice", text: expect.stringContaining("--exclude Nobody") },
    ];
    expect(
      events.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(said);
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ events: said, exitCode: 3 });
  });

  it("is refused when nothing matches at all", async () => {
    expect(await backup("--folder", "Nothing")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no folder matches Nothing\. The source has: /),
    });
  });
});

describe("a --map that names no folder", () => {
  it("is told, while the rest is carried", async () => {
    const { code, err } = await backup("--map", "Clinets=Kunden", "--map", "Sent=Gesendet", "-q");
    expect(code).toBe(3);
    expect(err).toContain("--map Clinets=Kunden names no folder; did you mean Clients=…?");
    expect(err).not.toContain("Gesendet");
  });

  it("is told when one before it takes all of its folders", async () => {
    const { code, err } = await backup("--map", "Clients=K", "--map", "Clients/Old & new=Old");
    expect(code).toBe(3);
    expect(err).toContain("--map Clients/Old & new=Old comes after --map Clients=…, which takes its folders");
  });

  it("is none where one before it takes a part of them, or it names the inbox", async () => {
    expect(await backup("--map", "Clients/Old & new=Old", "--map", "Clients=K", "--map", "inbox=In")).toMatchObject({
      code: 0,
    });
  });
});

it("an --exclude that matches nothing is told, and changes no exit code", async () => {
  const { code, err } = await backup("--exclude", "Snet");
  expect(code).toBe(0);
  expect(err).toContain("nothing is left out by --exclude Snet: no folder matches Snet; did you mean Sent?");
  expect(err).toContain("The balance closes.");
  expect(advised(err, "verify")).toContain("--exclude");
});

describe("--use", () => {
  it("takes folders by what they are for, whatever they are called", async () => {
    const { code, err } = await backup("--use", "inbox");
    expect(code).toBe(0);
    expect(err).toMatch(/ copied +1\b/);
    expect(advised(err, "verify").slice(-2)).toEqual(["--use", "inbox"]);
    expect(await desk.run(advised(err, "verify"))).toMatchObject({ code: 0 });
  });

  it("that the source does not tell is named, beside others", async () => {
    const { code, err } = await backup("--use", "all", "--folder", "Sent", "-q");
    expect(code).toBe(3);
    expect(err).toContain('the source says of no folder that it is the one for "all"');
  });

  it("that is none is refused with those that are", async () => {
    expect(await backup("--use", "everything")).toMatchObject({ code: 2, err: expect.stringContaining("inbox, all") });
  });
});

it("all mail is found in an account that is in another language, and folders that hold none are no answer", async () => {
  const folder = (path: string[], selectable: boolean, use?: SpecialUse): Folder => ({
    path,
    selectable,
    ...(use === undefined ? {} : { use }),
  });
  const source = Object.assign(memorySource([]), {
    async *folders() {
      yield folder(["INBOX"], true, "inbox");
      yield folder(["[Gmail]"], false);
      yield folder(["[Gmail]", "Alle Nachrichten"], true, "all");
    },
  });
  const signal = new AbortController().signal;
  const chosen = async (include: string[], uses: SpecialUse[]) =>
    await selectFolders(source, { select: { include, exclude: [], uses } }, signal);
  const { folders, unmatched } = await chosen([], ["all", "inbox"]);
  expect(folders.map(({ path }) => path.at(-1))).toEqual(["INBOX", "Alle Nachrichten"]);
  expect(unmatched).toEqual([]);
  const meant = "[Gmail]/**";
  expect((await chosen(["INBOX", "[Gmail]"], [])).unmatched).toEqual([
    `no folder with mail matches [Gmail]; did you mean ${meant}?`,
  ]);
  expect((await chosen(["INBOX", meant], [])).folders).toHaveLength(3);
  await expect(chosen(["[Gmail]"], [])).rejects.toThrow("no folder with mail matches [Gmail]");
});
