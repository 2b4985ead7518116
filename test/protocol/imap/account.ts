// A small IMAP server that answers every command well, or refuses one kind of it, and keeps what it heard with its literals.

import type { ServerOptions } from "../../../src/protocol/server.ts";
import { type Conversation, type ScriptedServer, startScripted } from "../../kit/scripted.ts";
import { command, type Heard } from "./wire.ts";

export const options = (port: number, user = "ali", pass = "open sesame"): ServerOptions => ({
  host: "127.0.0.1",
  port,
  security: "none",
  user,
  password: async () => pass,
});

export interface Account {
  readonly server: ScriptedServer;
  readonly heard: Heard[];
}

export interface Habits {
  /** Folders, octet for octet; each is empty. */
  readonly listed?: readonly string[];
  /** What is said instead of OK to a command that begins so. */
  readonly refuse?: readonly [verb: string, answer: string];
}

export async function account(capabilities: string, { listed = [], refuse }: Habits = {}): Promise<Account> {
  const heard: Heard[] = [];
  const server = await startScripted(async (talk: Conversation) => {
    talk.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
    for (let next = await command(talk); next !== undefined; next = await command(talk)) {
      heard.push(next);
      const { tag, text } = next;
      if (text === "CAPABILITY") talk.send(`* CAPABILITY ${capabilities}\r\n`);
      if (text.startsWith("LIST"))
        for (const name of listed) talk.send(`* LIST () "/" {${name.length}}\r\n${name}\r\n`);
      if (text === "AUTHENTICATE PLAIN") {
        talk.send("+ \r\n");
        await talk.line();
      }
      if (/^(?:SELECT|EXAMINE)/.test(text))
        talk.send("* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n* OK [PERMANENTFLAGS (\\*)] x\r\n");
      talk.send(`${tag} ${refuse !== undefined && text.startsWith(refuse[0]) ? refuse[1] : "OK done"}\r\n`);
    }
  });
  return { server, heard };
}
