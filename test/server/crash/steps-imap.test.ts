// Into an account, from everything that can be read, killed at the steps of each way.
//
// mutation: src/migrate/pass.ts: "candidates ??= certainlyEmpty ? Promise.resolve(NO_CANDIDATES) : look();" -> "candidates ??= Promise.resolve(NO_CANDIDATES);" (tests: "migrate, imap to imap")
// mutation: src/migrate/remove.ts: "proved: true, ...(due ? { marked: true } : {}) }" -> "proved: true }" (tests: "migrate --move, imap to imap")
// mutation: src/protocol/imap/remove.ts: "const expunged = await connection.run(`UID EXPUNGE ${set}`);" -> "const expunged = marked;" (tests: "migrate --move, imap to imap")

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "migrate", from: "imap", to: "imap" }, deaths: 20, soak: "each" },
  { way: { command: "migrate --move", from: "imap", to: "imap" }, deaths: 12, soak: "each" },
  { way: { command: "migrate --move", from: "pop3", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "mbox", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "maildir", to: "imap" }, deaths: 6, soak: "edges" },
  { way: { command: "restore", from: "mboxzip", to: "imap" }, deaths: 6, soak: "edges" },
]);
