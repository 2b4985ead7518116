// A record whose id names another message now: kept under its content, taken over by whoever has that content, there after a restart.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ContentKey } from "../../src/mail/key.ts";
import { NO_TRAITS, type Origin } from "../../src/mail/model.ts";
import { openLedger } from "../../src/migrate/journal.ts";
import type { DoneRecord, FolderLedger, Ledger } from "../../src/migrate/ledger.ts";

const PAIR = { source: "pop3://a", sink: "maildir:b" };
const KEY = "a".repeat(64) as ContentKey;
const OTHER = "b".repeat(64) as ContentKey;

let directory: string;
let ledger: Ledger;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "mailferry-displace-"));
  await reopen();
});
afterEach(async () => {
  await ledger[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function reopen(): Promise<void> {
  await ledger?.[Symbol.asyncDispose]();
  ledger = await openLedger(directory, PAIR, { keepsAnnounced: true });
  await ledger.beginRun({ version: "1", selection: {} });
}

const at = (id: string): Origin => ({ folder: ["INBOX"], generation: "maildrop", id });

function done(id: string, key = KEY, receipt = id): DoneRecord {
  const copy = { key, size: 10, announced: 12, receipt: { ref: receipt }, traits: NO_TRAITS };
  return { state: "done", origin: at(id), ...copy, firstSeen: 1000, proved: false };
}

async function listed(folder: FolderLedger): Promise<(readonly [string, string | undefined])[]> {
  const all: (readonly [string, string | undefined])[] = [];
  for await (const { origin, receipt } of folder.records()) all.push([origin.id, receipt?.ref]);
  return all.sort();
}

it("is held, and its id is free for another message", async () => {
  let folder = await ledger.folder("INBOX");
  await folder.put(done("1"));
  expect(folder.find(at("1"))?.announced).toBe(12);
  await folder.displace(at("1"));
  expect(folder.find(at("1"))).toBeUndefined();
  expect(folder.holds({ ref: "1" })).toBe(true);
  await folder.put(done("1", OTHER, "r2"));
  await reopen();
  folder = await ledger.folder("INBOX");
  expect(await listed(folder)).toEqual([
    ["1", "r2"],
    [`sha256:${KEY}`, "1"],
  ]);
});

it("is taken over by who has its content, once, with the size that that was announced with", async () => {
  const folder = await ledger.folder("INBOX");
  await folder.put(done("1"));
  await folder.displace(at("1"));
  folder.listedAll(["INBOX"], "maildrop");
  expect(await folder.adopt(at("2"), OTHER)).toBeUndefined();
  expect(await folder.adopt(at("2"), KEY, 15)).toMatchObject({ origin: at("2"), firstSeen: 1000, announced: 15 });
  expect(await folder.adopt(at("3"), KEY, 15)).toBeUndefined();
  expect(folder.find(at("2"))?.announced).toBe(15);
});

it("has a name of its own beside its twin", async () => {
  const folder = await ledger.folder("INBOX");
  for (const id of ["1", "2"]) await folder.put(done(id));
  for (const id of ["1", "2", "3"]) await folder.displace(at(id));
  expect(await listed(folder)).toEqual([
    [`sha256:${KEY}#2`, "2"],
    [`sha256:${KEY}`, "1"],
  ]);
});
