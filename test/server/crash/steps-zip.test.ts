// Into a zip that is written once, from everything that can be read, killed at the steps of each way.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "backup", from: "imap", to: "file.zip" }, deaths: 8, soak: "edges" },
  { way: { command: "drain", from: "pop3", to: "file.zip" }, deaths: 8, soak: "edges" },
  { way: { command: "backup", from: "mbox", to: "file.zip" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "maildir", to: "file.zip" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "mboxzip", to: "file.zip" }, deaths: 6, soak: "edges" },
]);
