// Folders are made with their parents; where a parent is there and says that it is not (/proc, mounts on demand), that ends.

import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ensureDirectory } from "../../src/core/files.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mailferry-make-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it("is told whether it was made; parents are private too", async () => {
  const path = join(root, "a", "b", "c");
  expect(await ensureDirectory(path)).toBe(true);
  expect(await ensureDirectory(path)).toBe(false);
  expect(await ensureDirectory(root)).toBe(false);
  for (const name of ["a", "a/b", "a/b/c"]) expect(statSync(join(root, name)).mode & 0o777).toBe(0o700);
  symlinkSync("a", join(root, "link"));
  expect(await ensureDirectory(join(root, "link"))).toBe(false);
  expect(await ensureDirectory(join(root, "link", "d"))).toBe(true);
  expect(existsSync(join(root, "a", "d"))).toBe(true);
});

it("ends where it cannot be made", async () => {
  writeFileSync(join(root, "file"), "");
  symlinkSync("nowhere", join(root, "dangling"));
  for (const name of ["file", "file/a", "dangling", "dangling/a"])
    await expect(ensureDirectory(join(root, name)), name).rejects.toThrow("cannot make the folder");
  await expect(ensureDirectory("/proc/self/mailferry/a")).rejects.toThrow(/^cannot make the folder .*ENOENT/);
});
