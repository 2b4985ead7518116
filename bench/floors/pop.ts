// The floor of draining a maildrop: every RETR sent ahead (RFC 2449 6.6), the bytes thrown away.

import { open, orders } from "./socket.ts";

const { source } = orders();
const socket = await open(source);
let head = "";
let asked = false;
let received = 0;
socket.write(`USER ${source.user}\r\nPASS ${source.password}\r\nSTAT\r\n`);
socket.on("data", (chunk: Buffer) => {
  received += chunk.length;
  if (asked) return;
  head += chunk.toString("latin1");
  const failed = /^-ERR.*/m.exec(head);
  if (failed !== null) {
    process.stderr.write(`${failed[0]}\n`);
    process.exit(1);
  }
  const count = /^\+OK (\d+) \d+\r\n/m.exec(head)?.[1];
  if (count === undefined) return;
  asked = true;
  const commands = Array.from({ length: Number(count) }, (_, index) => `RETR ${index + 1}\r\n`);
  socket.write(`${commands.join("")}QUIT\r\n`);
});
await new Promise<void>((resolve) => socket.once("close", () => resolve()));
process.stdout.write(`${received}\n`);
