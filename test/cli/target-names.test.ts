// A target that is called like a file of a kind that is not written is refused, with the ways that there are; a folder is taken.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseEndpoint } from "../../src/endpoints.ts";
import { advisedWord, Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

it.each([
  "out.mbox",
  "file.txt",
  "archive.tar",
  "out.mbox.gz",
  "MAIL.TAR.GZ",
  "mail 2024.tgz",
  "a.pst",
  "x.mbx",
  "all.eml",
  ".mbox",
])("%s is refused, nothing is made, and both ways out are what they say", async (name) => {
  const source = desk.put("source", ["a"]);
  const path = desk.path(name);
  const { code, err } = await desk.run(["backup", source, path]);
  expect(code).toBe(2);
  expect(err).toContain("looks like a file");
  expect(existsSync(path)).toBe(false);
  const zip = advisedWord(err, "mboxzip:");
  const folder = advisedWord(err, "maildir:");
  expect(zip).toMatch(/\.zip$/);
  if (name === "out.mbox.gz") expect(zip).toBe(`mboxzip:${desk.path("out.zip")}`);
  expect(folder).toBe(`maildir:${path}`);
  for (const target of [zip, folder]) expect(await desk.run(["backup", source, target])).toMatchObject({ code: 0 });
  // It is there now, and a Maildir.
  expect(await desk.run(["backup", source, path])).toMatchObject({ code: 0 });
});

describe("taken as ever", () => {
  it.each(["backup", "backup.2024", "example.org", "me.old", "mail.d", "out.mbox/", "mbox", "txt"])("%s", (name) => {
    expect(parseEndpoint(desk.path(name), "target").kind).toBe("maildir");
  });

  it("a zip, and an empty folder of such a name", () => {
    mkdirSync(desk.path("empty.mbox"));
    expect(parseEndpoint(desk.path("empty.mbox"), "target").kind).toBe("maildir");
    expect(parseEndpoint(desk.path("new.zip"), "target").kind).toBe("mboxzip");
  });

  it("a Maildir of another program's", () => {
    for (const name of ["cur", "new", "tmp"]) mkdirSync(join(desk.path("their.mbox"), name), { recursive: true });
    expect(parseEndpoint(desk.path("their.mbox"), "target").kind).toBe("maildir");
  });

  it("an archive that grows by zips, and a source of such a name", () => {
    mkdirSync(desk.path("zips.tar"));
    writeFileSync(join(desk.path("zips.tar"), "0001-20240101T000000Z.zip"), "");
    expect(parseEndpoint(desk.path("zips.tar"), "target").kind).toBe("mboxzip");
    writeFileSync(desk.path("in.mbox"), "");
    expect(parseEndpoint(desk.path("in.mbox"), "source").kind).toBe("mbox");
  });
});

it("a name that is nothing but its kind has a way out too", () => {
  expect(() => parseEndpoint(".mbox", "target")).toThrow(
    expect.objectContaining({
      details: expect.objectContaining({ hint: expect.stringContaining("mboxzip:mail.zip ") }),
    }),
  );
});

it("a folder of such a name with other things in it is refused too", () => {
  mkdirSync(desk.path("Apple.mbox"));
  writeFileSync(join(desk.path("Apple.mbox"), "mbox"), "From a@b Tue Jan  2 10:00:00 2024\n\n");
  expect(() => parseEndpoint(desk.path("Apple.mbox"), "target")).toThrow("mbox files are only read");
});
