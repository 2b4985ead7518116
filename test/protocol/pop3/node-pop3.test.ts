// Why we have our own client: what node-pop3 0.11 does to mail. Where it works, it is an independent check of our test server.

import Pop3Command from "node-pop3";
import { describe, expect, it } from "vitest";
import { openPop3Session } from "../../../src/protocol/pop3/session.ts";
import { never, PASSWORD, type Script, type ScriptedServer, scriptedServer, stuff, USER } from "./scripted-server.ts";

function theirs(server: ScriptedServer, user = USER): Pop3Command {
  const client = new Pop3Command({ host: "127.0.0.1", port: server.port, user, password: PASSWORD });
  // It emits its errors as events too; without a listener they end the process.
  client.on("error", () => undefined);
  return client;
}

async function ours(server: ScriptedServer, number: number): Promise<Buffer> {
  await using session = await openPop3Session(server.options(), never);
  const chunks: Uint8Array[] = [];
  for await (const { content } of session.retrieve([number])) for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("node-pop3 0.11", () => {
  it("leaves the dot-stuffing in, and ours does not", async () => {
    const body = "Subject: a\r\n\r\n.signature\r\n..\r\n";
    await using server = await scriptedServer({ messages: [{ uidl: "a", body }] });
    const client = theirs(server);
    expect(await client.RETR(1)).toContain("\r\n..signature\r\n...");
    await client.QUIT();
    expect((await ours(server, 1)).toString("latin1")).toBe(body);
  });

  it("loses 8-bit octets, and ours does not", async () => {
    const body = Buffer.from("Subject: a\r\n\r\n\xe4\xf6\xfc\r\n", "latin1");
    await using server = await scriptedServer({ messages: [{ uidl: "a", body }] });
    const client = theirs(server);
    expect(await client.RETR(1)).toContain("\ufffd\ufffd\ufffd");
    await client.QUIT();
    expect(await ours(server, 1)).toEqual(body);
  });

  it("takes a packet that is a lone dot for the end of a message, and ours does not", async () => {
    const parts = ["+OK\r\nSubject: a\r\n\r\nOne sentence", ".", " And more.\r\n.\r\n"] as const;
    let retrieving: (() => void) | undefined;
    const on: Script["on"] = (line) => {
      if (line !== "RETR 1") return undefined;
      retrieving?.();
      return { send: parts[0] };
    };
    await using server = await scriptedServer({ messages: [{ uidl: "a", body: "x" }], on });
    const client = theirs(server);
    // The second packet goes when the first has arrived: it answers the command.
    client.on("response", (info: string, stream: unknown) => {
      if (stream !== null && stream !== undefined && info === "") server.say(parts[1]);
    });
    expect(await client.RETR(1)).toBe("Subject: a\r\n\r\nOne sentence");
    client._socket?.destroy();

    retrieving = () => setImmediate(() => server.say(parts[1] + parts[2]));
    expect((await ours(server, 1)).toString("latin1")).toBe("Subject: a\r\n\r\nOne sentence. And more.\r\n");
  });

  it("sends what a user name smuggles in, and ours refuses it", async () => {
    await using server = await scriptedServer({ messages: [{ uidl: "a", body: "x\r\n" }] });
    const client = theirs(server, `${USER}\r\nNOOP`);
    await client.STAT().catch(() => undefined);
    client._socket?.destroy();
    expect(server.commands).toContain("NOOP");
    const options = server.options({ user: `${USER}\r\nNOOP` });
    await expect(openPop3Session(options, never)).rejects.toMatchObject({ code: "config" });
  });

  it("agrees with our test server where mail is plain", async () => {
    const messages = [
      { uidl: "ua", body: "Subject: a\r\n\r\nplain\r\n" },
      { uidl: "ub", body: "Subject: b\r\n\r\nplain too\r\n" },
    ];
    await using server = await scriptedServer({ messages });
    const client = theirs(server);
    expect(await client.UIDL()).toEqual([
      ["1", "ua"],
      ["2", "ub"],
    ]);
    expect(await client.LIST()).toEqual(messages.map(({ body }, i) => [String(i + 1), String(body.length)]));
    // It drops the last line end.
    expect(`${await client.RETR(2)}\r\n`).toBe(messages[1]?.body);
    await client.DELE(1);
    await client.QUIT();
    expect(server.messages.map(({ uidl }) => uidl)).toEqual(["ub"]);
    expect(stuff("a")).toEqual(Buffer.from("a\r\n.\r\n"));
  });
});
