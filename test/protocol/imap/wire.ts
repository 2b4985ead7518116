// A connection to a server that the test plays: it hears each command, literals and all, and says what the test wants.

import { connect, type Socket } from "node:net";
import { Connection } from "../../../src/protocol/imap/connection.ts";
import { openReader } from "../../../src/protocol/reader.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { type Conversation, type ScriptedServer, startScripted } from "../../kit/scripted.ts";

export interface Heard {
  readonly tag: string;
  /** Without the tag; literals as "{n}" or "{n+}". */
  readonly text: string;
  readonly literals: readonly Buffer[];
}

export function options(port: number): ServerOptions {
  return { host: "127.0.0.1", port, security: "none", user: "u", password: async () => "p" };
}

/** The next whole command; undefined when the client is gone. Says "+" for a synchronising literal unless `refuse` answers. */
export async function command(
  talk: Conversation,
  refuse?: (text: string, tag: string) => boolean,
): Promise<Heard | undefined> {
  let line = await talk.line();
  if (line === undefined) return undefined;
  const literals: Buffer[] = [];
  let text = "";
  for (;;) {
    const marker = /\{(\d+)(\+?)\}$/.exec(line);
    text += line;
    if (marker === null) break;
    const [tag = ""] = text.split(" ");
    if (marker[2] === "") {
      if (refuse?.(text, tag) === true) return { tag, text: text.slice(tag.length + 1), literals };
      talk.send("+ go\r\n");
    }
    literals.push(await talk.octets(Number(marker[1])));
    line = (await talk.line()) ?? "";
  }
  const space = text.indexOf(" ");
  return { tag: text.slice(0, space), text: text.slice(space + 1), literals };
}

export interface Played extends AsyncDisposable {
  readonly connection: Connection;
  readonly server: ScriptedServer;
}

/** Connects without imapflow; `capabilities` are what the server would have told. */
export async function play(
  script: (talk: Conversation) => Promise<void>,
  capabilities: readonly string[] = ["LITERAL+", "UIDPLUS"],
  stallMs?: number,
): Promise<Played> {
  const server = await startScripted(script);
  const reader = openReader(() => socket);
  const socket: Socket = connect({ port: server.port, host: "127.0.0.1", onread: reader.onread });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject);
  });
  const connection = new Connection(
    { readSocket: socket, writeSocket: socket, socket, reader },
    {
      server: options(server.port),
      name: "test",
      capabilities: new Set(capabilities),
      ...(stallMs === undefined ? {} : { stallMs }),
    },
  );
  return {
    connection,
    server,
    async [Symbol.asyncDispose]() {
      connection.fail(new Error("the test is over"));
      await server.close();
    },
  };
}
