// File and folder names: unique, in order, and read back as they were meant.

import { expect, test } from "vitest";
import { compactIndex } from "../../../src/formats/maildir/compact-index.ts";
import { directoryName, pathOfDirectory, substituteName } from "../../../src/formats/maildir/folder-name.ts";
import {
  announcedSize,
  deliveryOrder,
  infoOf,
  parseFileName,
  parseOwn,
  safeHost,
  uniqueName,
} from "../../../src/formats/maildir/names.ts";

test.each([
  ["1.a.host:2,FS", "1.a.host", "FS"],
  ["1.a.host,S=12,W=13:2,", "1.a.host,S=12,W=13", ""],
  ["1.a.host", "1.a.host", ""],
  ["1.a.host:1,x", "1.a.host", ""],
  ["1.a.host:", "1.a.host", ""],
  ["1.a.host;2,RS", "1.a.host", "RS"],
  ["1.a.host!2,", "1.a.host", ""],
  ["1.a.host,S=1,W=2_2,S", "1.a.host,S=1,W=2", "S"],
  ["report_2,final.eml", "report_2,final.eml", ""],
  [":2,S", "", "S"],
])("%s is the message %j with the letters %j", (name, base, letters) => {
  expect(parseFileName(name)).toEqual({ base, letters });
});

test("the letters of a name are sorted, once each", () => {
  expect(infoOf("TaSaFz")).toBe(":2,FSTaz");
});

test("names are never given twice, fit a directory entry, and sort as they were made", () => {
  const about = { rule: "lf", size: 2 ** 40, wireSize: 2 ** 41, zoneMinutes: -840 } as const;
  const names = Array.from({ length: 20_000 }, () => uniqueName(about));
  expect(new Set(names).size).toBe(names.length);
  expect(Math.max(...names.map((name) => name.length))).toBeLessThan(200);
  const orders = names.map(deliveryOrder);
  expect(orders.every((order, i) => i === 0 || order > (orders[i - 1] ?? 0))).toBe(true);
});

test("a name of ours says the zone, the line ends and the process; another program's says nothing", () => {
  const base = uniqueName({ rule: "as-is", size: 3, wireSize: 4, zoneMinutes: 330 });
  expect(parseOwn(base)).toMatchObject({ pid: process.pid, zoneMinutes: 330, rule: "as-is" });
  expect(parseOwn(uniqueName({ rule: "lf", size: 3, wireSize: 4, zoneMinutes: 1e6 }))).not.toHaveProperty(
    "zoneMinutes",
  );
  expect(announcedSize(base)).toBe(3);
  for (const name of ["1.M1P2.host", "1.M1P2Q3.host,S=1", "1.M1P2Q3R12345678x.host", "x"])
    expect(parseOwn(name)).toBeUndefined();
  for (const name of ["1.a,S=,W=1", "1.a,S=-1", "1.aS=3", "1.a,S=12345678901234567"])
    expect(announcedSize(name)).toBeUndefined();
});

test("a host name cannot break a file name", () => {
  expect(safeHost("a/b:c,S=1\n")).toBe("a_b_c_S_1_");
  expect(safeHost("")).toBe("localhost");
  expect(safeHost("x".repeat(300))).toHaveLength(64);
});

const PAIRS: readonly (readonly [readonly string[], string])[] = [
  [["A", "B"], ".A.B"],
  [["A.B"], ".A\\2eB"],
  [["A/B", "C"], ".A\\2fB.C"],
  [["~a", "~", "b~"], ".\\7ea.\\7e.b~"],
  [["back\\slash"], ".back\\5cslash"],
  [["\\2e"], ".\\5c2e"],
  [["Entwürfe", "R&D"], ".Entw&APw-rfe.R&-D"],
  [["..", "."], ".\\2e\\2e.\\2e"],
  [["INBOX", "x"], ".INBOX.x"],
];

test.each(PAIRS)("%j lies in %s, and is read back from it", (path, directory) => {
  expect(directoryName(path)).toBe(directory);
  expect(pathOfDirectory(directory)).toEqual(path);
});

test.each([[[]], [[""]], [["a", ""]], [["a\u0000"]], [["a\nb"]], [["\ud83d"]], [["inbox"]], [["x".repeat(255)]]])(
  "%j cannot be held, and gets a name that can",
  (path) => {
    expect(directoryName(path)).toBeUndefined();
    expect(substituteName(path, 8)).toMatch(/^\.[^./\x00-\x1f]{1,200}-[0-9a-f]{8}$/);
  },
);

test.each([
  [".A..B", ["A..B"]],
  [".&bad", ["&bad"]],
  [".a\\41", ["a\\41"]],
  [".a\\2Eb", ["a.b"]],
])("a directory %s of another program is %j", (directory, path) => {
  expect(pathOfDirectory(directory)).toEqual(path);
});

test("the compact index finds what was put in, the newest last, through every growth", () => {
  const index = compactIndex();
  for (let i = 0; i < 50_000; i++) index.add(`name ${i}`, i);
  for (let i = 0; i < 50_000; i += 7) index.add(`name ${i}`, -i);
  for (let i = 0; i < 50_000; i += 11) index.set(`name ${i}`, 0.5);
  const wrong: number[] = [];
  for (let i = 0; i < 50_000; i++) {
    const expected = i % 7 === 0 ? [i, -i] : [i];
    if (i % 11 === 0) expected[expected.length - 1] = 0.5;
    if (index.find(`name ${i}`).join() !== expected.join()) wrong.push(i);
  }
  expect(wrong).toEqual([]);
  expect(index.find("other")).toEqual([]);
});
