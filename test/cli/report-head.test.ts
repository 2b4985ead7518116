// --report: what command it is of, and that it is there whatever ended it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { version } from "../../src/core/version.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

const SECRET = "hunter2-very-secret";
async function reportOf(args: readonly string[], password = SECRET): Promise<Record<string, unknown>> {
  const path = desk.path("report.json");
  await desk.run([...args, "--report", path], { MAILFERRY_SOURCE_PASSWORD: password });
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}

it("says when, by which version, from where to where, and with which options", async () => {
  const source = desk.put("source", ["a"]);
  const report = await reportOf(["backup", source, `maildir:${desk.path("t")}`, "--folder", "INBOX", "-q"]);
  expect(report).toMatchObject({
    version: version(),
    verb: "backup",
    source: `maildir:${source}`,
    target: `maildir:${desk.path("t")}`,
    options: { folder: "INBOX", quiet: true, report: desk.path("report.json") },
    exitCode: 0,
  });
  for (const key of ["startedAt", "endedAt"]) expect(Date.parse(String(report[key]))).toBeGreaterThan(0);
  expect(await reportOf(["restore", source, `maildir:${desk.path("t2")}`])).toMatchObject({
    verb: "restore",
    source: `maildir:${source}`,
  });
});

it.each([
  ["nobody is there", ["backup", "imap://me@127.0.0.1:1?tls=none", "t"], 5],
  ["the places are one", ["backup", "maildir:same", "maildir:same"], 2],
  ["a glob names nothing", ["backup", "SOURCE", "maildir:t", "--folder", "None"], 2],
  ["an option makes no sense", ["backup", "SOURCE", "maildir:t", "--since", "tomorrow"], 2],
  ["nothing is at the place", ["verify", "nothing-here"], 2],
  ["the wrong verb", ["folders", "nothing-here"], 2],
] as const)("is written when a command is refused before it begins: %s", async (_, args, exitCode) => {
  const source = desk.put("source", ["a"]);
  const report = await reportOf(args.map((arg) => (arg === "SOURCE" ? source : arg)));
  expect(report).toMatchObject({ verb: args[0], exitCode, error: { message: expect.any(String) }, events: [] });
});

it("is written when the command line cannot be read, over nothing but an older report", async () => {
  const [report, mail] = [desk.path("report"), desk.path("Inbox")];
  for (const more of [["--report", report], [`--report=${report}`]]) {
    for (const words of [
      ["backup", "a", "b", "--foldr", "x"],
      ["bakup", "a", "b"],
    ]) {
      expect((await desk.run([...words, ...more])).code).toBe(2);
      const written = JSON.parse(readFileSync(report, "utf8"));
      expect(written).toMatchObject({ exitCode: 2, events: [], error: { code: "config", hint: expect.any(String) } });
      expect(written.startedAt).toEqual(expect.any(String));
    }
  }
  writeFileSync(mail, "From a@x\n");
  expect((await desk.run(["verify", "--report", mail])).code).toBe(2);
  expect(readFileSync(mail, "utf8")).toBe("From a@x\n");
});

it("has no secret in it, and a place that may hold one is left out", async () => {
  const text = JSON.stringify([
    await reportOf(["backup", `imaps://me:${SECRET}@example.org`, "t"]),
    await reportOf(["folders", "imap://me@127.0.0.1:1?tls=none", "--source-password-command", `echo ${SECRET}`]),
  ]);
  expect(text).not.toContain(SECRET);
  expect(text).toContain("imap://me@127.0.0.1:1");
});

it("that was written is not written again by the error that ended the run", async () => {
  expect(await reportOf(["backup", desk.put("source", ["a"]), "/sys/none"])).toMatchObject({ exitCode: 2 });
  expect(existsSync(desk.path("report.json"))).toBe(true);
});
