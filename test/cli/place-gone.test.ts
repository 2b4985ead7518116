// What lies on a disk goes away while it is read or written: said by its name, with the way out, and never taken for mail that was deleted.

import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { program } from "../../src/cli/program.ts";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});
afterEach(() => desk[Symbol.dispose]());

/** Runs it as JSON; `away` goes at the first line that has this word. */
async function without(
  away: string,
  word: string,
  args: readonly string[],
): Promise<{ code: number; err: string; out: string }> {
  let out = "";
  let err = "";
  const take = (text: unknown): boolean => {
    out += String(text);
    if (out.includes(word) && !existsSync(`${away}-away`)) renameSync(away, `${away}-away`);
    return true;
  };
  const tell = (text: unknown): boolean => {
    err += String(text);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(take),
    vi.spyOn(process.stderr, "write").mockImplementation(tell),
  ];
  try {
    const code = await program([...args, "--json"], { PATH: process.env.PATH, XDG_STATE_HOME: desk.path("state") });
    return { code, err, out };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const NAMES = Array.from({ length: 60 }, (_, i) => `m${i}`);

describe("a folder that is renamed, or a disk that is pulled, while it is used", () => {
  it.each(["maildir", "mboxzip"])(
    "is the archive, named, with exit code 5; brought back, the run goes on (%s)",
    async (kind) => {
      const source = desk.put("source", NAMES);
      const target = desk.path("archive");
      const args = ["backup", source, `${kind}:${target}`];
      const { code, err, out } = await without(target, '"folder-opened"', args);
      expect(err).toContain(
        `mailferry: the archive ${target} is no longer there. Bring the disk or the folder back and run the same command again; it goes on where it stopped.\n`,
      );
      expect(err).not.toContain("ENOENT");
      expect(code).toBe(5);
      expect(out).toMatch(/"outcome":"stopped".*is no longer there/);
      // Nothing was begun in its place, where it would be in its way.
      expect(existsSync(target)).toBe(false);
      renameSync(`${target}-away`, target);
      // The locks of a process that has ended are taken over; this one lives on.
      for (const name of ["lock", "writer.lock"]) rmSync(join(target, "mailferry", name), { force: true });
      expect(await desk.run(args)).toMatchObject({ code: 0 });
      expect(await desk.run(["verify", source, target])).toMatchObject({ code: 0 });
    },
  );

  it("is the source, and its messages are not taken for deleted ones", async () => {
    const source = desk.put("source", NAMES);
    const { code, err, out } = await without(source, '"folder-opened"', ["backup", source, desk.path("archive")]);
    expect(err).toContain(`mailferry: the source ${source} is no longer there.`);
    expect(code).toBe(5);
    expect(out).toContain('"vanished":0');
    expect(out).not.toContain('"as":"vanished"');
  });

  it("is an archive that is compared, and no difference", async () => {
    const source = desk.put("source", NAMES);
    desk.put("source", NAMES, "B");
    const archive = desk.path("archive");
    expect(await desk.run(["backup", source, archive])).toMatchObject({ code: 0 });
    const { code, err } = await without(archive, '"verify-folder"', ["verify", source, archive]);
    expect(err).toContain(`mailferry: the archive ${archive} is no longer there.`);
    expect(code).toBe(5);
  });

  it("is an archive that is restored", async () => {
    const source = desk.put("source", NAMES);
    const archive = desk.path("archive");
    expect(await desk.run(["backup", source, archive])).toMatchObject({ code: 0 });
    const { code, err } = await without(archive, '"folder-opened"', [
      "restore",
      archive,
      `maildir:${desk.path("new")}`,
    ]);
    expect(err).toContain(`mailferry: the archive ${archive} is no longer there.`);
    expect(code).toBe(5);
  });

  it("is nothing of it where only a folder within goes", async () => {
    const source = desk.put("source", ["a"]);
    desk.put("source", NAMES, "B");
    const { err } = await without(`${source}/.B`, '"folder-opened"', ["backup", source, desk.path("archive")]);
    expect(err).not.toContain("no longer there");
  });
});
