// The floor of moves between accounts: every literal fetched is streamed into a MULTIAPPEND at the other end.

import { startAppending } from "./appending.ts";
import { listedName, mustBeOk, read } from "./responses.ts";
import { open, orders, quoted } from "./socket.ts";

const { source, target = source } = orders();
const [socket, appending] = await Promise.all([open(source), startAppending(target)]);
const names: string[] = [];
let next = 0;
socket.write(`a LOGIN ${quoted(source.user)} ${quoted(source.password)}\r\nb LIST "" "*"\r\n`);
appending.socket.on("drain", () => socket.resume());
await read(socket, {
  line(text, literal) {
    mustBeOk(text);
    const name = listedName(text);
    if (name !== undefined) names.push(name);
    if (text.startsWith("b OK")) {
      const commands = names.map(
        (each) => `c EXAMINE ${each}\r\nd UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])\r\n`,
      );
      socket.write(`${commands.join("")}e LOGOUT\r\n`);
    } else if (text.startsWith("* FLAGS ")) appending.folder(names[next++] ?? "INBOX");
    if (literal === undefined) return;
    const flags = /FLAGS \(([^)]*)\)/.exec(text)?.[1]?.replace(/\\Recent ?/, "") ?? "";
    const date = /INTERNALDATE ("[^"]*")/.exec(text)?.[1] ?? "";
    appending.message(`(${flags.trim()}) ${date} `, literal);
  },
  piece(bytes) {
    appending.bytes(bytes);
    if (appending.socket.writableNeedDrain) socket.pause();
  },
});
await appending.end();
