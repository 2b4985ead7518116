// The changes that `npm run test:mutations` makes to the program: beside a suite `x.test.ts` lies `x.mutations.json`.
//
//   { "file": "src/core/retry.ts", "in": "delayBefore", "token": "2 **", "becomes": "1 **", "tests": "part of a test's name" }
//
// `in` is a declaration of the file (declarations.ts), left out only for what stands in none; `token` a text that is there once;
// `tests` may be left out. What does not fit exactly once is an error, so that nobody believes in a change that is not made.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { declarationOf, declarationsIn } from "./declarations.ts";

export interface Mutation {
  readonly suite: string;
  readonly file: string;
  readonly in: string | undefined;
  readonly token: string;
  readonly becomes: string;
  readonly tests: string | undefined;
}

/** Of the project. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
const LIST = ".mutations.json";
const SUITE = ".test.ts";

/** Of the suites of whose file names one of `parts` is a part, all of them if there are none. Throws for what is no mutation. */
export function mutationsIn(parts: readonly string[]): Mutation[] {
  return filesOfTests()
    .filter((path) => path.endsWith(LIST))
    .map((path) => ({ path, suite: `${path.slice(0, -LIST.length)}${SUITE}` }))
    .filter(({ suite }) => parts.length === 0 || parts.some((part) => suite.includes(part)))
    .flatMap(({ path, suite }) => parseMutations(suite, readFileSync(join(root, path), "utf8")));
}

export function filesOfTests(): string[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => `test/${path}`)
    .sort();
}

/** Throws, naming the suite and the entry, for what is no mutation. */
export function parseMutations(suite: string, json: string): Mutation[] {
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list)) throw new Error(`${suite}: its mutations are no array`);
  return list.map((entry: unknown) => {
    const { file, in: where, token, becomes, tests, ...rest } = entry as Record<string, unknown>;
    if (
      typeof file !== "string" ||
      (where !== undefined && typeof where !== "string") ||
      typeof token !== "string" ||
      typeof becomes !== "string" ||
      (tests !== undefined && typeof tests !== "string") ||
      Object.keys(rest).length > 0
    )
      throw new Error(`${suite}: not a mutation: ${JSON.stringify(entry)}`);
    return { suite, file, in: where, token, becomes, tests };
  });
}

/** The file's text with the change made. Throws if that does not fit, or changes nothing. */
export function mutate(whole: string, { in: where, token, becomes }: Mutation): string {
  const { start, end } = where === undefined ? { start: 0, end: whole.length } : declarationOf(whole, where);
  const times = token === "" ? 0 : whole.slice(start, end).split(token).length - 1;
  if (times !== 1) throw new Error(`${where ?? "the file"} has ${JSON.stringify(token)} ${times} times`);
  if (token === becomes) throw new Error(`${JSON.stringify(token)} stays as it is`);
  const at = whole.indexOf(token, start);
  if (where === undefined) {
    const around = declarationsIn(whole).findLast((one) => one.start <= at && at < one.end);
    if (around !== undefined) throw new Error(`${JSON.stringify(token)} stands in ${around.path}`);
  }
  return whole.slice(0, at) + becomes + whole.slice(at + token.length);
}
