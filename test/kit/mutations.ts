// `npm run test:mutations`: breaks the program on purpose, one change at a time, and sees that the suite which guards it goes red.
//
// The lists lie beside the suites (mutation-list.ts).
//
// Arguments: parts of the suites' file names; none means all. --lanes N: so many at once (default 2). --green: `npm test` has just
// passed over this very code, so that no suite is run without a mutation first: half the time. --only TEXT: changes of texts with
// that in them.

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Mutation, mutate, mutationsIn, root } from "./mutation-list.ts";

/** A mutant that hangs is noticed too. */
const LIMIT_MS = 300_000;
const COPIED = [
  "src",
  "test",
  "fixtures",
  "bench",
  "assemble.ts",
  "build.ts",
  "package.json",
  "tsconfig.json",
  "tsconfig.build.json",
  "vitest.config.ts",
];

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), "mailferry-mutant-"));
  for (const name of COPIED) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

interface Outcome {
  readonly ran: boolean;
  readonly red: boolean;
  readonly output: string;
}

/** Red: tests ran and some failed, or it hung. */
async function runSuite(copy: string, { suite, tests }: Mutation, mutated: boolean): Promise<Outcome> {
  const args = [join(root, "node_modules", "vitest", "vitest.mjs"), "run", suite, ...(mutated ? ["--bail", "1"] : [])];
  const filter = tests === undefined ? [] : ["-t", tests.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")];
  const child = spawn(process.execPath, [...args, ...filter], {
    cwd: copy,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, "SIGKILL"), LIMIT_MS);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  // A filter that fits no test leaves all of them out; a process that ended in the middle counts them as neither, and so does
  // what is done before them. Where not even the tests are known, the change is no program.
  const ran =
    /Tests {2}.*(passed|failed)|Errors {2}\d+ error/.test(output) ||
    (output.includes("Failed Suites") && !output.includes("(0 test)")) ||
    code === null;
  return { red: ran && code !== 0, ran, output };
}

async function verdict(copy: string, mutation: Mutation): Promise<string | undefined> {
  const path = join(copy, mutation.file);
  const whole = readFileSync(path, "utf8");
  let mutated: string;
  try {
    mutated = mutate(whole, mutation);
  } catch (error) {
    return `does not fit: ${error instanceof Error ? error.message : String(error)}`;
  }
  writeFileSync(path, mutated);
  try {
    const { red, ran, output } = await runSuite(copy, mutation, true);
    return red ? undefined : ran ? "NOT CAUGHT" : `did not run:\n${output}`;
  } finally {
    writeFileSync(path, whole);
  }
}

const { values, positionals: parts } = parseArgs({
  options: { lanes: { type: "string" }, green: { type: "boolean" }, only: { type: "string" } },
  allowPositionals: true,
});
const lanes = Number(values.lanes ?? 2);
if (!Number.isSafeInteger(lanes) || lanes < 1) throw new Error("--lanes is a number above 0");
const mutations = mutationsIn(parts).filter(({ token }) => token.includes(values.only ?? ""));
const queue = mutations.entries();
let caught = 0;
let failed = 0;
/** Suites that are green as they are: a red one would catch everything. */
const green = new Map<string, Promise<Outcome>>();

const GREEN = Promise.resolve<Outcome>({ ran: true, red: false, output: "" });

async function lane(): Promise<void> {
  const copy = makeCopy();
  try {
    for (const [, mutation] of queue) {
      const { suite, file, token, becomes, tests } = mutation;
      const key = `${suite}\n${tests}`;
      const plain = green.get(key) ?? (values.green === true ? GREEN : runSuite(copy, mutation, false));
      green.set(key, plain);
      const unmutated = await plain;
      const isGreen = unmutated.ran && !unmutated.red;
      const problem = isGreen ? await verdict(copy, mutation) : `not green without it:\n${unmutated.output}`;
      if (problem === undefined) caught++;
      else failed++;
      const brief = (text: string): string => JSON.stringify(text.replace(/\s+/g, " ").slice(0, 60));
      const where = mutation.in === undefined ? file : `${file}: ${mutation.in}`;
      console.log(`${problem ?? "caught"}: ${where}: ${brief(token)} -> ${brief(becomes)}  (${suite})`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

await Promise.all(Array.from({ length: lanes }, lane));
console.log(`${mutations.length} mutations: ${caught} caught, ${failed} not`);
process.exitCode = failed > 0 || mutations.length === 0 ? 1 : 0;
