import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ioError } from "../../src/core/errors.ts";
import { standing } from "../../src/core/standing.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mailferry-standing-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it("tells what is no longer there, and goes on telling it", () => {
  const path = join(root, "a");
  mkdirSync(path);
  const stands = standing([{ path, what: "the archive" }]);
  expect(stands.gone()).toBeUndefined();
  rmSync(path, { recursive: true });
  expect(stands.gone()).toMatchObject({ code: "io", message: `the archive ${path} is no longer there` });
  mkdirSync(path);
  expect(stands.gone()).toBeDefined();
});

it("knows another disk in its place", () => {
  const path = join(root, "mounted");
  symlinkSync("/proc", path);
  const stands = standing([{ path, what: "the source" }]);
  rmSync(path);
  symlinkSync(root, path);
  expect(stands.gone()?.message).toContain("no longer there");
});

it("asks for nothing that was never there, and for what was made meanwhile from then on", () => {
  const path = join(root, "new");
  const stands = standing([{ path, what: "the archive" }]);
  expect(stands.gone()).toBeUndefined();
  mkdirSync(path);
  stands.look();
  rmSync(path, { recursive: true });
  expect(stands.gone()).toBeDefined();
});

it("a read-only disk is told as that, and not as a matter of permissions", () => {
  const error = ioError("cannot write x", Object.assign(new Error("EROFS: read-only file system"), { code: "EROFS" }));
  expect(error).toMatchObject({ code: "config", message: "cannot write x: its disk is read-only (EROFS)" });
  expect(error.details.hint).toBe("Take off its write protection, or mount it for writing; or choose another place.");
});
