// Entry names: safe on every system, and never one for two.

import { describe, expect, it } from "vitest";
import { entryName, entryNames, foldedName, isEntryName } from "../../../src/formats/mboxzip/names.ts";
import type { FolderPath } from "../../../src/mail/model.ts";
import { HOSTILE_NAMES, ODD_NAMES } from "../../conformance/sink-kit.ts";

describe("an entry's name", () => {
  it("is the path where that is safe", () => {
    expect(entryName(["INBOX"])).toBe("INBOX.mbox");
    expect(entryName(["Clients", "A/B"])).toBe("Clients/A%2FB.mbox");
    expect(entryName(["Entwürfe & Ideen"])).toBe("Entwürfe & Ideen.mbox");
    expect(entryName(["Archive", "2019"])).toBe("Archive/2019.mbox");
  });

  it("escapes what some system reads otherwise", () => {
    const cases: readonly (readonly [FolderPath, string])[] = [
      [["100%"], "100%25.mbox"],
      [[".."], "%2E%2E.mbox"],
      [["..", "..", "x"], "%2E%2E/%2E%2E/x.mbox"],
      [[".hidden"], "%2Ehidden.mbox"],
      [["dot."], "dot%2E.mbox"],
      [["blank "], "blank%20.mbox"],
      [["back\\slash"], "back%5Cslash.mbox"],
      [["C:"], "C%3A.mbox"],
      [['a*?"<>|b'], "a%2A%3F%22%3C%3E%7Cb.mbox"],
      [["a\r\n\0\x7fb"], "a%0D%0A%00%7Fb.mbox"],
      [["con"], "%63on.mbox"],
      [["NUL.txt", "x"], "%4EUL.txt/x.mbox"],
      [["COM1"], "%43OM1.mbox"],
      [["console"], "console.mbox"],
      [["x\u202egpj"], "x%E2%80%AEgpj.mbox"],
      [["a.mbox", "b"], "a%2Embox/b.mbox"],
      [["manifest.jsonl", "b"], "%6Danifest.jsonl/b.mbox"],
      [[""], "%.mbox"],
    ];
    for (const [path, name] of cases) expect(entryName(path), JSON.stringify(path)).toBe(name);
  });

  it("is never longer than file systems take", () => {
    for (const path of [
      ["x".repeat(300)],
      ["ü".repeat(200), "%".repeat(200)],
      Array(200).fill("deep"),
      ["😀".repeat(90)],
    ]) {
      const name = entryName(path);
      expect(isEntryName(name), name).toBe(true);
      for (const part of name.split("/")) expect(Buffer.byteLength(part)).toBeLessThanOrEqual(255);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(900);
      expect(Buffer.from(name).toString()).toBe(name);
    }
    expect(entryName(["x".repeat(300)])).not.toBe(entryName(["x".repeat(301)]));
  });

  it("is safe for every odd and hostile path", () => {
    for (const path of [...ODD_NAMES, ...HOSTILE_NAMES])
      expect(isEntryName(entryName(path)), JSON.stringify(path)).toBe(true);
  });

  it("is another one for another path, also where neither case nor Unicode form count", () => {
    const names = entryNames();
    const paths: FolderPath[] = [
      ["Case"],
      ["case"],
      ["CASE"],
      ["caf\u00e9"],
      ["cafe\u0301"],
      ["\ud800"],
      ["\ud801"],
      ["\ufffd"],
      ["a", "b"],
      ["A", "b"],
      ["a/b"],
      ["Straße"],
      ["STRASSE"],
      ["x\u0130"],
      ["xi\u0307"],
      ["Archive.mbox"],
      ["Archive"],
      ["Archive.mbox", "2019"],
    ];
    const claimed = paths.map((path) => names.claim(path));
    expect(new Set(claimed.map(foldedName)).size).toBe(paths.length);
    for (const name of claimed) expect(isEntryName(name), name).toBe(true);
    // And no file stands where another needs a directory.
    for (const name of claimed)
      expect(claimed.some((other) => foldedName(other).startsWith(`${foldedName(name)}/`))).toBe(false);
  });

  it("is told from one that would leave its folder", () => {
    for (const bad of [
      "../x.mbox",
      "/x.mbox",
      "a//b.mbox",
      "a/../b.mbox",
      "x",
      "con.mbox",
      "a\\b.mbox",
      "a\n.mbox",
      ".x.mbox",
    ])
      expect(isEntryName(bad), bad).toBe(false);
  });
});
