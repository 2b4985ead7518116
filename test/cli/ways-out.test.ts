// Each hint stands with what it belongs to, and one trouble has one way out.

import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { renderLeftOut } from "../../src/cli/report.ts";
import { Desk } from "../kit/cli.ts";

it("things that share a way out stand together above it, and those without one below all", () => {
  const item = (name: string, hint?: string) => ({
    name,
    why: "why",
    folder: [name],
    ...(hint === undefined ? {} : { hint }),
  });
  const items = [item("a", "first way"), item("none"), item("b", "second way"), item("c", "first way")];
  expect(renderLeftOut(items)).toEqual([
    "Not read, though it looks like mail",
    "  a: why",
    "  c: why",
    "    first way",
    "  b: why",
    "    second way",
    "  none: why",
  ]);
});

it("a message that the archive holds damaged is not to be restored again: a backup with --recheck is the one way", async () => {
  using desk = new Desk();
  const source = desk.put("source", ["a", "b"]);
  const archive = desk.path("archive");
  expect(await desk.run(["backup", source, archive])).toMatchObject({ code: 0 });
  const [name = ""] = readdirSync(join(archive, "cur"));
  writeFileSync(join(archive, "cur", name), "From: x\n\nother bytes\n");
  const { err, code } = await desk.run(["restore", archive, desk.path("target")]);
  expect(code).toBe(3);
  expect(err).toContain("A backup with --recheck fetches it again");
  expect(err).not.toContain("Run the same command again");
});
