// Whether a copy may be less than its original, by what its server's sizes are worth.

import { expect, it } from "vitest";
import type { DoneRecord, FolderLedger } from "../../src/migrate/ledger.ts";
import { Shortage } from "../../src/migrate/short.ts";

type Size = readonly [announced: number, size: number];

async function shortageOf(...sizes: readonly Size[]): Promise<(size: Size, lines?: number) => boolean> {
  const ledger = {
    async *sizes() {
      for (const [announced, size] of sizes) yield { announced, size };
    },
  } as unknown as FolderLedger;
  const shortage = await Shortage.of(ledger, ["INBOX"]);
  return ([announced, size], lines = 10) => shortage.isShort({ announced, size } as DoneRecord, lines);
}

it("what line ends and a header field explain is not short", async () => {
  const isShort = await shortageOf([1001, 1001], [2002, 2002], [3003, 3003]);
  expect(isShort([1140, 1000])).toBe(false);
  expect(isShort([1141, 1000])).toBe(true);
  expect(isShort([1141, 1000], 11)).toBe(false);
  expect(isShort([900, 1000])).toBe(false);
});

it.each<readonly [string, readonly Size[], Size, boolean]>([
  [
    "one large number too many for each",
    [
      [1400, 1000],
      [2400, 2000],
      [5400, 5000],
    ],
    [1400, 1000],
    true,
  ],
  [
    "rounded up to kilobytes",
    [
      [1024, 700],
      [2048, 1100],
      [5120, 5000],
    ],
    [2048, 1100],
    false,
  ],
  [
    "rounded, but for one",
    [
      [1024, 700],
      [2048, 1100],
      [5000, 5000],
    ],
    [2048, 1100],
    true,
  ],
  [
    "rounded, and much less than that",
    [
      [1024, 700],
      [2048, 1100],
      [5120, 5000],
    ],
    [5120, 3000],
    true,
  ],
  [
    "two messages show no habit",
    [
      [1024, 700],
      [2048, 1100],
    ],
    [1024, 700],
    true,
  ],
  [
    "twice the octets",
    [
      [2000, 1000],
      [4000, 2000],
      [8000, 4000],
    ],
    [2000, 1000],
    true,
  ],
])("%s", async (_, sizes, size, is) => {
  expect((await shortageOf(...sizes))(size)).toBe(is);
});
