// Into a zip that is written once, from everything that can be read, killed at the steps of each way.
//
// mutation: src/migrate/pass.ts: "candidates ??= certainlyEmpty ? Promise.resolve(NO_CANDIDATES) : look();" -> "candidates ??= Promise.resolve(NO_CANDIDATES);" (tests: "backup, imap to file.zip")
// mutation: src/formats/mboxzip/find.ts: "  await clearParts(file, home, lock);\n}" -> "}" (tests: "backup, mbox to file.zip")
// mutation: src/formats/mboxzip/find.ts: "if (record.job !== job) throw" -> "if (record.job === job) throw" (tests: "backup, maildir to file.zip")

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "backup", from: "imap", to: "file.zip" }, deaths: 8, soak: "edges" },
  { way: { command: "drain", from: "pop3", to: "file.zip" }, deaths: 8, soak: "edges" },
  { way: { command: "backup", from: "mbox", to: "file.zip" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "maildir", to: "file.zip" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "mboxzip", to: "file.zip" }, deaths: 6, soak: "edges" },
]);
