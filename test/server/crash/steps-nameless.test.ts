// Into an account that does not tell the UIDs of what it stores (no UIDPLUS), killed at the steps of each way: twins stay as many
// as they were, though no copy has a name.

import { crashMatrix } from "./matrix.ts";

/** Messages are stored, and not one has its record: how many such moments there are later on is a matter of timing. */
const also = [{ kind: "write journal done", nth: 1 }];

crashMatrix(
  [
    { way: { command: "migrate", from: "imap", to: "imap" }, deaths: 10, also, soak: "each" },
    { way: { command: "restore", from: "maildir", to: "imap" }, deaths: 4, also, soak: "edges" },
  ],
  { uidplus: false },
);
