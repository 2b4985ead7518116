// The README's library example compiles against the real face, and its commands are known.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

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
