import { describe, expect, it } from "vitest";
import { cut, plain, shellQuote, table, width } from "../../src/cli/text.ts";

describe("text from outside", () => {
  it.each([
    ["\u001b[2J\u001b]0;owned\u0007", "\\u001b[2J\\u001b]0;owned\\u0007"],
    ["a\r\nb\tc\0", "a\\u000d\\u000ab\\u0009c\\u0000"],
    ["\u009b31m", "\\u009b31m"],
    ["invoice\u202efdp.exe", "invoice\\u202efdp.exe"],
    ["\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"],
    ["a\u2028b", "a\\u2028b"],
    ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
    ["\u{e0041}", "\\u{e0041}"],
    ["\ud800", "\\ud800"],
  ])("cannot drive a terminal or mislead: %j", (text, shown) => expect(plain(text)).toBe(shown));

  it.each(["Gelöscht/Été", "日本語", "😀 family 👨‍👩‍👧", "عربي", "a & b [1]"])(
    "stays as it is where it is harmless: %s",
    (text) => expect(plain(text)).toBe(text),
  );

  it("is cut by columns, never inside a character", () => {
    expect(cut("abcdef", 6)).toBe("abcdef");
    expect(cut("abcdefg", 6)).toBe("abcde…");
    expect(cut("日本語", 5)).toBe("日本…");
    expect(cut("日本語", 4)).toBe("日…");
    expect(cut("e\u0301e\u0301e\u0301", 2)).toBe("e\u0301…");
    expect(width(cut("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 5))).toBeLessThanOrEqual(5);
    expect(cut("\u001b\u001b", 5)).toBe("\\u00…");
    expect(cut("x".repeat(10_000_000), 5)).toBe("xxxx…");
    expect(cut("x", 0)).toBe("");
  });

  it("stands in aligned columns", () => {
    expect(
      table(
        [
          ["日本", "1"],
          ["abcde", "1,000"],
        ],
        new Set([1]),
      ),
    ).toEqual(["日本       1", "abcde  1,000"]);
  });

  it("is quoted for a shell", () => {
    expect(shellQuote("imaps://me@example.org@host")).toBe("imaps://me@example.org@host");
    expect(shellQuote("a b'c")).toBe("'a b'\\''c'");
    expect(shellQuote("$(reboot)")).toBe("'$(reboot)'");
    expect(shellQuote("")).toBe("''");
  });
});
