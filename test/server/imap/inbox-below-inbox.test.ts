// A folder INBOX below INBOX, into an account whose own folders lie below "INBOX.": made once, and found again.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { mailferry } from "../../kit/command.ts";
import { type Dovecot, startDovecot } from "../../kit/dovecot.ts";
import { startAccount } from "../../scripted/imap-account.ts";

let server: Dovecot;
let root = "";

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "inboxes-"));
  server = await startDovecot({
    users: ["target"],
    separator: ".",
    specialUse: {},
    fsync: false,
    extraConfig: "namespace inbox {\n  prefix = INBOX.\n}\n",
  });
});
afterAll(async () => {
  await server?.stop();
  rmSync(root, { recursive: true, force: true });
});

it("INBOX below INBOX is copied once, and a comparison finds it", async () => {
  const names = ["INBOX", "INBOX/INBOX", "INBOX/Sub", "Other"];
  await using source = await startAccount();
  for (const [n, name] of names.entries()) source.add(name, `Message-ID: <i${n}@example.org>\r\n\r\n${n}\r\n`);
  const from = `imap://anna@127.0.0.1:${source.server().port}?tls=none`;
  const go = async (verb: string): Promise<string> => {
    const { code, stdout, stderr } = await mailferry([verb, from, server.url("imaps", "target")], {
      cwd: root,
      sourcePassword: "secret",
      targetPassword: server.password,
      env: { XDG_STATE_HOME: join(root, "state") },
    });
    expect(`${code} ${stderr}`).toMatch(/^0 /);
    return `${stdout}${stderr}`;
  };
  expect(await go("migrate")).toMatch(new RegExp(`copied +${names.length}`));
  for (let run = 0; run < 2; run++) {
    expect(await go("migrate")).toMatch(/ copied +0/);
    expect(await go("verify")).toMatch(new RegExp(`in sum +${names.length} +0 +0 +0`));
  }
}, 60_000);
