// The floor of restores: an mbox file in memory, split at its From_ lines, into MULTIAPPENDs.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { startAppending } from "./appending.ts";
import { messagesIn } from "./messages.ts";
import { orders } from "./socket.ts";

const { target, path = "" } = orders();
if (target === undefined) throw new Error("no target");
const appending = await startAppending(target);
appending.folder("INBOX");
for (const bytes of messagesIn(readFileSync(path, "latin1"))) {
  appending.message("", bytes.length);
  appending.bytes(bytes);
  if (appending.socket.writableNeedDrain) await once(appending.socket, "drain");
}
await appending.end();
