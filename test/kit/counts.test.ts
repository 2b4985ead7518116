// What is compared is counted: missing and surplus messages, each as often as it is.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { COUNTS_FILE, count, countCompared } from "./counts.ts";

let directory: string;
const before = process.env[COUNTS_FILE];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mailferry-counts-"));
  process.env[COUNTS_FILE] = join(directory, "counts");
});
afterEach(() => {
  process.env[COUNTS_FILE] = before;
  rmSync(directory, { recursive: true });
});

const lines = () => readFileSync(join(directory, "counts"), "utf8").trimEnd().split("\n");

it("twins count as often as they are", () => {
  countCompared(["a", "a", "b"], ["a", "c", "b", "b"]);
  expect(lines()).toEqual(['["messages compared",3]', '["duplicated",2]', '["lost",1]']);
});

it("nothing is written for nothing", () => {
  count("cuts", 2);
  count("lost", 0);
  expect(lines()).toEqual(['["cuts",2]']);
});
