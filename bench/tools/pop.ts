// The fetchers of maildrops: mpop, fetchmail and getmail. All leave the mail where it is.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Tool, versionOf } from "./tool.ts";

function maildir(target: string): string {
  const path = join(target, "mail");
  for (const name of ["cur", "new", "tmp"]) mkdirSync(join(path, name), { recursive: true });
  return path;
}

export const mpop = {
  name: "mpop",
  kind: "peer",
  version: () => versionOf("mpop"),
  does: (route) => route === "pop3-maildir",
  command({ source: { port, user, password, ca }, target, state }) {
    const config = join(state, "mpoprc");
    const tls = ca === undefined ? "tls off" : `tls on\ntls_starttls off\ntls_trust_file ${ca}`;
    writeFileSync(
      config,
      `account default
host localhost
port ${port}
user ${user}
password ${password}
auth user
${tls}
keep on
received_header off
uidls_file ${state}/uidls
delivery maildir ${maildir(target)}
`,
      { mode: 0o600 },
    );
    return { program: "mpop", args: ["-C", config, "-q"] };
  },
} satisfies Tool;

export const fetchmail = {
  name: "fetchmail",
  kind: "peer",
  adds: ["X-Fetchmail[A-Za-z-]*"],
  version: () => versionOf("fetchmail"),
  does: (route) => route === "pop3-maildir",
  command({ source: { port, user, password, ca }, target, state }) {
    const config = join(state, "fetchmailrc");
    const path = maildir(target);
    // It hands each message to a program; this is the least one that fills a Maildir as it should be filled.
    const deliver = join(state, "deliver");
    writeFileSync(
      deliver,
      `#!/bin/sh\nread -r up rest </proc/uptime\nname="$up.$$"\ncat >"${path}/tmp/$name" && mv "${path}/tmp/$name" "${path}/new/$name"\n`,
      { mode: 0o755 },
    );
    const tls = ca === undefined ? 'sslproto ""' : `ssl sslcertck sslcertfile "${ca}"`;
    writeFileSync(
      config,
      `set idfile "${state}/ids"
set no bouncemail
poll localhost protocol pop3 port ${port} uidl auth password
  user "${user}" password "${password}" is "root" here keep no rewrite ${tls} mda "${deliver}"
`,
      { mode: 0o600 },
    );
    return {
      program: "fetchmail",
      args: ["-f", config, "--silent", "--invisible", "--pidfile", join(state, "pid")],
      env: { FETCHMAILHOME: state, LC_ALL: "C" },
      good: [0, 1],
    };
  },
} satisfies Tool;

export const getmail = {
  name: "getmail",
  kind: "peer",
  version: () => versionOf("getmail"),
  // It reads IMAP too, into one heap; but there it did not come to an end (6.18, Dovecot 2.3) in any run that was tried.
  does: (route) => route === "pop3-maildir",
  command({ source: { port, user, password, ca }, target, state }) {
    const config = join(state, "getmailrc");
    writeFileSync(
      config,
      `[retriever]
type = SimplePOP3${ca === undefined ? "" : "SSL"}Retriever
server = localhost
port = ${port}
username = ${user}
password = ${password}
${ca === undefined ? "" : `ca_certs = ${ca}`}

[destination]
type = Maildir
path = ${maildir(target)}/

[options]
read_all = false
delete = false
delivered_to = false
received = false
verbose = 0
`,
    );
    return {
      program: "getmail",
      args: ["--getmaildir", state, "--rcfile", config, "--quiet"],
      env: { HOME: state },
      unprivileged: true,
    };
  },
} satisfies Tool;
