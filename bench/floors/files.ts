// The floor of backups: floor-read, but each message goes to a file of its own, without fsync.

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { listedName, mustBeOk, read } from "./responses.ts";
import { open, orders, quoted } from "./socket.ts";

const { source, path = "." } = orders();
const socket = await open(source);
const names: string[] = [];
socket.write(`a LOGIN ${quoted(source.user)} ${quoted(source.password)}\r\nb LIST "" "*"\r\n`);
let folder = -1;
let message = 0;
let total = 0;
let file: number | undefined;
await read(socket, {
  line(text, literal) {
    mustBeOk(text);
    const name = listedName(text);
    if (name !== undefined) names.push(name);
    if (text.startsWith("b OK")) {
      names.forEach((_, index) => {
        mkdirSync(join(path, `${index}`, "cur"), { recursive: true });
      });
      const commands = names.map(
        (each) => `c EXAMINE ${each}\r\nd UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])\r\n`,
      );
      socket.write(`${commands.join("")}e LOGOUT\r\n`);
    } else if (text.startsWith("* FLAGS ")) folder++;
    if (literal !== undefined) total = literal;
  },
  piece(bytes, left) {
    const at = (): string => join(path, `${folder}`, "cur", `${++message}:2,`);
    if (bytes.length === total) writeFileSync(at(), bytes);
    else {
      file ??= openSync(at(), "wx");
      writeSync(file, bytes);
      if (left > 0) return;
      closeSync(file);
      file = undefined;
    }
  },
});
process.stdout.write(`${message}\n`);
