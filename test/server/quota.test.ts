// A real server's quota: what fits comes, the rest is not sent in vain and not set aside, the run ends with 5, and once there is room
// the next one brings the rest.

import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countCompared } from "../kit/counts.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { connectImap, type Seed } from "../kit/imap-client.ts";
import { carryOut } from "../kit/in-process.ts";
import { seedMaildir } from "../kit/seed-maildir.ts";

const ROOM = 25;
const MAIL: readonly Seed[] = Array.from({ length: 60 }, (_, i) => ({
  folder: i < 40 ? ["INBOX"] : ["Work"],
  bytes: Buffer.from(`Message-ID: <${i}@x>\r\nSubject: ${i}\r\n\r\n${"body\r\n".repeat(20)}`),
}));

let source: Dovecot;
let target: Dovecot;
let root = "";
let serial = 0;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "mailferry-quota-"));
  source = await startDovecot({ users: ["anna"], fsync: false });
  seedMaildir(source, "anna", MAIL);
  target = await startDovecot({
    users: [],
    fsync: false,
    plugins: ["quota"],
    imapPlugins: ["imap_quota"],
    extraConfig: `plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:messages=${ROOM}\n}\n`,
  });
});
afterAll(async () => {
  await source?.stop();
  await target?.stop();
  rmSync(root, { recursive: true, force: true });
});

/** The keys of all that is there. */
async function held(user: string): Promise<string[]> {
  await using client = await connectImap(target.serverOptions("imaps", user));
  const all: string[] = [];
  for (const { path } of await client.folders()) for (const { key } of await client.read(path)) all.push(key);
  return all.sort();
}

function setAside(state: string): string[] {
  const names = existsSync(state) ? readdirSync(state, { recursive: true, encoding: "utf8" }) : [];
  return names.filter((name) => name.endsWith(".eml"));
}

describe.each([["migrate"], ["migrate", "--prove"]])("an account with room for some of it (%s %s)", (...words) => {
  it("gets what fits; the rest is not set aside, and comes once there is room", async () => {
    const user = `user${serial++}`;
    await target.addUser(user);
    const state = join(root, `state${serial}`);
    const [verb = "", ...options] = words;
    // Over several connections at once the server itself lets in one or two more.
    const there = `${target.url("imaps", user)}&connections=1`;
    const args = [verb, source.url("imaps", "anna"), there, "--state", state, ...options];
    for (let run = 0; run < 2; run++) {
      const { code, stderr } = await carryOut(args, target.password);
      expect(code, stderr).toBe(5);
      expect(stderr).toMatch(/account is full/);
      expect((await held(user)).length).toBe(ROOM);
      expect(setAside(state)).toEqual([]);
    }
    // Its owner makes room.
    await using client = await connectImap(target.serverOptions("imaps", user));
    let freed = 0;
    for (const { path } of await client.folders()) {
      const uids = (await client.read(path)).map(({ uid }) => uid);
      if (uids.length > 0) await client.expunge(path, uids.slice(0, 1));
      if (uids.length > 0) freed++;
    }
    const before = await held(user);
    expect(before.length).toBe(ROOM - freed);
    const { code, stderr } = await carryOut(args, target.password);
    expect(code, stderr).toBe(5);
    const after = await held(user);
    // What its owner deleted stays deleted; what was there is there once.
    countCompared(
      before,
      after.filter((key) => before.includes(key)),
    );
    expect(after.length).toBe(ROOM);
    expect(new Set(after).size).toBe(ROOM);
    expect(setAside(state)).toEqual([]);
  });
});
