// The floor of restores into a server that wants to be asked before each literal: one APPEND after the other, each step awaited.

import { readFileSync } from "node:fs";
import { messagesIn } from "./messages.ts";
import { mustBeOk, read } from "./responses.ts";
import { open, orders, quoted } from "./socket.ts";

const { target, path = "" } = orders();
if (target === undefined) throw new Error("no target");
const socket = await open(target);
let answer: () => void = () => undefined;
const closed = read(socket, {
  line(text) {
    mustBeOk(text);
    if (text.startsWith("+") || /^[a-z] OK/.test(text)) answer();
  },
});
const say = (octets: string | Buffer): Promise<void> =>
  new Promise((resolve) => {
    answer = resolve;
    socket.write(octets);
  });

await say(`a LOGIN ${quoted(target.user)} ${quoted(target.password)}\r\n`);
await say("s SELECT INBOX\r\n");
for (const bytes of messagesIn(readFileSync(path, "latin1"))) {
  await say(`d APPEND INBOX {${bytes.length}}\r\n`);
  await say(Buffer.concat([bytes, Buffer.from("\r\n")]));
}
await say("z LOGOUT\r\n");
await closed;
