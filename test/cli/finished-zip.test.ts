// A FILE.zip is written once: the same command again compares it, names what it does not hold, and says how to have it.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { advised, Desk } from "../kit/cli.ts";

let desk: Desk;
let source: string;
let zip: string;
/** They name the job that the zip is of. */
const given = ["--skip-deleted"];
beforeEach(async () => {
  desk = new Desk();
  source = desk.put("source", ["a", "b"]);
  zip = desk.path("mail of 2024.zip");
  expect((await backup()).code).toBe(0);
});
afterEach(() => desk[Symbol.dispose]());

const backup = (...more: string[]) => desk.run(["backup", source, zip, ...given, ...more]);

it("that holds all of the source is complete, also by its bytes alone", async () => {
  expect(await backup()).toMatchObject({ code: 0, err: expect.stringMatching(/already copied +2\b[\s\S]*Complete/) });
});

describe("that lacks new mail", () => {
  beforeEach(() => {
    desk.put("source", ["late"]);
    desk.put("source", ["elsewhere"], "Sub");
  });

  it.each([[["-q"]], [[]], [["--dry-run"]]])("names it, with %s, and exits with 3", async (more) => {
    const { code, err } = await backup(...more);
    expect(code).toBe(3);
    expect(err).toContain("Subject: about late");
    expect(err).toContain("Subject: about elsewhere");
    expect(err).not.toMatch(/Complete/);
    expect(err).toContain("2 messages of the source are not in");
  });

  it("says how to have it, with the options that were given, and that is so", async () => {
    const command = advised((await backup()).err, "backup");
    expect(command.at(-1)).toBe("--skip-deleted");
    expect(await desk.run(command)).toMatchObject({
      code: 0,
      err: expect.stringMatching(/copied +4\b[\s\S]*Complete/),
    });
    desk.put("source", ["later"]);
    expect(await desk.run(command)).toMatchObject({
      code: 0,
      err: expect.stringMatching(/ copied +1\b[\s\S]*Complete/),
    });
  });

  it("does not advise a folder that is there already", async () => {
    desk.put("mail of 2024", ["x"]);
    expect(await desk.run(advised((await backup()).err, "backup"))).toMatchObject({ code: 0 });
  });
});
