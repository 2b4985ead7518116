// The changes that `npm run test:mutations` makes to the program, read from the heads of the suites that guard it.
//
// One change a line, the texts as JSON:
//   // mutation: src/migrate/copy.ts: "text that is there once" -> "what takes its place" (tests: "part of a test's name")
// The last part is optional.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Mutation {
  readonly suite: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly tests: string | undefined;
}

/** Of the project. */
export const root = fileURLToPath(new URL("../..", import.meta.url));
const LINE = /^\/\/ mutation: (\S+): ("(?:[^"\\]|\\.)*") -> ("(?:[^"\\]|\\.)*")(?: \(tests: ("(?:[^"\\]|\\.)*")\))?$/;

/** Of the suites of whose file names one of `parts` is a part, all of them if there are none. Throws for a line that is no change. */
export function mutationsIn(parts: readonly string[]): Mutation[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => `test/${path}`)
    .filter((suite) => parts.length === 0 || parts.some((part) => suite.includes(part)))
    .sort()
    .flatMap(mutationsOf);
}

/** How often the text stands in `whole`: a change is meant where that is once. */
export function timesIn(whole: string, { from }: Mutation): number {
  return whole.split(from).length - 1;
}

function mutationsOf(suite: string): Mutation[] {
  const lines = readFileSync(join(root, suite), "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith("// mutation:"))
    .map((line) => {
      const [, file, from, to, tests] = LINE.exec(line) ?? [];
      if (file === undefined || from === undefined || to === undefined)
        throw new Error(`${suite}: not a mutation: ${line}`);
      const text = (quoted: string): string => JSON.parse(quoted) as string;
      return { suite, file, from: text(from), to: text(to), tests: tests === undefined ? undefined : text(tests) };
    });
}
