// dovecot-keywords, subscriptions and finding files: files that are shared with other programs.

import { mkdir, readdir, readFile, rename, rm, unlink, utimes, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { keywordsOf } from "../../../src/formats/maildir/keywords.ts";
import { locatorOf } from "../../../src/formats/maildir/locate.ts";
import { openSidecar } from "../../../src/formats/maildir/sidecar.ts";
import { addSubscriptions, readSubscriptions } from "../../../src/formats/maildir/subscriptions.ts";
import { plant, scratch } from "./kit.ts";

const at = scratch();

test("keywords get the free letters, in order; what is there stays, and case makes no second one", async () => {
  await plant(at.path(), { "cur/": "", "dovecot-keywords": "0 Zero\n2 Two\n" });
  const keywords = keywordsOf(at.path());
  await keywords.ensure(["ZERO", "one", "One", "three", "no atom", "(", "x".repeat(51)]);
  expect(await readFile(at.path("dovecot-keywords"), "utf8")).toBe("0 Zero\n1 one\n2 Two\n3 three\n");
  expect(["zero", "ONE", "two", "three", "no atom"].map(keywords.letterOf)).toEqual(["a", "b", "c", "d", undefined]);
  expect(keywords.nameOf("d")).toBe("three");
  expect(await readdir(at.path())).toEqual(["cur", "dovecot-keywords"]);
});

test("a letter that files carry without a meaning is not given a new one", async () => {
  await plant(at.path(), { "cur/1.a:2,Sac": "", "new/": "" });
  const keywords = keywordsOf(at.path());
  await keywords.ensure(["x", "y"]);
  expect(["x", "y"].map(keywords.letterOf)).toEqual(["b", "d"]);
});

test("the 27th keyword has no letter, and asking for it again writes nothing", async () => {
  await plant(at.path(), { "cur/": "" });
  const keywords = keywordsOf(at.path());
  await Promise.all(Array.from({ length: 30 }, (_, i) => keywords.ensure([`k${i}`])));
  expect(
    Array.from({ length: 30 }, (_, i) => keywords.letterOf(`k${i}`)).filter((letter) => letter !== undefined),
  ).toHaveLength(26);
  const before = await readFile(at.path("dovecot-keywords"), "utf8");
  await keywords.ensure(["another"]);
  expect(await readFile(at.path("dovecot-keywords"), "utf8")).toBe(before);
});

test("Dovecot's lock is waited for, and a stale one is broken", async () => {
  await plant(at.path(), { "cur/": "", "dovecot-keywords.lock": "" });
  const keywords = keywordsOf(at.path());
  const waiting = keywords.ensure(["x"]);
  await writeFile(at.path("dovecot-keywords.lock"), "0 theirs\n");
  await rename(at.path("dovecot-keywords.lock"), at.path("dovecot-keywords"));
  await waiting;
  expect(await readFile(at.path("dovecot-keywords"), "utf8")).toBe("0 theirs\n1 x\n");
  await writeFile(at.path("dovecot-keywords.lock"), "");
  const old = new Date(Date.now() - 120_000);
  await utimes(at.path("dovecot-keywords.lock"), old, old);
  await keywords.ensure(["y"]);
  expect(keywords.letterOf("y")).toBe("c");
});

test("subscriptions are read in each form, and added in the form that is there", async () => {
  expect(await readSubscriptions(at.path())).toBeUndefined();
  await plant(at.path(), { courierimapsubscribed: "INBOX\nINBOX.A.B\n" });
  expect(await readSubscriptions(at.path())).toEqual(new Set(["", ".A.B"]));
  await addSubscriptions(at.path(), [".A.B", ".x\\2ey", ""]);
  expect(await readFile(at.path("subscriptions"), "utf8")).toBe("V\t2\n\nA\tB\nx\\2ey\nINBOX\n");
  expect(await readSubscriptions(at.path())).toEqual(new Set([".A.B", ".x\\2ey", ""]));
  await writeFile(at.path("subscriptions"), "A.B\nOld");
  await addSubscriptions(at.path(), [".A.B", ".New.One"]);
  expect(await readFile(at.path("subscriptions"), "utf8")).toBe("A.B\nOld\nNew.One\n");
});

test("a file is found under every new name, and what is gone is gone", async () => {
  await plant(at.path(), {
    "cur/": "",
    "tmp/": "",
    ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`new/${i}.x`, String(i)])),
  });
  const locator = locatorOf(at.path());
  const find = (base: string) => locator.with(base, async (file) => [file, await readFile(at.path(file), "utf8")]);
  for (let i = 0; i < 500; i++) expect(await find(`${i}.x`)).toEqual([`new/${i}.x`, String(i)]);
  await rename(at.path("new/7.x"), at.path("cur/7.x:2,RS"));
  await unlink(at.path("new/8.x"));
  await writeFile(at.path("cur/late.y:2,"), "late");
  expect(await find("7.x")).toEqual(["cur/7.x:2,RS", "7"]);
  expect(await find("8.x")).toBeUndefined();
  expect(await find("late.y")).toEqual(["cur/late.y:2,", "late"]);
  await rename(at.path("cur/late.y:2,"), at.path("cur/late.y:2,T"));
  locator.moved("late.y", "cur/late.y:2,T");
  expect(await find("late.y")).toEqual(["cur/late.y:2,T", "late"]);
});

test("the sidecar gives back the newest record of each message, of many, after opening it again too", async () => {
  const path = at.path("traits.jsonl");
  const sidecar = await openSidecar(path);
  expect(await sidecar.get("a")).toBeUndefined();
  const record = (i: number, text: string) => ({
    base: `m${i}`,
    extra: { keywords: [], labels: [`${text}${i} ünï\n"`.repeat(20)] },
  });
  await Promise.all([
    sidecar.put(Array.from({ length: 2000 }, (_, i) => record(i, "old"))),
    sidecar.put([record(3, "new"), record(1999, "new")]),
  ]);
  for (const one of [sidecar, await openSidecar(path)])
    for (const i of [0, 1, 3, 1000, 1999])
      expect(await one.get(`m${i}`)).toEqual(record(i, i === 3 || i === 1999 ? "new" : "old").extra);
  await rm(path);
  await mkdir(path);
  // It tells nothing, and keeps nobody from the mail; that it is gone is told by the archive's list of its own files.
  expect(await (await openSidecar(path)).get("1")).toBeUndefined();
});
