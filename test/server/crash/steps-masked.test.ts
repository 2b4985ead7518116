// Into an account that stores other octets than it was sent, at the same size, killed at the steps of each way: no altered copy is
// made a second time.

import { crashMatrix } from "./matrix.ts";

/** Messages are stored, and not one has its record: how many such moments there are later on is a matter of timing. */
const also = [{ kind: "write journal done", nth: 1 }];

crashMatrix(
  [
    { way: { command: "migrate", from: "imap", to: "imap" }, deaths: 8, also, soak: "each" },
    { way: { command: "restore", from: "maildir", to: "imap" }, deaths: 3, also, soak: "edges" },
  ],
  { masks: true },
);
