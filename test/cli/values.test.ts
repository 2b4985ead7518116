import { describe, expect, it } from "vitest";
import {
  parseCount,
  parseDate,
  parseDuration,
  parseSize,
  showBytes,
  showCount,
  showSeconds,
} from "../../src/cli/values.ts";

describe("sizes", () => {
  it.each([
    ["1", 1],
    ["500k", 500_000],
    ["25M", 25_000_000],
    ["25mb", 25_000_000],
    ["1.5G", 1_500_000_000],
    ["1KiB", 1024],
    ["2 MiB", 2_097_152],
    ["3gi", 3_221_225_472],
  ])("%s is %d octets", (text, octets) => expect(parseSize(text, "--max-size")).toBe(octets));

  it.each(["", "0", "-1", "M", "25X", "1,5M", "1e3", "99999999999T", "25M M", "0x10", "½M"])("%j is none", (text) => {
    expect(() => parseSize(text, "--max-size")).toThrow(/--max-size/);
  });
});

describe("durations", () => {
  it.each([
    ["14d", 1_209_600],
    ["2w", 1_209_600],
    ["36H", 129_600],
    ["0d", 0],
  ])("%s is %d seconds", (text, seconds) => expect(parseDuration(text, "--leave-for")).toBe(seconds));

  it.each(["14", "d", "-1d", "1.5d", "14 days", "1000000000d"])("%j is none", (text) => {
    expect(() => parseDuration(text, "--leave-for")).toThrow(/--leave-for/);
  });
});

describe("dates", () => {
  it.each([
    ["2024-01-31", "2024-01-31T00:00:00Z"],
    ["2024-02-29", "2024-02-29T00:00:00Z"],
    ["2024-01-31T12:30Z", "2024-01-31T12:30:00Z"],
    ["2024-01-31 12:30:15+02:00", "2024-01-31T10:30:15Z"],
    ["2024-01-01T00:00-0530", "2024-01-01T05:30:00Z"],
    ["1969-12-31", "1969-12-31T00:00:00Z"],
  ])("%s is %s", (text, instant) => expect(parseDate(text, "--since") * 1000).toBe(Date.parse(instant)));

  it.each(["", "2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "31.01.2024", "2024-01-31T24:00", "yesterday"])(
    "%j is none",
    (text) => expect(() => parseDate(text, "--since")).toThrow(/--since/),
  );
});

describe("counts", () => {
  it("hold their bounds", () => {
    expect(parseCount("64", "--connections", 64)).toBe(64);
    for (const text of ["0", "65", "1.5", "-1", "x", ""])
      expect(() => parseCount(text, "--connections", 64)).toThrow(/--connections/);
  });

  it("are shown the same everywhere", () => {
    expect([0, 999, 1000, 1_234_567].map(showCount)).toEqual(["0", "999", "1,000", "1,234,567"]);
    expect([0, 999, 1000, 45_300_000, 999_950, 123_456_789_012, 5e15].map(showBytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "45.3 MB",
      "1.0 MB",
      "123 GB",
      "5000 TB",
    ]);
    expect([0.41, 12.4, 59.6, 185, 7620].map(showSeconds)).toEqual([
      "0.4 s",
      "12 s",
      "1 min 00 s",
      "3 min 05 s",
      "2 h 07 min",
    ]);
  });
});
