// What Thunderbird deleted and has not compacted away: told, with the option that brings it; in a dry run, a zip and verify too.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
let source: string;
beforeEach(() => {
  desk = new Desk();
  source = desk.path("Inbox");
  const message = (status: string, name: string): string =>
    `From - Thu Jan  4 12:00:00 2024\nX-Mozilla-Status: ${status}\nSubject: ${name}\nMessage-ID: <${name}@example.org>\n\nBody\n\n`;
  writeFileSync(source, message("0001", "kept") + message("0009", "gone") + message("0005", "starred"));
});
afterEach(() => desk[Symbol.dispose]());

const TOLD = /1 message that Thunderbird deleted and has not compacted away: left out, unless --with-expunged is given/;

it("is left out, told and no fault; the option that is named brings it, and verify goes by it", async () => {
  const target = desk.path("archive");
  expect(await desk.run(["backup", source, target, "--dry-run"])).toMatchObject({
    code: 0,
    err: expect.stringMatching(TOLD),
  });
  const first = await desk.run(["backup", source, target]);
  expect(first).toMatchObject({ code: 0, err: expect.stringMatching(TOLD) });
  expect(first.err).toMatch(/ copied +2\b[\s\S]*filtered \(.*\) +1\b[\s\S]*Complete/);
  expect((await desk.run(["verify", source, target])).code).toBe(0);
  expect((await desk.run(["verify", source, target, "--with-expunged"])).code).toBe(6);
  const second = await desk.run(["backup", source, target, "--with-expunged"]);
  expect(second.code).toBe(0);
  expect(second.err).toMatch(/ copied +1\b/);
  for (const err of [second.err, (await desk.run(["verify", source, target, "--with-expunged"])).err]) {
    expect(err).toContain("1 message that Thunderbird deleted and has not compacted away: taken in by --with-expunged");
    expect(err).not.toMatch(TOLD);
  }
  expect((await desk.run(["verify", source, target])).err).toMatch(TOLD);
  expect((await desk.run(["verify", source, target, "--with-expunged"])).code).toBe(0);
  expect((await desk.run(["restore", target, desk.path("again")])).err).toMatch(/ copied +3\b/);
});

it("comes into a zip only where that was asked for, and then is no difference", async () => {
  const zip = desk.path("all.zip");
  expect((await desk.run(["backup", source, zip, "--with-expunged"])).err).toMatch(/ copied +3\b/);
  expect((await desk.run(["backup", source, zip, "--with-expunged"])).code).toBe(0);
  expect((await desk.run(["verify", zip])).code).toBe(0);
});

it("is told as what was asked for in a folder of both kinds, too", async () => {
  const folder = desk.put("both", ["plain"]);
  writeFileSync(desk.path("both/Inbox"), readFileSync(source));
  const store = desk.path("both/Local/cur");
  for (const name of ["cur", "new", "tmp"]) mkdirSync(desk.path(`both/Local/${name}`), { recursive: true });
  writeFileSync(`${store}/1704369600003.eml`, "X-Mozilla-Status: 0009\nX-Mozilla-Status2: 00000000\nSubject: x\n\nx\n");
  for (const kind of ["maildir", "mbox"]) {
    const { err } = await desk.run(["backup", `${kind}:${folder}`, desk.path(kind), "--with-expunged"]);
    expect(err.match(/taken in by --with-expunged/g)).toHaveLength(2);
    expect(err).not.toContain("left out, unless");
  }
});
