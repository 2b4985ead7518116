// Into a Maildir, from everything that can be read, killed at the steps of each way.
//
// mutation: src/migrate/pass.ts: "candidates ??= certainlyEmpty ? Promise.resolve(NO_CANDIDATES) : look();" -> "candidates ??= Promise.resolve(NO_CANDIDATES);" (tests: "backup, imap to maildir")
// mutation: src/formats/maildir/temporary.ts: "futimesSync(fd, epochSeconds, epochSeconds);" -> "" (tests: "backup, mbox to maildir")
// mutation: src/sources/pop3.ts: "        await session.quit();\n        return marked;" -> "        return marked;" (tests: "drain, pop3 to maildir")

import { crashMatrix } from "./matrix.ts";

crashMatrix([
  { way: { command: "backup", from: "imap", to: "maildir" }, deaths: 24, soak: "each" },
  { way: { command: "drain", from: "pop3", to: "maildir" }, deaths: 8, soak: "edges" },
  { way: { command: "backup", from: "mbox", to: "maildir" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "maildir", to: "maildir" }, deaths: 6, soak: "edges" },
  { way: { command: "backup", from: "mboxzip", to: "maildir" }, deaths: 6, soak: "edges" },
]);
