// The wire is begun while imapflow is still being loaded; whatever the server does meanwhile ends as it does later.

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { connectImap as ConnectImap } from "../../../src/protocol/imap/session.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { makeCertificates } from "../../kit/certificates.ts";
import { type Conversation, type Script, startScripted } from "../../kit/scripted.ts";
import { command } from "./wire.ts";

const certificates = makeCertificates();

/** The session's module as it is in a new process, with imapflow held up until `load` is called. */
async function held(): Promise<{ readonly connectImap: typeof ConnectImap; load(): void }> {
  let load = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    load = resolve;
  });
  vi.resetModules();
  vi.doMock("imapflow", async (original) => {
    await gate;
    return original();
  });
  const { connectImap } = await import("../../../src/protocol/imap/session.ts");
  return { connectImap, load };
}

function place(port: number, isTls: boolean, rest: Partial<ServerOptions> = {}): ServerOptions {
  return {
    host: "127.0.0.1",
    port,
    security: isTls ? "tls" : "none",
    user: "ali",
    password: async () => "sesame",
    ca: certificates.ca,
    ...rest,
  };
}

async function serve(talk: Conversation): Promise<void> {
  talk.send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n");
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk))
    talk.send(`${heard.tag} OK [CAPABILITY IMAP4rev1] done\r\n`);
}

describe.each([
  ["in the clear", false],
  ["by TLS", true],
])("%s", (_, isTls) => {
  /** Starts to connect, lets the script go as far as it does in a while, and then loads imapflow. */
  async function connect(script: Script, rest: Partial<ServerOptions> = {}, signal = new AbortController().signal) {
    const { connectImap, load } = await held();
    await using server = await startScripted(script, isTls ? certificates : undefined);
    const connecting = connectImap(place(server.port, isTls, rest), { name: "t", loginMs: 3_000 }, signal);
    connecting.catch(() => undefined);
    while (server.connections === 0) await sleep(1);
    await sleep(100);
    load();
    const connection = await connecting;
    const answer = await connection.run("NOOP");
    await connection.close();
    expect(server.connections).toBe(1);
    return { answer, heard: server.heard };
  }

  it("a greeting that came meanwhile is read", async () => {
    const { answer, heard } = await connect(serve);
    expect(answer).toMatchObject({ status: "OK", text: "done" });
    expect(heard.join("\n")).toContain("NOOP");
  });

  it.each<readonly [string, Script, object]>([
    ["ends the connection", async (talk) => talk.end(), { code: "connection" }],
    ["resets it", async (talk) => talk.reset(), { code: "connection" }],
    [
      "says BYE",
      async (talk) => {
        talk.send("* BYE too many connections\r\n");
        talk.end();
      },
      { code: "connection" },
    ],
    [
      "speaks another protocol",
      async (talk) => {
        talk.send("220 smtp here\r\n");
        await talk.line();
      },
      { code: "config", message: expect.stringContaining("speaks no IMAP") },
    ],
  ])("a server that %s meanwhile is told as ever, and at once", async (_what, script, error) => {
    const began = performance.now();
    await expect(connect(script)).rejects.toMatchObject(error);
    expect(performance.now() - began).toBeLessThan(2_500);
  });

  it("a stop ends the wire", async () => {
    const { connectImap, load } = await held();
    let isOver = false;
    await using server = await startScripted(
      async (talk) => {
        talk.send("* OK hello\r\n");
        while ((await talk.line()) !== undefined);
        isOver = true;
      },
      isTls ? certificates : undefined,
    );
    const stop = new AbortController();
    const connecting = connectImap(place(server.port, isTls), { name: "t" }, stop.signal);
    connecting.catch(() => undefined);
    while (server.connections === 0) await sleep(1);
    await sleep(50);
    stop.abort(new Error("enough"));
    for (let n = 0; n < 500 && !isOver; n++) await sleep(1);
    expect(isOver).toBe(true);
    load();
    await expect(connecting).rejects.toThrow("enough");
  });
});

it("a library that cannot be loaded is no matter of the server", async () => {
  vi.resetModules();
  vi.doMock("imapflow", async () => {
    await sleep(20);
    throw new Error("no such library");
  });
  const { connectImap } = await import("../../../src/protocol/imap/session.ts");
  let isOver = false;
  await using server = await startScripted(async (talk) => {
    talk.send("* OK hello\r\n");
    while ((await talk.line()) !== undefined);
    isOver = true;
  });
  const failure: unknown = await connectImap(
    place(server.port, false),
    { name: "t" },
    new AbortController().signal,
  ).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
  expect(failure).not.toHaveProperty("code", "connection");
  for (let n = 0; n < 500 && !isOver; n++) await sleep(1);
  expect(isOver).toBe(true);
});

it("a certificate authority that is none is told as the other troubles of a connection are", async () => {
  const { connectImap, load } = await held();
  load();
  await using server = await startScripted(serve, certificates);
  const ca = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
  await expect(
    connectImap(place(server.port, true, { ca }), { name: "t" }, new AbortController().signal),
  ).rejects.toHaveProperty("details.scope", "account");
});

it("a certificate that is not the pinned one is refused meanwhile, and nothing is sent", async () => {
  const { connectImap, load } = await held();
  await using server = await startScripted(serve, certificates);
  const rest = { fingerprint: certificates.fingerprint.replace(/^../, (two) => (two === "00" ? "11" : "00")) };
  const connecting = connectImap(place(server.port, true, rest), { name: "t" }, new AbortController().signal);
  connecting.catch(() => undefined);
  while (server.connections === 0) await sleep(1);
  await sleep(100);
  load();
  await expect(connecting).rejects.toMatchObject({ code: "config", message: expect.stringContaining("pinned") });
  expect(server.heard).toEqual([]);
});
