// Files that survive a power cut: private, whole or not at all, nothing left behind.

import fs from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errno } from "../../src/core/errors.ts";
import { appendToFile, ensureDirectory, replaceFile, syncDirectory } from "../../src/core/files.ts";

let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "mailferry-files-"));
});
afterEach(() => rm(place, { recursive: true, force: true }));

describe("a replaced file", () => {
  it("is private, whole, and leaves nothing beside it", async () => {
    const path = join(place, "state");
    await replaceFile(path, "one");
    await replaceFile(path, Buffer.from([0, 255, 10]));
    expect(await readFile(path)).toEqual(Buffer.from([0, 255, 10]));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(place)).toEqual(["state"]);
  });

  it("may come in pieces", async () => {
    const path = join(place, "state");
    await replaceFile(path, [Buffer.from("one "), Buffer.from(""), Buffer.from("two "), Buffer.from("three")]);
    expect(await readFile(path, "utf8")).toBe("one two three");
  });

  it("is private also where a readable one stood", async () => {
    const path = join(place, "state");
    await writeFile(path, "old");
    await chmod(path, 0o644);
    await replaceFile(path, "new");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("leaves the old one, and no temporary one, when it cannot be put in its place", async () => {
    const path = join(place, "taken");
    await mkdir(join(path, "full"), { recursive: true });
    await expect(replaceFile(path, "new")).rejects.toThrow();
    expect(await readdir(place)).toEqual(["taken"]);
  });

  it("fails in a directory that is not there, and makes none", async () => {
    await expect(replaceFile(join(place, "none", "state"), "x")).rejects.toMatchObject({
      code: "io",
      cause: { code: "ENOENT" },
    });
    expect(await readdir(place)).toEqual([]);
  });

  it("replaces a link, never what it points to", async () => {
    const outside = join(place, "outside");
    await writeFile(outside, "precious");
    await symlink(outside, join(place, "link"));
    await replaceFile(join(place, "link"), "new");
    expect(await readFile(outside, "utf8")).toBe("precious");
    expect(await readFile(join(place, "link"), "utf8")).toBe("new");
  });

  it("is one of the whole ones when many write at once", async () => {
    const path = join(place, "state");
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(10_000));
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    expect(texts).toContain(await readFile(path, "utf8"));
    expect(await readdir(place)).toEqual(["state"]);
  });
});

describe("a directory", () => {
  it("is made with its parents, for its owner alone, and once", async () => {
    const path = join(place, "a", "b");
    expect(await ensureDirectory(path)).toBe(true);
    expect(await ensureDirectory(path)).toBe(false);
    for (const made of [path, join(place, "a")]) expect((await stat(made)).mode & 0o777).toBe(0o700);
    await syncDirectory(path);
  });

  it("that cannot be made is its user's to mend, and no bug", async () => {
    await writeFile(join(place, "file"), "");
    for (const refused of [
      ensureDirectory(join(place, "file", "below")),
      syncDirectory(join(place, "file", "below")),
    ]) {
      const error = await refused.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "MailError", code: "config", message: expect.stringContaining(place) });
      expect(errno(error)).toBe("ENOTDIR");
    }
  });

  it("keeps the mode that its user gave it", async () => {
    const path = join(place, "mine");
    await mkdir(path, { mode: 0o750 });
    await ensureDirectory(path);
    expect((await stat(path)).mode & 0o777).toBe(0o750);
  });
});

describe("a line that is added", () => {
  it("makes the file where there is none, private, and stands behind what was there", async () => {
    const path = join(place, "lines");
    await appendToFile(path, "one\n");
    await appendToFile(path, "zwei ü\n");
    expect(await readFile(path, "utf8")).toBe("one\nzwei ü\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(appendToFile(join(place, "none", "lines"), "x")).rejects.toMatchObject({ code: "ENOENT" });
  });
});

it("a disk that takes its time is left to the thread pool, with the same result", async () => {
  const { fsyncSync } = fs;
  let atOnce = 0;
  fs.fsyncSync = (fd) => {
    atOnce++;
    for (const until = performance.now() + 5; performance.now() < until; );
    fsyncSync(fd);
  };
  syncBuiltinESMExports();
  try {
    // It may have been found slow before, and is then tried again after some calls.
    for (let call = 0; atOnce === 0 && call < 200; call++) await syncDirectory(place);
    expect(atOnce).toBe(1);
    await replaceFile(join(place, "state"), "whole");
    await appendToFile(join(place, "lines"), "one\n");
    await appendToFile(join(place, "lines"), "two\n");
    await syncDirectory(place);
    expect(atOnce).toBe(1);
  } finally {
    fs.fsyncSync = fsyncSync;
    syncBuiltinESMExports();
  }
  expect(await readFile(join(place, "state"), "utf8")).toBe("whole");
  expect(await readFile(join(place, "lines"), "utf8")).toBe("one\ntwo\n");
  expect((await readdir(place)).sort()).toEqual(["lines", "state"]);
});
