// Dovecot's own copier: doveadm backup, reading the account through imapc.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../test/kit/install.ts";
import { type Tool, versionOf } from "./tool.ts";

export const doveadm = {
  name: "doveadm",
  kind: "peer",
  version: () => (findProgram("doveadm") === undefined ? undefined : versionOf(findProgram("dovecot") ?? "dovecot")),
  does: (route) => route === "imap-maildir",
  command({ source: { port, user, password, ca }, target, state }) {
    const config = join(state, "dovecot.conf");
    // An address: names it looks up by a service of a running Dovecot.
    writeFileSync(
      config,
      `base_dir = ${state}/run
log_path = /dev/stderr
protocols =
ssl_client_ca_file = ${ca ?? ""}
mail_home = ${state}
mail_location = maildir:${target}/mail:LAYOUT=fs
imapc_host = 127.0.0.1
imapc_port = ${port}
imapc_user = ${user}
imapc_password = ${password}
imapc_ssl = ${ca === undefined ? "no" : "imaps"}
imapc_ssl_verify = ${ca === undefined ? "no" : "yes"}
imapc_features = rfc822.size fetch-headers
namespace inbox {
  inbox = yes
  separator = /
}
`,
    );
    return {
      program: findProgram("doveadm") ?? "doveadm",
      args: ["-c", config, "backup", "-R", "imapc:"],
      env: { HOME: state, USER: user },
      unprivileged: true,
    };
  },
} satisfies Tool;
