// Into a Maildir, from everything that can be read, killed at the steps of each way.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "backup", from: "imap", to: "maildir" }, deaths: 24, soak: "each" },
  { way: { command: "drain", from: "pop3", to: "maildir" }, deaths: 8, soak: "edges" },
  { way: { command: "backup", from: "mbox", to: "maildir" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "maildir", to: "maildir" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "mboxzip", to: "maildir" }, deaths: 6, soak: "edges" },
]);
