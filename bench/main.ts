// npm run bench: the same work by mailferry and by every peer that is installed, against raw sockets. See docs/PERFORMANCE.md.

import { execFileSync } from "node:child_process";
import { accessSync, chmodSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildInto } from "../build.ts";
import { dovecotInstalled, findProgram } from "../test/kit/install.ts";
import { type Profile, sizeOf } from "./mailboxes.ts";
import { canCount } from "./measure.ts";
import { openPlace } from "./place.ts";
import { startBench } from "./run.ts";
import { type Result, renderBars, renderCompared, renderWork } from "./table.ts";
import { PEERS, TOOLS } from "./tools/index.ts";
import { otherForm } from "./tools/mailferry.ts";
import { versionOf } from "./tools/tool.ts";
import { parseLine, worksOn } from "./works.ts";

const USAGE = `npm run bench -- [options]
  --quick        fewer messages, three runs, the most telling works: some ten minutes
  --only TEXT    works whose name holds TEXT (repeatable); --list names them
  --tool NAME    only these tools (repeatable), and always mailferry
  --line LINE    every work on this line instead of its own: 0ms, 20ms, 150ms/tls … (repeatable)
  --runs N       rounds; default 5, with --quick 3
  --limit S      seconds that a tool may take for one run; default 300, with --quick 30
  --scale X      so many times the messages, to try the bench itself
  --disk DIR     servers' mail and archives below DIR; default memory (/dev/shm) where there is some
  --growth       instead: 100,000 and 1,000,000 messages, 500 and 5,000 folders, mailferry alone (half an hour, 12 GB)
  --other DIR    beside it the mailferry that was built in another checkout, and how much more CPU and memory this one takes
  --list         the works`;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    tool: { type: "string", multiple: true, default: [] },
    line: { type: "string", multiple: true, default: [] },
    growth: { type: "boolean", default: false },
    runs: { type: "string" },
    limit: { type: "string" },
    scale: { type: "string", default: "1" },
    disk: { type: "string" },
    other: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const isChosen = (name: string): boolean => values.only.length === 0 || values.only.some((part) => name.includes(part));
const lines = values.line.map((text) => parseLine(text) ?? fail(`no line: ${text}`));
const works = worksOn(lines.length === 0 ? undefined : lines).filter(
  ({ name, isQuick }) => isChosen(name) && (!values.quick || isQuick),
);
if (values.help || values.list || works.length === 0) {
  console.log(values.help ? USAGE : works.map(({ name }) => name).join("\n") || "No work has such a name; see --list.");
  process.exit(works.length === 0 ? 2 : 0);
}
const runs = Number(values.runs ?? (values.quick ? 3 : 5));
const scale = Number(values.scale);
const limitSeconds = Number(values.limit ?? (values.quick ? 30 : 300));
if (!(runs >= 1) || !(scale > 0) || !(limitSeconds > 0))
  throw new Error("--runs, --limit and --scale are numbers above 0");
if (!dovecotInstalled()) throw new Error("The bench needs Dovecot: npx tsx test/kit/install.ts");

const repository = fileURLToPath(new URL("..", import.meta.url));
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const tsc = (config: string): void => {
  const compiler = join(repository, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [compiler, "-p", config], { cwd: repository, stdio: "inherit" });
};
progress("building");
await buildInto(join(repository, "dist"));
tsc("bench/tsconfig.json");

const installed = new Map(PEERS.map((tool) => [tool.name, tool.version?.()] as const));
const isWanted = (name: string): boolean =>
  values.tool.length === 0 || name === "mailferry" || values.tool.includes(name);
const tools = TOOLS.filter(
  ({ name, kind }) => isWanted(name) && (kind !== "peer" || installed.get(name) !== undefined),
);
if (values.other !== undefined) tools.push(otherForm(values.other));

const memory = "/dev/shm";
const parent = values.disk ?? (isWritable(memory) ? memory : tmpdir());
const where = parent === memory ? "memory" : "disk";
const root = mkdtempSync(join(parent, "mailferry-bench-"));
// The server's user must get through to its mail.
chmodSync(root, 0o755);
const clean = (): void => rmSync(root, { recursive: true, force: true, maxRetries: 5 });
process.once("exit", clean);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const about = [
  `${new Date().toISOString().slice(0, 10)}, ${values.quick ? "quick" : "full"}, ${runs} rounds${scale === 1 ? "" : `, ${scale} times the messages`}, everything ${where === "memory" ? "in memory (tmpfs)" : "on disk"}.`,
  `${cpus().length} processors (${cpus()[0]?.model ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}, Dovecot ${versionOf(findProgram("dovecot") ?? "dovecot")}; server, proxy and tool on the same machine; COMPRESS off.`,
  `Peers: ${[...installed].map(([name, version]) => `${name} ${version ?? "not installed"}`).join(", ")}.`,
  ...(canCount() ? [] : ["CPU and memory are not counted: GNU time is not installed."]),
];
console.log(`${about.join("\n")}\n`);

if (values.growth) {
  const { measureGrowth } = await import("./growth.ts");
  await using place = await openPlace(root);
  const table = await measureGrowth(place, scale, progress);
  console.log(table);
  mkdirSync(join(repository, "bench", "results"), { recursive: true });
  writeFileSync(join(repository, "bench", "results", "growth.md"), [...about, "", table].join("\n"));
  // What was opened ends here as well: nothing else is waited for.
  await place[Symbol.asyncDispose]();
  process.exit(0);
}

const results: Result[] = [];
const started = Date.now();
{
  await using place = await openPlace(root);
  const bench = startBench(place, {
    runs,
    limitSeconds,
    patienceSeconds: values.quick ? 3 : 20,
    size: (profile: Profile) => sizeOf(profile, values.quick, scale),
    progress,
  });
  for (const [index, work] of works.entries()) {
    progress(
      `--- ${index + 1} of ${works.length}: ${work.name}, ${Math.round((Date.now() - started) / 1000)} s so far`,
    );
    const measured = await bench.measure(work, tools);
    const { messages, folders, bytes } = sizeOf(work.profile, values.quick, scale);
    const what = `${messages} messages of ${Math.round(bytes / 1024)} KB in ${folders} ${folders === 1 ? "folder" : "folders"}, round trip ${work.line.rttMs} ms, ${work.line.tls ? "TLS" : "no TLS"}`;
    const result = { work, what, measured };
    results.push(result);
    console.log(renderWork(result));
  }
}
const bars = renderBars(results, where);
const compared = values.other === undefined ? "" : renderCompared(results);
if (compared !== "") console.log(`## To the other form\n\n${compared}`);
console.log(`## Bars\n\n${bars}\n${Math.round((Date.now() - started) / 1000)} s in all.`);

const folder = join(repository, "bench", "results");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "last.json"), `${JSON.stringify({ about, where, results }, null, 1)}\n`);
writeFileSync(
  join(folder, "last.md"),
  [...about, "", ...results.map(renderWork), compared, "## Bars", "", bars].join("\n"),
);
process.exit(0);

function fail(text: string): never {
  console.error(text);
  process.exit(2);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return existsSync(path);
  } catch {
    return false;
  }
}
