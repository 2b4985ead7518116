// OfflineIMAP: IMAP to Maildir, one way.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Tool, versionOf } from "./tool.ts";

export const offlineimap = {
  name: "offlineimap",
  kind: "peer",
  adds: ["X-OfflineIMAP"],
  version: () => versionOf("offlineimap"),
  does: (route) => route === "imap-maildir",
  command({ source: { port, user, password, ca }, target, state }) {
    const config = join(state, "offlineimaprc");
    writeFileSync(
      config,
      `[general]
accounts = a
metadata = ${state}/metadata

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = ${target}/mail
sep = /
utime_from_header = no

[Repository far]
type = IMAP
remotehost = localhost
remoteport = ${port}
remoteuser = ${user}
remotepass = ${password}
readonly = True
auth_mechanisms = LOGIN
starttls = no
ssl = ${ca === undefined ? "no" : `yes\nsslcacertfile = ${ca}`}
`,
    );
    return { program: "offlineimap", args: ["-c", config, "-o", "-u", "quiet"], env: { HOME: state } };
  },
} satisfies Tool;
