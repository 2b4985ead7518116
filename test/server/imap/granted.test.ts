// A server that lets in fewer connections than we would open: work goes on over those that there are, whole and without a second copy.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { mailbox } from "../../../fixtures/make.ts";
import { mailferry } from "../../kit/command.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { seedMaildir } from "../../kit/seed-maildir.ts";

const MESSAGES = 600;
const FOLDERS = 12;

let server: Dovecot;
let root = "";

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "granted-"));
  server = await startDovecot({
    users: ["source", "target"],
    fsync: false,
    extraConfig: "protocol imap {\n  mail_max_userip_connections = 1\n}\n",
  });
  seedMaildir(server, "source", mailbox({ seed: 5, messages: MESSAGES, folders: FOLDERS }));
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

async function go(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await mailferry(args, {
    cwd: root,
    sourcePassword: server.password,
    targetPassword: server.password,
    env: { XDG_STATE_HOME: join(root, "state") },
  });
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stderr;
}

it("IMAP to Maildir and IMAP to IMAP over one connection a side, as that is all the server grants", async () => {
  const source = server.url("imaps", "source");
  const archive = join(root, "archive");
  for (const target of [`maildir:${archive}`, server.url("imaps", "target")]) {
    const verb = target.startsWith("maildir:") ? "backup" : "migrate";
    expect(await go(verb, source, target)).toMatch(new RegExp(`copied +${MESSAGES}`));
    expect(await go(verb, source, target)).toMatch(/copied +0/);
  }
  await go("verify", server.url("imaps", "target"), `maildir:${archive}`, "--both-ways");
}, 60_000);
