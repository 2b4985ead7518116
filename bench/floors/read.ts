// The floor of reading: EXAMINE and FETCH of every folder sent ahead on one socket, the bytes thrown away.

import { listedName, mustBeOk, read } from "./responses.ts";
import { open, orders, quoted } from "./socket.ts";

const { source } = orders();
const socket = await open(source);
const names: string[] = [];
socket.write(`a LOGIN ${quoted(source.user)} ${quoted(source.password)}\r\nb LIST "" "*"\r\n`);
let received = 0;
await read(socket, {
  line(text) {
    mustBeOk(text);
    const name = listedName(text);
    if (name !== undefined) names.push(name);
    if (!text.startsWith("b OK")) return;
    const commands = names.map(
      (each) => `c EXAMINE ${each}\r\nd UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])\r\n`,
    );
    socket.write(`${commands.join("")}e LOGOUT\r\n`);
  },
  piece(bytes) {
    received += bytes.length;
  },
});
process.stdout.write(`${received}\n`);
