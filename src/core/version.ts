// The program's own version.

import { readFileSync } from "node:fs";

let known: string | undefined;

/** Of the package this file lies in: src/core, dist/core and dist/bundle are equally deep. */
export function version(): string {
  if (known !== undefined) return known;
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version: found } = JSON.parse(text) as { readonly version?: unknown };
  known = typeof found === "string" ? found : "unknown";
  return known;
}
