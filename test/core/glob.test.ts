// Folder globs mean what a user expects of them.

import { expect, it } from "vitest";
import { folderMatcher, mayMatchBelow } from "../../src/core/glob.ts";

const cases: readonly [glob: string, path: readonly string[], matches: boolean][] = [
  ["INBOX", ["INBOX"], true],
  ["inbox", ["INBOX"], true],
  ["Work", ["work"], false],
  ["Work", ["Work", "2024"], false],
  ["Work/*", ["Work", "2024"], true],
  ["Work/*", ["Work"], false],
  ["Work/*", ["Work", "2024", "Q1"], false],
  ["Work/**", ["Work", "2024", "Q1"], true],
  ["Work/**", ["Work"], true],
  ["**/Q1", ["Work", "2024", "Q1"], true],
  ["**", ["anything", "at all"], true],
  ["20?4", ["2024"], true],
  ["20?4", ["20244"], false],
  ["A.B", ["AxB"], false],
  ["a(b", ["a(b"], true],
  ["x\\/y", ["x/y"], true],
  ["x/y", ["x/y"], false],
  ["100 \\*", ["100 *"], true],
  ["100 \\*", ["100 x"], false],
  ["Entw*", ["Entwürfe"], true],
  ["日?語", ["日本語"], true],
];

it.each(cases)("%s on %j: %s", (glob, path, matches) => {
  expect(folderMatcher([glob])(path)).toBe(matches);
});

it("any of several globs is enough, and none matches nothing", () => {
  expect(folderMatcher(["A", "B"])(["B"])).toBe(true);
  expect(folderMatcher([])(["B"])).toBe(false);
});

it.each([
  ["a/b", ["a"], true],
  ["a/b", ["b"], false],
  ["a/b", ["a", "b"], false],
  ["a/b", [], true],
  ["**/x", ["a", "b"], true],
  ["a/**", ["a", "b", "c"], true],
  ["inbox/x", ["INBOX"], true],
  ["a", ["a"], false],
])("%s may match something below %s: %s", (glob, path, may) => {
  expect(mayMatchBelow([glob])(path)).toBe(may);
});
