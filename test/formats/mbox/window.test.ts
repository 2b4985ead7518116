// The window shows the file as it is, wherever a reader looks next.

import { describe, expect, it } from "vitest";
import { openWindow, Shortened } from "../../../src/formats/mbox/window.ts";
import { chance, memory } from "./kit.ts";

const FILE = Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));

describe("a window", () => {
  it("shows the octets of the file, forward, back and in leaps", async () => {
    for (let seed = 0; seed < 60; seed++) {
      const below = chance(seed);
      const capacity = 16 + below(200);
      const window = openWindow(memory(FILE, 1 + below(90)), capacity);
      let at = 0;
      for (let step = 0; step < 400; step++) {
        // Mostly onward, as a splitter goes.
        at = below(12) === 0 ? below(FILE.length) : Math.min(FILE.length, at + below(capacity));
        const length = 1 + below(capacity);
        // Now and then what is kept begins behind where it is looked.
        const keep = below(10) === 0 ? at + below(4) : at - below(capacity);
        const view = await window.view(at, length, Math.max(0, keep));
        const least = Math.min(length, FILE.length - at);
        expect(view.length).toBeGreaterThanOrEqual(least);
        expect(view.equals(FILE.subarray(at, at + view.length))).toBe(true);
        expect(window.peek(at, length)?.equals(view)).toBe(true);
      }
    }
  });

  it("tells that a file became shorter when its octets are asked for, and not before", async () => {
    const file = memory(FILE);
    let size = FILE.length;
    const window = openWindow(
      {
        size,
        read: (target, at) => file.read(target.subarray(0, Math.max(0, Math.min(target.length, size - at))), at),
      },
      100,
    );
    await window.view(0, 10);
    size = 260;
    expect((await window.view(90, 50)).subarray(0, 50).equals(FILE.subarray(90, 140))).toBe(true);
    expect((await window.view(150, 30)).subarray(0, 30).equals(FILE.subarray(150, 180))).toBe(true);
    await expect(window.view(250, 50)).rejects.toThrow(Shortened);
  });
});
