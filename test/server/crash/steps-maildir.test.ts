// Back up to a Maildir, killed at each of its steps.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { at: "each", way: { command: "backup", from: "imap", to: "maildir", compares: "all", drains: false } },
  { at: "edges", way: { command: "drain", from: "pop3", to: "maildir", compares: "keys", drains: true } },
  { at: "edges", way: { command: "migrate", from: "maildir", to: "imap", compares: "keys", drains: false } },
]);
