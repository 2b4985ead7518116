// The IMAP and POP3 adapters through the shared suites, on a real Dovecot.

import { afterAll, beforeAll } from "vitest";
import { openImapSink } from "../../src/sinks/imap.ts";
import { openImapSource } from "../../src/sources/imap.ts";
import { openPop3Source } from "../../src/sources/pop3.ts";
import type { SeedFolder } from "../conformance/seed.ts";
import { sinkConformance } from "../conformance/sink.ts";
import { sourceConformance } from "../conformance/source.ts";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import { connectImap } from "../kit/imap-client.ts";

const NEVER = new AbortController().signal;

let dovecot: Dovecot;
let users = 0;
beforeAll(async () => {
  dovecot = await startDovecot({ users: [], fsync: false });
});
afterAll(() => dovecot?.stop());

/** A new and empty account. */
async function newUser(): Promise<string> {
  const user = `user${++users}`;
  await dovecot.addUser(user);
  return user;
}

async function seeded(folders: readonly SeedFolder[]): Promise<string> {
  const user = await newUser();
  await using client = await connectImap(dovecot.serverOptions("imaps", user));
  for (const { path, mail } of folders) {
    if (path.join() !== "INBOX") await client.create(path);
    for (const { bytes, traits } of mail)
      await client.append({
        folder: path,
        bytes,
        flags: [...traits.flags],
        keywords: [...traits.keywords],
        ...(traits.received === undefined ? {} : { received: traits.received }),
      });
  }
  return user;
}

const dispose = async (): Promise<void> => undefined;

sourceConformance("IMAP", {
  async make(folders) {
    const user = await seeded(folders);
    return { source: await openImapSource(dovecot.serverOptions("imaps", user), NEVER), dispose };
  },
});

sinkConformance("IMAP", {
  async make() {
    const server = dovecot.serverOptions("imap", await newUser());
    return {
      sink: await openImapSink(server, NEVER),
      reopenSink: () => openImapSink(server, NEVER),
      asSource: () => openImapSource(server, NEVER),
      dispose,
    };
  },
});

sourceConformance("POP3", {
  async make(folders) {
    const user = await seeded(folders);
    return { source: await openPop3Source(dovecot.serverOptions("pop3s", user), NEVER), dispose };
  },
  inboxOnly: true,
});
