// An archive that another account was copied into, and one that is not there: said, with a way out that works.

import { existsSync, mkdirSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

it.each(["maildir", "mboxzip"])(
  "a second account into one %s is told, with -q too, in its first run alone",
  async (kind) => {
    const [anna, ben] = [desk.put("anna", ["a"]), desk.put("ben", ["b"])];
    const target = `${kind}:${desk.path("archive")}`;
    const said = "the archive holds mail of maildir:";
    expect((await desk.run(["backup", anna, target])).err).not.toContain(said);
    expect((await desk.run(["backup", ben, target, "--dry-run"])).err).toContain(said);
    const first = await desk.run(["backup", ben, target, "-q", "--json"]);
    expect(first).toMatchObject({ code: 0, err: expect.stringContaining(`${said}${anna} already`) });
    expect(first.out).toContain('"insist":true');
    for (const source of [anna, ben]) expect((await desk.run(["backup", source, target])).err).not.toContain(said);
  },
);

it("the way out that is named keeps the second account apart", async () => {
  const [anna, ben] = [desk.put("anna", ["a"]), desk.put("ben", ["b"])];
  const target = `maildir:${desk.path("archive")}`;
  await desk.run(["backup", anna, target]);
  expect((await desk.run(["backup", ben, target, "--dry-run"])).err).toContain("--into FOLDER");
  expect((await desk.run(["backup", ben, target, "--into", "Ben"])).code).toBe(0);
  expect(await desk.run(["verify", ben, target, "--into", "Ben", "--both-ways"])).toMatchObject({ code: 0 });
  expect((await desk.run(["folders", target])).out).toMatch(/^Ben\/INBOX +\S* +1 /m);
});

it.each(["maildir:stick", "mboxzip:stick", "mboxzip:stick.zip", "stick"])(
  "--must-exist begins no archive: %s",
  async (place) => {
    const source = desk.put("source", ["a"]);
    const target = place.replace("stick", desk.path("stick"));
    const backup = (...more: string[]) => desk.run(["backup", source, target, ...more]);
    // As a disk leaves it that is not mounted.
    if (!place.endsWith(".zip")) mkdirSync(desk.path("stick"));
    const refused = await backup("--must-exist");
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("run it once without --must-exist") });
    expect(existsSync(desk.path(place.endsWith(".zip") ? "stick.zip" : "stick/mailferry"))).toBe(false);
    expect((await backup()).code).toBe(0);
    expect((await backup("--must-exist")).code).toBe(0);
  },
);
