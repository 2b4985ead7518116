// Into an account, from everything that can be read, killed at the steps of each way.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "migrate", from: "imap", to: "imap" }, deaths: 20, soak: "each" },
  { way: { command: "migrate --move", from: "imap", to: "imap" }, deaths: 12, soak: "each" },
  { way: { command: "migrate --move", from: "pop3", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "mbox", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "maildir", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "mboxzip", to: "imap" }, deaths: 6, soak: "edges" },
]);
