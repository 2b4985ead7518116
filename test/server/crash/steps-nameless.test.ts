// Into an account that does not tell the UIDs of what it stores (no UIDPLUS), killed at the steps of each way: twins stay as many
// as they were, though no copy has a name.
//
// mutation: src/migrate/pass.ts: "candidates ??= certainlyEmpty ? Promise.resolve(NO_CANDIDATES) : look();" -> "candidates ??= Promise.resolve(NO_CANDIDATES);"

import { crashMatrix } from "./matrix.ts";

crashMatrix(
  [
    { way: { command: "migrate", from: "imap", to: "imap" }, deaths: 10, soak: "each" },
    { way: { command: "restore", from: "maildir", to: "imap" }, deaths: 4, soak: "edges" },
  ],
  { uidplus: false },
);
