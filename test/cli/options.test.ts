import { describe, expect, it } from "vitest";
import { FOOTER, VERBS } from "../../src/cli/help.ts";
import { type Arguments, selectionOf, stateDirectoryOf, textOf } from "../../src/cli/options.ts";
import { parseCommandLine } from "../../src/cli/parse.ts";
import { nearest } from "../../src/core/near.ts";
import { MailError } from "../../src/mail/errors.ts";

async function argsOf(...argv: string[]): Promise<Arguments> {
  const parsed = await parseCommandLine(argv, 80);
  if ("print" in parsed) throw new Error("help was printed");
  return parsed.args;
}
async function problemOf(...argv: string[]): Promise<string> {
  try {
    await parseCommandLine(argv, 80);
  } catch (error) {
    if (error instanceof MailError) return `${error.message}. ${error.details.hint}`;
    throw error;
  }
  return "";
}

describe("the command line", () => {
  it("reads verbs, places and options as they stand", async () => {
    const parsed = await parseCommandLine(
      ["drain", "pop3s://me@h", "007", "--leave-for=14d", "--folder", "a", "--folder", "1e3", "-vvq", "--no-flags"],
      80,
    );
    expect(parsed).toMatchObject({
      verb: "drain",
      args: {
        source: "pop3s://me@h",
        archive: "007",
        "leave-for": "14d",
        folder: ["a", "1e3"],
        verbose: 2,
        quiet: true,
      },
    });
    expect(await argsOf("folders", "x", "--json")).toMatchObject({ endpoint: "x", json: true });
    expect(await argsOf("verify", "x")).toMatchObject({ source: "x" });
    expect((await argsOf("backup", "a", "b", "--no-flags"))["no-flags"]).toBe(true);
  });

  it("takes the common options on every verb, so that a script may give them to all", async () => {
    const common = [
      ...["--dry-run", "--recheck", "--prove", "--no-flags", "--allow-cleartext", "--json", "-q", "-v"],
      ...["--state", "s", "--report", "r", "--connections", "2", "--folder", "a", "--exclude", "b"],
      ...["--source-password-file", "f", "--target-password-command", "c"],
    ];
    const selection = ["--since", "2024-01-01", "--max-size", "1M", "--skip-deleted", "--map", "a=b", "--into", "c"];
    for (const verb of ["backup", "migrate", "drain", "restore", "verify"])
      expect(await argsOf(verb, "a", "b", ...common, ...selection)).toMatchObject({ state: "s", "skip-deleted": true });
    expect(await argsOf("folders", "a", ...common)).toMatchObject({ folder: "a", exclude: "b" });
    // What would make its numbers untrue is refused.
    expect(await problemOf("folders", "a", "--since", "2024-01-01")).toContain('does not know "--since"');
  });

  it("prints help whose lines can be pasted, however narrow the terminal", async () => {
    for (const [verb, { examples }] of [["", { examples: [] }] as const, ...Object.entries(VERBS)]) {
      const parsed = await parseCommandLine([...(verb === "" ? [] : [verb]), "--help"], 60);
      const lines = "print" in parsed ? parsed.print.split("\n") : [];
      for (const [command] of examples) expect(lines).toContain(`  mailferry ${verb} ${command}`);
      if (verb === "") expect(lines).toEqual(expect.arrayContaining(FOOTER.split("\n")));
    }
  });

  it.each([
    [["bakup", "a", "b"], 'Did you mean "backup"?'],
    [["backup", "a", "b", "--foldr", "x"], "Did you mean --folder?"],
    [["folders", "a", "--move"], 'folders does not know "--move"'],
    [["backup", "a", "b", "--leave"], 'backup does not know "--leave"'],
    [["backup", "a", "b", "-z"], 'does not know "-z"'],
    [["backup", "a"], "backup needs <source> <archive>"],
    [["backup", "a", "b", "c"], "and no more"],
    [["backup", "a", "b", "--since"], "--since has no value"],
    [[], "no command was given"],
    [["--bogus"], "no command was given"],
  ])("says what is wrong with %j", async (argv, words) => expect(await problemOf(...argv)).toContain(words));

  it.each([
    ["backup", "a", "b", "--password", "hunter2"],
    ["backup", "a", "b", "--source-password=hunter2"],
    ["backup", "a", "b", "imaps://me:hunter2@h"],
    ["backup", "a", "b", "--bogus", "hunter2"],
    ["imaps://me:hunter2@h"],
  ])("repeats nothing that may be a password: %s %s %s %s", async (...argv) => {
    const problem = await problemOf(...argv);
    expect(problem).not.toBe("");
    expect(problem).not.toContain("hunter2");
  });

  it("has a help for every verb, with examples and within the width", async () => {
    for (const argv of [
      ["--help"],
      ...["backup", "migrate", "drain", "restore", "verify", "folders"].map((v) => [v, "-h"]),
    ]) {
      const parsed = await parseCommandLine(argv, 80);
      const text = "print" in parsed ? parsed.print : "";
      expect(text).toMatch(argv[0] === "--help" ? /Exit codes:/ : /Examples:\n {2}# /);
      const wide = text.split("\n").filter((line) => line.length > 80 && !line.includes("mailferry "));
      expect(wide).toEqual([]);
    }
  });

  it("prints the same help for the word as for the option", async () => {
    for (const verb of [[], ["backup"], ["migrate"]]) {
      const asked = await parseCommandLine([...verb, "help"], 80);
      expect(asked, verb.join()).toEqual(await parseCommandLine([...verb, "--help"], 80));
      expect("print" in asked ? asked.print : "", verb.join()).toMatch(/^Output:\n/m);
    }
  });

  it("knows its version", async () => {
    expect(await parseCommandLine(["--version"], 80)).toEqual({ print: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
  });

  it("guesses only what is near", () => {
    expect(nearest("folderz", ["folder", "exclude"])).toBe("folder");
    expect(nearest("xyz", ["folder", "exclude"])).toBeUndefined();
  });
});

describe("options", () => {
  it("become what a run takes", () => {
    const selection = selectionOf({
      folder: ["A/**", "B"],
      exclude: "Trash",
      map: ["Old/Sub=New", "a\\=b=c\\/d/e"],
      into: "Archive/2024",
      since: "2024-01-01",
      before: "2025-01-01",
      "max-size": "25M",
    });
    expect(selection).toEqual({
      select: { include: ["A/**", "B"], exclude: ["Trash"] },
      map: [
        { from: ["Old", "Sub"], to: ["New"] },
        { from: ["a=b"], to: ["c/d", "e"] },
      ],
      into: ["Archive", "2024"],
      since: 1_704_067_200,
      before: 1_735_689_600,
      maxSize: 25_000_000,
    });
    expect(selectionOf({})).toEqual({});
    expect(selectionOf({ exclude: "x" })).toEqual({ select: { include: [], exclude: ["x"] } });
  });

  it.each([
    [{ map: "Old" }, "OLD=NEW"],
    [{ map: "a=b=c" }, "OLD=NEW"],
    [{ map: "=b" }, "names no folder"],
    [{ map: "a=/" }, "names no folder"],
    [{ into: "/" }, "names no folder"],
    [{ into: ["a", "b"] }, "given 2 times"],
    [{ folder: ["a", ""] }, "no value"],
    [{ since: "2025-01-01", before: "2024-01-01" }, "not earlier"],
  ])("that make no sense are refused: %j", (args, words) => expect(() => selectionOf(args)).toThrow(words));

  it("find the state folder by the XDG rule", () => {
    expect(stateDirectoryOf({ state: "/x" }, {})).toBe("/x");
    expect(stateDirectoryOf({}, { XDG_STATE_HOME: "/s" })).toBe("/s/mailferry");
    expect(stateDirectoryOf({}, { XDG_STATE_HOME: "relative" })).toMatch(/\/\.local\/state\/mailferry$/);
    expect(textOf({}, "report")).toBeUndefined();
  });
});
