// `npm run soak -- --minutes 30`: the long versions of the suites on faults, in turn, for the given time, with fresh seeds.
//
// Every suite reads MAILFERRY_SEED (which cases) and MAILFERRY_SOAK_SECONDS (how long it may go on beyond its ordinary ones).
// All but the crash matrix have a small share each; the matrix (every step of every way, as real processes) has what is left,
// and when it is through early, another round begins. A soak of an hour or more also changes every octet of an archive, one at
// a time. Stops at the first failure, and says how to have it again.
//
// Options: --minutes N (default 30), --seed S (that of the first round; default: another one each time), --only WORD (the turns
// whose name has it), --files WORD (the files whose path has it), --tests WORDS (the tests whose name has them).

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { COUNTS_FILE, sumsIn } from "./counts.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { minutes: text, seed: text, only: text, files: text, tests: text } });
const totalMinutes = Number(values.minutes ?? 30);
const root = fileURLToPath(new URL("../..", import.meta.url));
/** vitest.config.ts. */
const WORKERS = 3;
/** Of the whole time, for each but the last turn of a round. */
const SHARE = 1 / 20;
/** From here on there is time for what takes six minutes whatever the share. */
const LONG_MINUTES = 60;

interface Turn {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

/** The test files below a folder, or the file itself; none where there is no such thing. */
function testsIn(path: string): string[] {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  if (!statSync(full).isDirectory()) return [path];
  const found = readdirSync(full, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  return found.map((name) => join(path, name)).sort();
}

const isMatrix = (file: string): boolean => file.includes("/steps-");
const crash = testsIn("test/server/crash");
const EVERY_OCTET: readonly Turn[] =
  totalMinutes < LONG_MINUTES
    ? []
    : [
        {
          name: "every octet of an archive",
          files: testsIn("test/migrate/verify-bytes.test.ts"),
          env: { MAILFERRY_EVERY_BYTE: "1" },
        },
      ];
const TURNS: readonly Turn[] = [
  { name: "cut and spoilt wires", files: testsIn("test/server/wire") },
  { name: "scripted servers", files: testsIn("test/scripted") },
  { name: "hostile input", files: testsIn("test/fuzz") },
  { name: "failing disks", files: testsIn("test/server/disk") },
  {
    name: "random runs of the engine and its journal, and damage to it",
    files: ["random", "random-targets", "journal-random", "damaged-state"].flatMap((name) =>
      testsIn(`test/migrate/${name}.test.ts`),
    ),
  },
  {
    name: "lost and foreign state, hostile names",
    files: [...testsIn("test/server/state"), ...testsIn("test/server/hostile")],
  },
  ...EVERY_OCTET,
  { name: "kills, signals, sleep and locks", files: crash.filter((file) => !isMatrix(file)) },
  { name: "every step of every way, killed", files: crash.filter(isMatrix) },
].filter(({ files }) => files.length > 0);

/** Resolves to whether all was well; what the suites say about their seeds is passed on. */
async function take({ files }: Turn, env: Readonly<Record<string, string>>): Promise<boolean> {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const narrow = values.tests === undefined ? [] : ["-t", values.tests];
  const child = spawn(process.execPath, [vitest, "run", "--bail", "1", ...narrow, ...files], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env, NO_COLOR: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once("close", resolve).once("error", reject),
  );
  if (code === 0) for (const line of output.match(/^seed .*$/gm) ?? []) console.log(`  ${line}`);
  else console.log(output);
  return code === 0;
}

const turns = TURNS.filter(({ name }) => name.includes(values.only ?? ""))
  .map((turn) => ({ ...turn, files: turn.files.filter((file) => file.includes(values.files ?? "")) }))
  .filter(({ files }) => files.length > 0);
const totalSeconds = totalMinutes * 60;
const firstSeed = Number(values.seed ?? Math.floor(Date.now() / 1000));
if (!(totalSeconds > 0) || !Number.isSafeInteger(firstSeed) || turns.length === 0) {
  console.error("usage: npm run soak -- [--minutes N] [--seed S] [--only WORD] [--files WORD] [--tests WORDS]");
  process.exit(2);
}
const began = performance.now();
const secondsLeft = (): number => totalSeconds - (performance.now() - began) / 1000;
const directory = mkdtempSync(join(tmpdir(), "mailferry-soak-"));
const counts = join(directory, "counts");
writeFileSync(counts, "");

let failed = false;
rounds: for (let seed = firstSeed; secondsLeft() > 0; seed++)
  for (const [i, turn] of turns.entries()) {
    const seconds = i < turns.length - 1 ? totalSeconds * SHARE : secondsLeft();
    // The first round leaves nothing out, or a slow machine would never come to the last suites.
    if (seconds <= 0 && seed !== firstSeed) break;
    // Each file has its time for itself, and so many run at once.
    const each = Math.max(1, Math.floor((seconds * WORKERS) / Math.max(WORKERS, turn.files.length)));
    const env = { ...turn.env, MAILFERRY_SEED: String(seed), MAILFERRY_SOAK_SECONDS: String(each) };
    console.log(`${turn.name}: seed ${seed}, ${each} s a file beyond the ordinary cases, ${turn.files.length} files`);
    if (await take(turn, { ...env, [COUNTS_FILE]: counts })) continue;
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    console.log(`\nFAILED. To have it again: ${variables.join(" ")} npx vitest run --bail 1 ${turn.files.join(" ")}`);
    failed = true;
    break rounds;
  }
const sums = sumsIn(counts);
rmSync(directory, { recursive: true });
console.log(`\n${Math.round((performance.now() - began) / 60_000)} minutes from seed ${firstSeed}: ${sums.line}`);
if (failed || sums.of("lost") > 0 || sums.of("duplicated") > 0) process.exitCode = 1;
