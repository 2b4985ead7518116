// docs/JSON.md is the promise that scripts build on: it names every event, every field and every word of theirs.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { DISPOSITIONS } from "../src/migrate/events.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const text = (path: string): Promise<string> => readFile(join(root, path), "utf8");
const page = await text("docs/JSON.md");
const named = new Set([...page.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ""));
const rows = new Set([...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map((match) => match[1] ?? ""));

it("names every type of event that is emitted, and no other", async () => {
  const files = (await readdir(join(root, "src/cli"), { recursive: true })).filter(
    // Options have types too.
    (name) => name.endsWith(".ts") && name !== "options.ts" && name !== "parse.ts",
  );
  const sources = await Promise.all([
    text("src/migrate/events.ts"),
    ...files.map((name) => text(join("src/cli", name))),
  ]);
  const types = new Set<string>();
  // `type: "a" | "b"` in the union of a run's events, `type: "a"` in what the commands emit.
  for (const [i, source] of sources.entries())
    for (const [, words = ""] of source.matchAll(i === 0 ? /readonly type: ([^;]+);/g : /\{\s*type: ("[a-z-]+"),/g))
      for (const [, type = ""] of words.matchAll(/"([a-z-]+)"/g)) types.add(type);
  expect(types.size).toBeGreaterThan(15);
  expect([...rows].sort()).toEqual([...types].sort());
});

it("names every field of the events and of what they hold", async () => {
  const fieldsOf = (source: string, ...interfaces: string[]): string[] =>
    interfaces.flatMap((name) => {
      const body = new RegExp(`(?:interface|type) ${name}\\b[\\s\\S]*?\\n(?:}|\\n)`).exec(source)?.[0] ?? "";
      const fields = [...body.matchAll(/readonly (\w+)\??:/g)].map((match) => match[1] ?? "");
      expect(fields, name).not.toEqual([]);
      return fields;
    });
  const fields = [
    ...fieldsOf(`${await text("src/migrate/events.ts")}\n\n`, "FolderSummary", "RunSummary", "MigrationEvent"),
    ...fieldsOf(await text("src/migrate/verify-result.ts"), "VerifyFinding", "VerifyFolderResult", "VerifySummary"),
    ...fieldsOf(await text("src/mail/model.ts"), "Folder", "Received", "Traits", "Origin", "Entry"),
    ...fieldsOf(await text("src/mail/fidelity.ts"), "Loss"),
  ];
  expect(fields.filter((field) => !named.has(field))).toEqual([]);
});

it("names every word of a disposition, a finding, a loss and an error", async () => {
  const words = async (path: string, pattern: RegExp): Promise<string[]> => {
    const found = [...(pattern.exec(await text(path))?.[1] ?? "").matchAll(/"([a-z-]+)"/g)].map(
      (match) => match[1] ?? "",
    );
    expect(found, path).not.toEqual([]);
    return found;
  };
  const all = [
    ...DISPOSITIONS,
    ...(await words("src/migrate/verify-result.ts", /VerifyFinding \{\s*readonly kind:\s*([^;]+);/)),
    ...(await words("src/mail/fidelity.ts", /type Loss =([^;]*;[^;]*;)/)),
    ...(await words("src/core/errors.ts", /type ErrorCode =([^;]+);/)),
  ];
  expect(all.filter((word) => !named.has(word))).toEqual([]);
});
