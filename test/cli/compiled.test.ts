// The command as it is shipped runs from what V8 compiled when it was built, and without that all the same.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { builtMain } from "../kit/build.ts";

const run = promisify(execFile);
/** Tells of each file whether V8 refused what was compiled of it: undefined where there was nothing. */
const TELLING = `
  import vm from "node:vm";
  import { basename } from "node:path";
  const told = {};
  vm.Script = class extends vm.Script {
    constructor(source, options) {
      super(source, options);
      told[basename(options.filename)] = String(this.cachedDataRejected);
    }
  };
  process.on("exit", () => process.stderr.write(JSON.stringify(told)));
`;

let root: string;
/** A package of its own, to be spoilt. */
let bundle: string;
let telling: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "mailferry-compiled-"));
  telling = join(root, "telling.mjs");
  writeFileSync(telling, TELLING);
  const main = await builtMain();
  bundle = join(root, "dist", "bundle");
  cpSync(dirname(main), bundle, { recursive: true });
  cpSync(join(dirname(main), "..", "..", "package.json"), join(root, "package.json"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function start(): Promise<{ readonly out: string; readonly refused: unknown }> {
  const args = ["--import", pathToFileURL(telling).href, join(bundle, "main.js"), "--version"];
  const { stdout, stderr } = await run(process.execPath, args);
  return { out: stdout.trim(), refused: JSON.parse(stderr) };
}

const version = (): string => JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;

it("V8 takes what was compiled: it was made under the settings that the command runs with", async () => {
  expect(await start()).toEqual({ out: version(), refused: { "program.cjs": "false" } });
});

it("what was compiled of another source, is spoilt, cut or not there costs time alone", async () => {
  const compiled = join(bundle, "program.cjs.compiled");
  const whole = readFileSync(compiled);
  const without = { out: version(), refused: { "program.cjs": "undefined" } };
  // V8 would hang or die of some of these, or run other code.
  for (const at of [0, 40, 100, whole.length >> 1, whole.length - 1]) {
    const spoilt = Buffer.from(whole);
    spoilt[at] = ~(whole[at] ?? 0);
    writeFileSync(compiled, spoilt);
    expect(await start(), `octet ${at}`).toEqual(without);
  }
  writeFileSync(compiled, whole.subarray(0, 1000));
  expect(await start()).toEqual(without);
  rmSync(compiled);
  expect(await start()).toEqual(without);
  writeFileSync(compiled, whole);
  const program = join(bundle, "program.cjs");
  const source = readFileSync(program, "utf8");
  writeFileSync(program, source.replace("// ", "//#"));
  expect(await start()).toEqual(without);
  writeFileSync(program, source);
});

it("names a folder that is gone under the shell, wherever the program lies", async () => {
  const gone = join(root, "gone");
  mkdirSync(gone);
  const args = [
    "-c",
    'cd "$1" && rmdir "$1" && "$2" "$3" --version',
    "sh",
    gone,
    process.execPath,
    join(bundle, "main.js"),
  ];
  const ended = await run("sh", args).catch((error: { code: number; stderr: string }) => error);
  expect(ended).toMatchObject({ code: 2 });
  expect(ended.stderr).toBe(
    "mailferry: the folder that this command was started in is not there any more. Go to another one, and run it again.\n",
  );
});

it("what made it is no part of what is shipped", () => {
  expect(readdirSync(bundle).filter((name) => name.startsWith("warm"))).toEqual([]);
  expect(readdirSync(bundle)).toContain("imapflow.cjs.compiled");
});
