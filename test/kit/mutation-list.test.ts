// The lists of mutations keep up with the program: what a change would replace is there, once, and its suite has such a test.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { transform } from "esbuild";
import { expect, it } from "vitest";
import { filesOfTests, type Mutation, mutate, mutationsIn, parseMutations, root } from "./mutation-list.ts";

const textOf = (path: string): string => readFileSync(join(root, path), "utf8");

/** What `apply` throws, behind the entry that it threw for. */
function failuresOf(mutations: readonly Mutation[], apply: (mutation: Mutation) => void): string[] {
  return mutations.flatMap((mutation) => {
    try {
      apply(mutation);
      return [];
    } catch (error) {
      return [`${mutation.suite}: ${mutation.file}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
}

/** The suite with all that it takes from test/: names of tests are made there too. */
function withImports(path: string, seen = new Set<string>()): string {
  if (seen.has(path) || !existsSync(join(root, path))) return "";
  seen.add(path);
  const text = textOf(path);
  const imported = [...text.matchAll(/from "(\.{1,2}\/[^"]+\.ts)"/g)].map(([, other = ""]) =>
    join(dirname(path), other),
  );
  return [text, ...imported.filter((other) => other.startsWith("test/")).map((other) => withImports(other, seen))].join(
    "\n",
  );
}

it("each mutation names a text that its declaration has exactly once, and another one to take its place", () => {
  const mutations = mutationsIn([]);
  expect(mutations.length).toBeGreaterThan(300);
  expect(failuresOf(mutations, (mutation) => void mutate(textOf(mutation.file), mutation))).toEqual([]);
});

it("each change leaves a program", async () => {
  const broken: string[] = [];
  for (const mutation of mutationsIn([]).filter(({ file }) => file.endsWith(".ts"))) {
    const failed = (error: unknown): number => broken.push(`${mutation.suite}: ${mutation.token}: ${String(error)}`);
    await transform(mutate(textOf(mutation.file), mutation), { loader: "ts", logLevel: "silent" }).catch(failed);
  }
  expect(broken).toEqual([]);
}, 60_000);

it("each list lies beside its suite, and no change stands in it twice", () => {
  const mutations = mutationsIn([]);
  expect(mutations.filter(({ suite }) => !existsSync(join(root, suite)))).toEqual([]);
  const all = mutations.map((mutation) => JSON.stringify(mutation));
  expect(all.filter((entry, at) => all.indexOf(entry) !== at)).toEqual([]);
});

it("the words by which a mutation picks tests are in its suite, or in what the suite is made of", () => {
  const texts = new Map<string, string>();
  const stale = mutationsIn([]).flatMap(({ suite, tests = "" }) => {
    if (!texts.has(suite)) texts.set(suite, withImports(suite));
    const text = texts.get(suite) ?? "";
    // A name may be put together of parts, so each word is looked for by itself.
    return tests.split(/[^\w-]+/).flatMap((word) => (text.includes(word) ? [] : [`${suite}: ${tests}: ${word}`]));
  });
  expect(stale).toEqual([]);
});

it("no suite has a mutation in its head", () => {
  const suites = filesOfTests().filter((path) => path.endsWith(".ts"));
  expect(suites.filter((path) => /^\/\/ mutation:/m.test(textOf(path)))).toEqual([]);
});

const SOURCE = `export const LIMIT = 8;

function one(): number {
  return LIMIT + 1;
}

function two(): number {
  return LIMIT + 1 + 1;
}

console.log(one(), two());
`;
const usual: Mutation = { suite: "x", file: "x.ts", in: "one", token: "+ 1", becomes: "- 1", tests: undefined };

it("a change is made in its declaration alone", () => {
  expect(mutate(SOURCE, usual)).toBe(SOURCE.replace("+ 1", "- 1"));
  expect(mutate(SOURCE, { ...usual, in: "two", token: "LIMIT", becomes: "$&" })).toBe(
    SOURCE.replace("LIMIT + 1 + 1", () => "$& + 1 + 1"),
  );
});

it.each<[string, Partial<Mutation>, string]>([
  ["a token that is not in the declaration", { token: "= 8" }, 'one has "= 8" 0 times'],
  ["a token that is there twice", { in: "two" }, 'two has "+ 1" 2 times'],
  ["no token", { token: "" }, 'one has "" 0 times'],
  ["a token that stays", { becomes: "+ 1" }, '"+ 1" stays as it is'],
  ["a declaration that is not there", { in: "three" }, "nothing is called three"],
  ["a token in a declaration that is not named", { in: undefined, token: "LIMIT + 1;" }, "stands in one"],
])("%s is an error", (_, change, message) => {
  expect(() => mutate(SOURCE, { ...usual, ...change })).toThrow(message);
});

it("what stands in no declaration is changed without naming one", () => {
  const change = { ...usual, in: undefined, token: "console", becomes: "process" };
  expect(mutate(SOURCE, change)).toBe(SOURCE.replace("console", "process"));
});

it.each(['{"file":"a"}', '[{"file":"a","in":"b","token":"c"}]', '[{"file":"a","token":"c","becomes":"d","test":"e"}]'])(
  "%s is no list of mutations",
  (json) => {
    expect(() => parseMutations("test/x.test.ts", json)).toThrow("test/x.test.ts: ");
  },
);
