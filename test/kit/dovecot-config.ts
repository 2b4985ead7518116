// The private configuration that the test Dovecot runs with: everything in one folder, one ordinary user, nothing that throttles.

import { join } from "node:path";
import type { DovecotOptions } from "./dovecot.ts";

export interface Ports {
  readonly imap: number;
  readonly imaps: number;
  readonly pop3: number;
  readonly pop3s: number;
}

/** The user and group that every process of the server runs as. */
export interface Account {
  readonly user: string;
  readonly group: string;
  readonly uid: number;
  readonly gid: number;
}

/** The text of dovecot.conf for Dovecot 2.3; everything it names lies in `directory`. */
export function configuration(options: DovecotOptions, directory: string, ports: Ports, account: Account): string {
  const { listescape = true, separator = "/", layout = "maildir++", fsync = true } = options;
  const plugins = [...(listescape ? ["listescape"] : []), ...(options.plugins ?? [])];
  const specialUse = options.specialUse ?? {
    Drafts: "Drafts",
    Junk: "Junk",
    Trash: "Trash",
    Sent: "Sent",
    Archive: "Archive",
  };
  const uses = Object.entries(specialUse).map(
    ([folder, use]) => `  mailbox ${quote(folder)} {\n    special_use = \\${use}\n    auto = no\n  }`,
  );
  return `
protocols = imap pop3
listen = 127.0.0.1
base_dir = ${join(directory, "run")}
state_dir = ${join(directory, "state")}
log_path = ${join(directory, "log")}
instance_name = mailferry-test
shutdown_clients = yes
default_internal_user = ${account.user}
default_internal_group = ${account.group}
default_login_user = ${account.user}
first_valid_uid = 1
first_valid_gid = 1
default_process_limit = 1000
default_client_limit = 4000
mail_max_userip_connections = 1000
mail_fsync = ${fsync ? "optimized" : "never"}

ssl = yes
ssl_cert = <${join(directory, "certificate.pem")}
ssl_key = <${join(directory, "key.pem")}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = ${options.plaintext === false ? "yes" : "no"}

# A wrong password is answered at once, and is not held against the next login.
auth_failure_delay = 0
auth_mechanisms = plain login
auth_cache_size = 0
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u ${join(directory, "users")}/%u
}
userdb {
  driver = passwd-file
  args = username_format=%u ${join(directory, "users")}/%u
}

mail_location = maildir:~/Maildir${layout === "fs" ? ":LAYOUT=fs" : ""}
mail_plugins = ${plugins.join(" ")}
namespace inbox {
  inbox = yes
  separator = ${separator}
${uses.join("\n")}
}
protocol imap {
  mail_plugins = $mail_plugins ${(options.imapPlugins ?? []).join(" ")}
}
pop3_lock_session = yes
pop3_no_flag_updates = no

service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = ${ports.imaps}
    ssl = yes
  }
}
service pop3-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {
    port = ${ports.pop3}
  }
  inet_listener pop3s {
    port = ${ports.pop3s}
    ssl = yes
  }
}
service imap {
  vsz_limit = 1G
  process_limit = 1000
}
service pop3 {
  vsz_limit = 1G
  process_limit = 1000
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service auth {
  unix_listener auth-userdb {
    mode = 0600
  }
}
${options.extraConfig ?? ""}
`;
}

/** A value in double quotes. */
function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
