// The floor of splitting an mbox: the file read by large chunks and hashed as a whole.

import { createHash } from "node:crypto";
import { openSync, readSync } from "node:fs";
import { orders } from "./socket.ts";

const { path = "" } = orders();
const file = openSync(path, "r");
const chunk = Buffer.allocUnsafeSlow(1 << 20);
const hash = createHash("sha256");
let octets = 0;
for (let length = readSync(file, chunk); length > 0; length = readSync(file, chunk)) {
  hash.update(chunk.subarray(0, length));
  octets += length;
}
hash.digest("hex");
process.stdout.write(`${octets}\n`);
