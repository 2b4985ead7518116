// The list of mutations keeps up with the program: what a change would replace is there, once.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { mutationsIn, root, timesIn } from "./mutation-list.ts";

it("each mutation names a text that its file has exactly once, and another one to take its place", () => {
  const mutations = mutationsIn([]);
  expect(mutations.length).toBeGreaterThan(300);
  const texts = new Map<string, string>();
  const stale = mutations.flatMap((mutation) => {
    const { suite, file, from, to } = mutation;
    const whole = texts.get(file) ?? readFileSync(join(root, file), "utf8");
    texts.set(file, whole);
    return timesIn(whole, mutation) === 1 && from !== to ? [] : [`${suite}: ${file}: ${from}`];
  });
  expect(stale).toEqual([]);
});
