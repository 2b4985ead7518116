// Folder paths written for people and read back.

import { describe, expect, it } from "vitest";
import { parsePath, samePath, showPath } from "../../src/mail/model.ts";
import { random } from "../migrate/journal-kit.ts";

describe("a path", () => {
  it("is read back as it was written, whatever is in its names", () => {
    const pick = random(9);
    const letters = ["/", "\\", "a", ".", " ", "日", "\n", "*", "~"];
    for (let round = 0; round < 3000; round++) {
      const path = Array.from({ length: 1 + Math.floor(pick() * 4) }, () =>
        Array.from({ length: 1 + Math.floor(pick() * 5) }, () => letters[Math.floor(pick() * letters.length)]).join(""),
      );
      expect(parsePath(showPath(path))).toEqual(path);
    }
  });

  it("reads slashes at the ends and in a row as one", () => {
    expect(parsePath("/a//b/")).toEqual(["a", "b"]);
    expect(parsePath("")).toEqual([]);
    expect(parsePath("a\\")).toEqual(["a\\"]);
    expect(parsePath("a\\/b/c\\\\d")).toEqual(["a/b", "c\\d"]);
  });

  it("is written differently for different paths", () => {
    const paths = [["a/b"], ["a", "b"], ["a\\", "b"], ["a\\/b"], ["a\\b"], ["ab"]];
    expect(new Set(paths.map(showPath)).size).toBe(paths.length);
  });

  it("is the same as another with the same names alone", () => {
    expect(samePath(["a", "b"], ["a", "b"])).toBe(true);
    for (const other of [["a"], ["a", "b", "c"], ["a", "B"], ["a/b"], []])
      expect(samePath(["a", "b"], other)).toBe(false);
    expect(samePath([], [])).toBe(true);
  });
});
