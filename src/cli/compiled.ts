// CommonJS files that are run from what V8 compiled of them when they were built. Reading and compiling the source is half of what
// a run with nothing new takes.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Script } from "node:vm";

interface Module {
  exports: unknown;
}
type Wrapper = (
  exports: unknown,
  require: (id: string) => unknown,
  module: Module,
  file: string,
  folder: string,
) => void;

const ENDING = ".compiled";
/** Before what V8 wrote: of the source and of it. */
const CHECKSUM_OCTETS = 32;
const loaded = new Map<string, { readonly script: Script; readonly module: Module }>();

/**
 * The exports of this file, which holds one function of Node's five (exports, require, module, __filename, __dirname) that the build
 * has put around it; those beside it that it asks for as "./NAME.cjs" are loaded in the same way. Where there is nothing
 * compiled, or another V8 did it or had other settings, the source is compiled as ever.
 */
export function loadCompiled(file: string): unknown {
  const known = loaded.get(file);
  if (known !== undefined) return known.module.exports;
  // One string and nothing beside it: what is read here is a tenth of what a small run holds.
  const source = readFileSync(file, "utf8");
  const cachedData = compiledOf(source, file);
  const script = new Script(source, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  const module: Module = { exports: {} };
  loaded.set(file, { script, module });
  const folder = dirname(file);
  const other = createRequire(file);
  const require = (id: string): unknown => (/^\.\/[^/]+\.cjs$/.test(id) ? loadCompiled(join(folder, id)) : other(id));
  (script.runInThisContext() as Wrapper)(module.exports, require, module, file, folder);
  return module.exports;
}

/** Writes what V8 has compiled of all that was loaded, functions that ran among it, beside the files. */
export function writeCompiled(): void {
  for (const [file, { script }] of loaded) {
    const data = script.createCachedData();
    writeFileSync(file + ENDING, Buffer.concat([checksum(readFileSync(file, "utf8"), data), data]));
  }
}

/** V8 itself compares the length of the source, and believes octets that a disk has spoilt: it hangs, or dies. */
function compiledOf(source: string, file: string): Buffer | undefined {
  let whole: Buffer;
  try {
    whole = readFileSync(file + ENDING);
  } catch {
    return undefined;
  }
  const data = whole.subarray(CHECKSUM_OCTETS);
  return checksum(source, data).equals(whole.subarray(0, CHECKSUM_OCTETS)) ? data : undefined;
}

function checksum(source: string, data: Buffer): Buffer {
  return createHash("sha256").update(source, "latin1").update(data).digest();
}
