// mbsync (isync): IMAP to Maildir and IMAP to IMAP, with its defaults, and the received dates that mailferry keeps too.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Account } from "../floors/socket.ts";
import { type Tool, versionOf } from "./tool.ts";

function store(name: string, { port, user, password, ca }: Account): string {
  return `IMAPAccount ${name}
Host localhost
Port ${port}
User ${user}
Pass ${password}
AuthMechs LOGIN
${ca === undefined ? "SSLType None" : `SSLType IMAPS\nSystemCertificates no\nCertificateFile ${ca}`}

IMAPStore ${name}
Account ${name}
`;
}

export const mbsync = {
  name: "mbsync",
  kind: "peer",
  adds: ["X-TUID"],
  version: () => versionOf("mbsync"),
  does: (route) => route === "imap-maildir" || route === "imap-imap",
  command({ source, account, target, state }) {
    const near =
      account === undefined
        ? `MaildirStore near\nPath ${target}/\nInbox ${target}/INBOX\nSubFolders Verbatim\n`
        : store("near", account);
    const config = join(state, "mbsyncrc");
    const records = join(state, "sync");
    mkdirSync(records, { recursive: true });
    const channel = `Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState ${records}/
`;
    writeFileSync(config, [store("far", source), near, channel].join("\n"));
    return { program: "mbsync", args: ["-c", config, "-q", "-a"] };
  },
} satisfies Tool;
