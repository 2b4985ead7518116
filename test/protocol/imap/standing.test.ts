// What UIDNEXT, EXISTS and a few rows say about a folder that was written before.

import { describe, expect, it } from "vitest";
import { judgeStanding, readStanding, showStanding, takenSince } from "../../../src/protocol/imap/standing.ts";

const was = { uidNext: 11, exists: 10, taken: 0 };
const known = [
  { uid: 9, size: 100, received: 1000 },
  { uid: 10, size: 200, received: 2000 },
];
const row = (uid: number, size: number, epochSeconds: number) => ({ uid, size, received: { epochSeconds } });
const rows = [row(9, 100, 1000), row(10, 200, 2000)];

describe("a folder", () => {
  it("where nothing moved, or more mail came, is as it was left", () => {
    for (const uidNext of [11, 12, 500, undefined])
      expect(judgeStanding(was, { uidNext, exists: 10 }, known, rows)).toEqual({ strange: [] });
    expect(judgeStanding(undefined, { uidNext: 11, exists: 10 }, known, rows)).toEqual({ strange: [] });
  });

  it("whose next UID was given already went back, by what was recorded alone as well", () => {
    expect(judgeStanding(was, { uidNext: 10, exists: 9 }, known, rows).why).toContain("next UID is 10, and was 11");
    expect(judgeStanding(undefined, { uidNext: 10, exists: 9 }, known, rows).why).toContain("was 11");
    expect(judgeStanding({ ...was, uidNext: 13 }, { uidNext: 12, exists: 9 }, known, rows).why).toContain("was 13");
  });

  it("that has none of the newest copies went back; one of them is enough", () => {
    expect(judgeStanding(was, { uidNext: 20, exists: 9 }, known, []).why).toContain("none of its newest");
    expect(judgeStanding(was, { uidNext: 20, exists: 9 }, known, rows.slice(1)).why).toBeUndefined();
    // A server that would not say.
    expect(judgeStanding(was, { uidNext: 20, exists: 9 }, known, undefined)).toEqual({ strange: [] });
    expect(judgeStanding(was, { uidNext: 20, exists: 9 }, [], [])).toEqual({ strange: [] });
  });

  it("has strange mail under the UID of a copy where both octets and date are others'", () => {
    const judge = (...there: typeof rows) => judgeStanding(was, { uidNext: 11, exists: 10 }, known, there).strange;
    expect(judge(row(9, 100, 1000), row(10, 201, 2001))).toEqual([10]);
    // Line ends, and a date that the server would not take, of a copy that is not the newest.
    expect(judge(row(9, 100, 1), row(10, 204, 2000))).toEqual([]);
    const undated = known.map(({ uid, size }) => ({ uid, size }));
    expect(judgeStanding(was, { uidNext: 11, exists: 10 }, undated, [row(9, 100, 5), row(10, 1, 5)]).strange).toEqual([
      10,
    ]);
  });

  it("has to show the bytes of the highest copy where that has another date, or where the folder moved", () => {
    const judge = (exists: number, looks: boolean, ...there: typeof rows) =>
      judgeStanding(was, { uidNext: 11, exists }, known, there, looks).strange;
    expect(judge(10, false, row(9, 100, 1), row(10, 200, 1))).toEqual([10]);
    expect(judge(11, true, ...rows)).toEqual([10]);
    expect(judge(11, false, ...rows)).toEqual([]);
    expect(judge(10, true, ...rows)).toEqual([]);
  });
});

it("what was taken out of a folder adds up, over mail that came meanwhile", () => {
  expect(takenSince(was, { uidNext: 11, exists: 10 })).toBe(0);
  expect(takenSince(was, { uidNext: 15, exists: 12 })).toBe(2);
  expect(takenSince({ ...was, taken: 3 }, { uidNext: 11, exists: 9 })).toBe(4);
  // Somebody's mail came while we counted.
  expect(takenSince(was, { uidNext: 11, exists: 12 })).toBe(0);
  expect(takenSince(was, { uidNext: 5, exists: 10 })).toBe(0);
});

it("a standing is read as it was written, and nothing else is one", () => {
  expect(readStanding(showStanding({ uidNext: 4294967295, exists: 7, taken: 1 }))).toEqual({
    uidNext: 4294967295,
    exists: 7,
    taken: 1,
  });
  for (const text of [undefined, "", "1/2", "1/2/3/4", "1/-2/3", "a/b/c", "99999999999/1/1"])
    expect(readStanding(text)).toBeUndefined();
});
