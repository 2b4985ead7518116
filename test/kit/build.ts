// The program as it is shipped, built once for all suites that start it often: plain JavaScript starts in half the time.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildInto } from "../../build.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Built {
  /** The command's main file. */
  readonly main: string;
  remove(): void;
}

/** Takes some seconds. Lies below node_modules, where its packages are found. */
export async function build(): Promise<Built> {
  const cache = join(root, "node_modules", ".cache");
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(join(cache, "mailferry-"));
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module", version }));
  await buildInto(join(directory, "dist"));
  return {
    main: join(directory, "dist", "bundle", "main.js"),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
