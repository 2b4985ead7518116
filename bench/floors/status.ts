// The floor of a run with nothing new: one LIST-STATUS (RFC 5819).

import { mustBeOk, read } from "./responses.ts";
import { open, orders, quoted } from "./socket.ts";

const { source } = orders();
const socket = await open(source);
let folders = 0;
socket.write(
  `a LOGIN ${quoted(source.user)} ${quoted(source.password)}\r\nb LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))\r\nc LOGOUT\r\n`,
);
await read(socket, {
  line(text) {
    mustBeOk(text);
    if (text.startsWith("* STATUS ")) folders++;
  },
});
process.stdout.write(`${folders}\n`);
