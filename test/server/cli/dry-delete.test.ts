// A dry run of what deletes: how many messages would go, and where; and what drain says of an account before it begins.

import { afterAll, beforeAll, expect, it } from "vitest";
import { Desk } from "../../kit/cli.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import type { Seed } from "../../kit/imap-client.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

let server: Dovecot;
let desk: Desk;

function* mail(): Generator<Seed> {
  for (let i = 0; i < 12; i++)
    yield {
      folder: i < 8 ? ["INBOX"] : ["Clients"],
      bytes: Buffer.from(`Subject: ${i}\r\nMessage-ID: <${i}@x>\r\n\r\nbody ${i}\r\n`),
      flags: [],
      received: { epochSeconds: 1_700_000_000 + i },
    };
}

beforeAll(async () => {
  desk = new Desk();
  server = await startDovecot({ users: ["anna", "ben", "post"] });
  for (const user of ["anna", "post"]) seedMaildir(server, user, mail());
});
afterAll(async () => {
  await server?.stop();
  desk[Symbol.dispose]();
});

const run = (...args: string[]) =>
  desk.run(args, { MAILFERRY_SOURCE_PASSWORD: server.password, MAILFERRY_TARGET_PASSWORD: server.password });
const drain = (...more: string[]) => run("drain", server.url("imaps", "anna"), desk.path("archive"), ...more);

it("a dry run says what would be deleted, where, and what would keep it", async () => {
  const plan = await drain("--dry-run");
  expect(plan).toMatchObject({ code: 0, out: expect.stringMatching(/TO DELETE\n/) });
  expect(plan.out).toMatch(/^INBOX .* 8\n?$/m);
  expect(plan.err).toContain("12 messages would be deleted at the source, once proved: INBOX 8, Clients 4.");
  const young = await drain("--dry-run", "--leave-for", "14d");
  expect(young.err).toContain("Nothing would be deleted at the source.");
  const bound = await drain("--dry-run", "--max-delete", "50%");
  expect(bound.err).toContain(
    "nothing would be deleted at the source: 12 messages would go, and the bound is 6, 50% of the 12 listed",
  );
  const moved = await run(
    "migrate",
    server.url("imaps", "anna"),
    server.url("imaps", "ben"),
    "--move",
    "--dry-run",
    "--json",
  );
  expect(JSON.parse(moved.out.trim().split("\n").at(-1) ?? "")).toMatchObject({ summary: { due: 12, removed: 0 } });
  const kept = await run("backup", server.url("imaps", "anna"), desk.path("archive"), "--dry-run");
  expect(kept.out + kept.err).not.toMatch(/delete/i);
});

it("what is in the archive already is there, and not left out; drain says what it takes from an account", async () => {
  const left = await drain("--leave");
  expect(left.err).not.toContain("drain deletes");
  const plan = await drain("--dry-run", "--exclude", "Clients");
  expect(plan.out).toMatch(/THERE ALREADY/);
  expect(plan.out).toMatch(/^INBOX +→ +\S+ +0 +0 B +8 +0 +- +8$/m);
  const { code, err } = await drain();
  expect(code).toBe(0);
  expect(err).toMatch(
    /^drain deletes what is proved to be in the archive from all 2 folders of imaps:\S+ \(12 messages\)/m,
  );
  expect(err).toMatch(/removed from the source, after proof +12/);
  expect((await drain("--dry-run")).err).toContain("Nothing would be deleted at the source.");
});

it("a maildrop is drained by the word of its name alone", async () => {
  const { err } = await run("drain", server.url("pop3s", "post"), desk.path("post"));
  expect(err).not.toContain("drain deletes");
  expect(err).toMatch(/removed from the source, after proof +8/);
});
