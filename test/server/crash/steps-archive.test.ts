// Into an archive that grows by a zip a run, from everything that can be read, killed at the steps of each way.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "drain", from: "pop3", to: "archive" }, deaths: 24, soak: "each" },
  { way: { command: "backup", from: "imap", to: "archive" }, deaths: 8, soak: "edges" },
  { way: { command: "backup", from: "mbox", to: "archive" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "maildir", to: "archive" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "mboxzip", to: "archive" }, deaths: 6, soak: "edges" },
]);
