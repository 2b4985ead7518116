// The README's library example compiles against the real face, and its commands are known.

import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { selectionOf } from "../src/cli/options.ts";
import { parseCommandLine } from "../src/cli/parse.ts";
import { parseEndpoint } from "../src/endpoints.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const readme = await readFile(join(root, "README.md"), "utf8");

it("the example in the README compiles", async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  expect(example).toContain('from "mailferry"');
  // Below the project, so that its types are found.
  const directory = await mkdtemp(join(root, "node_modules", ".readme-"));
  try {
    await writeFile(
      join(directory, "example.ts"),
      example.replace('"mailferry"', JSON.stringify(join(root, "src", "index.ts"))),
    );
    const config = {
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        typeRoots: [join(root, "node_modules", "@types")],
        rewriteRelativeImportExtensions: false,
        allowImportingTsExtensions: true,
      },
      include: [join(directory, "example.ts")],
    };
    await writeFile(join(directory, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules", ".bin", "tsc");
    const result = await promisify(execFile)(tsc, ["--noEmit", "-p", join(directory, "tsconfig.json")]).catch(
      (error: { stdout: string }) => error,
    );
    expect(result.stdout).toBe("");
  } finally {
    await rm(directory, { recursive: true });
  }
});

it("every command in the README is one that the command line knows", async () => {
  const commands = [...readme.matchAll(/```(?:sh)?\n([\s\S]*?)```/g)].map((match) => match[1] ?? "").join("\n");
  const verbs = [...commands.matchAll(/\bmailferry (\w+)/g)].map((match) => match[1] ?? "");
  expect(new Set(verbs)).toEqual(new Set(["backup", "migrate", "drain", "restore", "verify", "folders"]));
});

it("every command line in the README is understood as it is pasted", async () => {
  const blocks = [...readme.matchAll(/```(?:sh)?\n([\s\S]*?)```/g)].map((match) => match[1] ?? "").join("\n");
  const lines = blocks.replaceAll("\\\n", " ").match(/\bmailferry [a-z][^|\n]*/g) ?? [];
  expect(lines.length).toBeGreaterThan(10);
  for (const line of lines) {
    const words = execFileSync("sh", ["-c", `printf '%s\\n' ${line}`], { encoding: "utf8" })
      .trimEnd()
      .split("\n")
      .slice(1);
    const parsed = await parseCommandLine(words, 80);
    if (!("verb" in parsed)) throw new Error(`no command: ${line}`);
    const { args } = parsed;
    selectionOf(args);
    for (const name of ["source", "archive", "target", "endpoint"]) {
      const place = args[name];
      // A bare path is recognised by what is there, and nothing is there.
      if (typeof place === "string" && place.includes(":")) expect(() => parseEndpoint(place, "source")).not.toThrow();
    }
  }
});
