// What a comparison says: who a message is, what is no difference, and advice that fits what was found and does what it says.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
let source: string;
let target: string;
beforeEach(async () => {
  desk = new Desk();
  source = desk.put("source", ["a", "b", "c"]);
  target = desk.path("target");
  expect((await backup()).code).toBe(0);
});
afterEach(() => desk[Symbol.dispose]());

const backup = (...more: string[]) => desk.run(["backup", source, target, ...more]);
const verify = (...more: string[]) => desk.run(["verify", source, target, ...more]);
const files = (maildir: string): string[] =>
  readdirSync(join(maildir, "cur"))
    .sort()
    .map((name) => join(maildir, "cur", name));
const first = (maildir: string): string => files(maildir)[0] ?? "";

describe("what was found is followed by advice that fits, and does what it says", () => {
  it("missing mail is named by its headers, with -q too, and comes with --recheck", async () => {
    rmSync(first(target));
    const { code, err } = await verify("-q");
    expect(code).toBe(6);
    expect(err).toMatch(
      /missing: INBOX \S+: not in the target \| From: \w@example\.org \| Subject: about \w \| Date: 2024-01-02T10:00:00Z/,
    );
    expect(err).toMatch(
      /Different: 1 missing\. Copying again brings what is new at the source; with --recheck also what is gone from the target\.\n$/,
    );
    expect((await backup("--recheck")).code).toBe(0);
    expect((await verify()).code).toBe(0);
  });

  it("what is new at the source comes with the same command", async () => {
    desk.put("source", ["d"]);
    const { code, err } = await verify();
    expect(code).toBe(6);
    expect(err).toContain("1 missing. Copying again brings what is new at the source; with");
    expect((await backup()).code).toBe(0);
    expect((await verify()).code).toBe(0);
  });

  it("flags come with --recheck", async () => {
    renameSync(first(target), first(target).replace(/S$/, ""));
    const { code, err } = await verify();
    expect(code).toBe(6);
    expect(err).toMatch(
      /Different: 1 changed\. Copying again with --recheck brings flags and keywords up to date\.\n$/,
    );
    expect((await backup("--recheck")).code).toBe(0);
    expect((await verify()).code).toBe(0);
  });

  it("a date stays as it is, and no more is promised", async () => {
    utimesSync(first(source), 1_600_000_000, 1_600_000_000);
    const { code, err } = await verify();
    expect(code).toBe(6);
    expect(err).toMatch(/Different: 1 changed\. A date stays as it is: no second copy is made for it\.\n$/);
  });

  it("what only the target has is left alone", async () => {
    rmSync(first(source));
    const { code, err } = await verify("--both-ways");
    expect(code).toBe(6);
    expect(err).toMatch(/Different: 1 extra\. What only the target has is left alone\.\n$/);
    expect(err).toContain("extra: INBOX: 1 message that the source does not have");
  });
});

describe("a zip file is written once:", () => {
  const to = (archive: string) => desk.run(["backup", source, archive]);
  const check = (...where: string[]) => desk.run(["verify", ...where]);

  it("what it does not have, or has otherwise, goes to another name, or to a folder of zips", async () => {
    const zip = desk.path("one.zip");
    expect((await to(zip)).code).toBe(0);
    const moved = first(source);
    renameSync(moved, moved.replace(/S$/, ""));
    const otherwise = await check(source, zip);
    expect(otherwise.code).toBe(6);
    expect(otherwise.err).toMatch(
      /1 changed\. A zip file is written once: a backup to another name, or to mboxzip:DIR, has flags and keywords up to date\.\n$/,
    );
    desk.put("source", ["d"]);
    const { code, err } = await check(source, zip);
    expect(code).toBe(6);
    expect(err).toMatch(
      /A zip file is written once: a backup to another name, or to mboxzip:DIR, has what is missing, and flags and keywords up to date\.\n$/,
    );
    expect(err).not.toContain("--recheck");
    for (const other of [desk.path("two.zip"), `mboxzip:${desk.path("zips")}`]) {
      expect((await to(other)).code).toBe(0);
      expect((await check(source, other)).code).toBe(0);
    }
  });

  it("a damaged one is restored as far as it is whole, and one that cannot be read is not promised to be", async () => {
    const zip = desk.path("one.zip");
    desk.put("source", ["e"], "Clients");
    expect((await to(zip)).code).toBe(0);
    const octets = readFileSync(zip);
    const bad = Buffer.from(octets);
    // Within what is packed behind the name.
    const at = octets.indexOf("Clients.mbox") + "Clients.mbox".length + 30;
    bad[at] = (bad[at] ?? 0) ^ 255;
    writeFileSync(zip, bad);
    const damaged = await check(zip);
    expect(damaged.code).toBe(6);
    expect(damaged.err).toMatch(
      /Restore takes what is whole\. A zip file is written once: a backup to another name, or to mboxzip:DIR, has all that the source still has\.\n$/,
    );
    const back = desk.path("back");
    expect((await desk.run(["restore", zip, back])).code).toBe(3);
    expect(files(back)).toHaveLength(3);
    writeFileSync(zip, octets.subarray(0, octets.length - 60));
    const cut = await check(zip);
    expect(cut.code).toBe(6);
    expect(cut.err).toMatch(/0 messages were read\. A zip file is written once: a backup to another name/);
    expect((await desk.run(["restore", zip, desk.path("none")])).code).toBe(2);
    expect((await to(desk.path("two.zip"))).code).toBe(0);
    expect((await check(source, desk.path("two.zip"))).code).toBe(0);
  });
});

describe("is no difference:", () => {
  it("the empty inbox that every archive has", async () => {
    writeFileSync(desk.path("box"), "From a@x Tue Jan  2 10:00:00 2024\nSubject: a\n\nbody\n\n");
    const [from, to] = [desk.path("box"), desk.path("to")];
    expect(await desk.run(["backup", from, to])).toMatchObject({ code: 0 });
    expect(await desk.run(["verify", from, to, "--both-ways"])).toMatchObject({ code: 0 });
    desk.put("to", ["x"]);
    expect(await desk.run(["verify", from, to, "--both-ways"])).toMatchObject({ code: 6 });
  });

  const folder = (maildir: string, name: string): void => {
    for (const place of ["cur", "new", "tmp"]) mkdirSync(join(maildir, name, place), { recursive: true });
  };

  it.each([[[]], [["--both-ways"]]])("an empty folder that only leads to others (%s)", async (more) => {
    const [from, to] = [desk.put("from", ["x"], "Clients.Old"), desk.put("to", ["x"], "Clients.Old")];
    folder(from, ".Clients");
    expect(await desk.run(["verify", from, to, ...more])).toMatchObject({ code: 0 });
    expect(await desk.run(["verify", to, from, ...more])).toMatchObject({ code: 0 });
    folder(from, ".Lonely");
    expect(await desk.run(["verify", from, to])).toMatchObject({ code: 6 });
    desk.put("from", ["y"], "Clients");
    expect(await desk.run(["verify", from, to])).toMatchObject({
      code: 6,
      err: expect.stringContaining("no folder Clients"),
    });
  });
});

it("altered mail without a Message-ID is told as that, also where its server gave it one", async () => {
  const message = "Subject: no id\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\nbody\n";
  const [from, to] = [desk.put("from", []), desk.put("to", [])];
  for (const [at, text] of [
    [from, message],
    [to, `Message-ID: <made@server>\n${message}`],
  ] as const) {
    const path = join(at, "cur", "1704189600.x.y:2,S");
    writeFileSync(path, text);
    utimesSync(path, 1_704_189_600, 1_704_189_600);
  }
  const { code, err } = await desk.run(["verify", from, to]);
  expect(code).toBe(6);
  expect(err).toMatch(/^altered: INBOX .*Subject: no id/m);
  expect(err).toContain("1 changed (all altered by the target's server)");
});
