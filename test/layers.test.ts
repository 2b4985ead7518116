// Imports run downward only: cli → endpoints → migrate → sources | sinks → protocol | formats → mail → core.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const src = fileURLToPath(new URL("../src/", import.meta.url));
const LAYERS: Readonly<Record<string, number>> = {
  core: 0,
  mail: 1,
  protocol: 2,
  formats: 2,
  sources: 3,
  sinks: 3,
  migrate: 4,
  endpoints: 5,
  cli: 6,
  index: 6,
};

interface Import {
  readonly from: string;
  readonly to: string;
}

function imports(): readonly Import[] {
  const found: Import[] = [];
  for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
    const file = join(entry.parentPath, entry.name);
    const text = readFileSync(file, "utf8");
    for (const match of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g))
      found.push({ from: relative(src, file), to: relative(src, join(dirname(file), match[1] ?? "")) });
  }
  return found;
}

const layerOf = (file: string): string => (file.split("/")[0] ?? "").replace(/\.ts$/, "");

it("every file belongs to a layer", () => {
  const all = imports();
  expect(all.length).toBeGreaterThan(100);
  expect(all.map(({ from }) => layerOf(from)).filter((layer) => LAYERS[layer] === undefined)).toEqual([]);
});

it("imports run downward only", () => {
  const upward = imports().filter(({ from, to }) => {
    const above = LAYERS[layerOf(from)] ?? Number.NaN;
    const below = LAYERS[layerOf(to)] ?? Number.NaN;
    return !(below <= above);
  });
  expect(upward).toEqual([]);
});

it("adapters do not know each other, and the engine knows their contracts alone", () => {
  const contracts = ["sources/source.ts", "sinks/sink.ts"];
  const adapters = imports().filter(
    ({ from, to }) =>
      ["sources", "sinks"].includes(layerOf(to)) &&
      !contracts.includes(to) &&
      // What one adapter shares with its own other half lies in a folder of its name.
      dirname(to) !== from.replace(/\.ts$/, "") &&
      dirname(to) !== dirname(from) &&
      layerOf(from) !== "endpoints",
  );
  const siblings = imports().filter(
    ({ from, to }) =>
      /^(sources|sinks)\/[^/]+\.ts$/.test(to) && /^(sources|sinks)\//.test(from) && !contracts.includes(to),
  );
  expect([...adapters, ...siblings]).toEqual([]);
});

it("protocols and formats do not know each other", () => {
  const crossing = imports().filter(
    ({ from, to }) =>
      (layerOf(from) === "protocol" && layerOf(to) === "formats") ||
      (layerOf(from) === "formats" && layerOf(to) === "protocol"),
  );
  expect(crossing).toEqual([]);
});
