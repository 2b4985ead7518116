// Migrate from account to account, killed at each of its steps.

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { at: "each", way: { command: "migrate", from: "imap", to: "imap", compares: "all", drains: false } },
  { at: "edges", way: { command: "migrate --move", from: "imap", to: "imap", compares: "all", drains: true } },
]);
