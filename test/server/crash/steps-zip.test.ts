// Drain a maildrop into an archive of zipped mboxes, killed at each of its steps.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { at: "each", way: { command: "drain", from: "pop3", to: "archive", compares: "keys", drains: true } },
  { at: "edges", way: { command: "backup", from: "imap", to: "file.zip", compares: "all", drains: false } },
  { at: "edges", way: { command: "backup", from: "imap", to: "archive", compares: "all", drains: false } },
  { at: "edges", way: { command: "restore", from: "mbox", to: "imap", compares: "keys", drains: false } },
]);
