// The floor of restores: an mbox file in memory, split at its From_ lines, into MULTIAPPENDs.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { startAppending } from "./appending.ts";
import { orders } from "./socket.ts";

const { target, path = "" } = orders();
if (target === undefined) throw new Error("no target");
const appending = await startAppending(target);
const text = readFileSync(path, "latin1");
appending.folder("INBOX");
let at = 0;
while (at < text.length) {
  const start = text.indexOf("\n", at) + 1;
  const found = text.indexOf("\n\nFrom ", start);
  const end = found < 0 ? text.length - 1 : found + 1;
  const message = text
    .slice(start, end)
    .replace(/^>(>*From )/gm, "$1")
    .replaceAll("\n", "\r\n");
  const bytes = Buffer.from(message, "latin1");
  appending.message("", bytes.length);
  appending.bytes(bytes);
  if (appending.socket.writableNeedDrain) await once(appending.socket, "drain");
  at = found < 0 ? text.length : found + 2;
}
await appending.end();
