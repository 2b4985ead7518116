// A dry run looks at what the target has already, whoever put it there: by date and size, without a record, and without writing.

import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Desk } from "../kit/cli.ts";

let desk: Desk;
let source: string;
beforeEach(() => {
  desk = new Desk();
  source = desk.put("source", ["a", "b", "c"]);
  desk.put("source", ["d"], "Sent");
});
afterEach(() => desk[Symbol.dispose]());

const dry = (to: string, ...more: string[]) => desk.run(["backup", source, to, "--dry-run", ...more]);
const tree = (path: string): string[] => readdirSync(path, { recursive: true, encoding: "utf8" }).sort();

it.each(["maildir", "mboxzip"])("of a target whose ledger is lost, or that another run filled (%s)", async (kind) => {
  const to = `${kind}:${desk.path("target")}`;
  await desk.run(["backup", source, to]);
  rmSync(desk.path("target/mailferry"), { recursive: true });
  desk.put("source", ["e"]);
  const before = tree(desk.path("target"));
  const { code, out, err } = await dry(to);
  expect(code).toBe(0);
  expect(out).toMatch(/^INBOX +→ +INBOX +1 +\S+ B +3 +0 /m);
  expect(out).toMatch(/^Sent +→ +\S+ +0 +0 B +1 +0 /m);
  expect(err).toMatch(/planned +1\n/);
  expect(err).toMatch(/in the target already, by date and size +4\n/);
  expect(tree(desk.path("target"))).toEqual(before);
  const real = await desk.run(["backup", source, to]);
  expect(real.err).toMatch(/ copied +1\b[\s\S]*adopted \(found in the target\) +4\n/);
});

it("of copies that another program made: of the same date and size each, and no more of them than there are", async () => {
  for (const place of ["cur", "new", "tmp"]) mkdirSync(desk.path(`target/${place}`), { recursive: true });
  const mail = readdirSync(desk.path("source/cur"));
  cpSync(desk.path(`source/cur/${mail[0]}`), desk.path("target/cur/1704189600.other.host:2,"), {
    preserveTimestamps: true,
  });
  const { out } = await dry(desk.path("target"));
  expect(out).toMatch(/^INBOX +→ +INBOX +2 +\S+ B +1 +0 /m);
});

it("of an mbox whose copies have other line ends", async () => {
  source = desk.path("box");
  const letter = (n: number): string => `From a@x Tue Jan  2 10:0${n}:00 2024\nSubject: ${n}\n\nbody\nof ${n}\n\n`;
  writeFileSync(source, letter(1) + letter(2));
  await desk.run(["backup", source, desk.path("target")]);
  renameSync(desk.path("target/mailferry"), desk.path("away"));
  writeFileSync(source, letter(1) + letter(2) + letter(3));
  const { out } = await dry(desk.path("target"));
  expect(out).toMatch(/^box +→ +\S+ +1 +\S+ B +2 +0 /m);
});

it("of what is to be deleted after it, and of a target that is not there or holds nothing", async () => {
  expect((await dry(desk.path("new"))).out).toMatch(/^INBOX +→ +INBOX +3 /m);
  mkdirSync(desk.path("empty"));
  expect((await dry(desk.path("empty"))).out).toMatch(/^INBOX +→ +INBOX +3 /m);
  expect(tree(desk.path("empty"))).toEqual([]);
});
