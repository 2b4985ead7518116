// imap:// and pop3:// at a port that speaks TLS from the start: told after some seconds, with the way to write it, and not retried.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseEndpoint } from "../../src/endpoints.ts";
import { SILENCE_MS } from "../../src/protocol/silence.ts";
import { makeCertificates } from "../kit/certificates.ts";
import { advisedWord, Desk } from "../kit/cli.ts";
import { startScripted } from "../kit/scripted.ts";
import { startAccount } from "./imap-account.ts";

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
  desk[Symbol.dispose]();
});

const environment = { MAILFERRY_SOURCE_PASSWORD: "p" };
const identity = makeCertificates();
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.each([
  ["imap", ""],
  ["imap", "?tls=none"],
  ["pop3", ""],
  ["pop3", "?tls=none"],
])("%s://…%s", (kind, query) => {
  it("at a port that speaks TLS", async () => {
    await using server = await startScripted(async (talk) => {
      talk.send(kind === "imap" ? "* OK hello\r\n" : "+OK hello\r\n");
      while ((await talk.line()) !== undefined);
    }, identity);
    const url = `${kind}://u@127.0.0.1:${server.port}${query}`;
    const running = desk.run(["folders", url], environment);
    while (server.connections === 0) await turn();
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    for (let i = 0; i < 20; i++) await turn();
    expect(server.connections).toBe(1);
    // By this clock nothing else has come to its end.
    await vi.advanceTimersByTimeAsync(1);
    const result = await running;
    expect(result.code).toBe(2);
    expect(result.err).toContain(`127.0.0.1:${server.port} speaks TLS from the start, and says nothing to ${kind}://`);
    expect(server.connections).toBe(2);
    const right = advisedWord(result.err, `${kind}s://`);
    expect(parseEndpoint(right, "source")).toMatchObject({ kind, security: "tls", port: server.port });
    expect(result.err.includes("without tls=none")).toBe(query !== "");
  });
});

it("one that greets and is slow with the login is asked for nothing else", async () => {
  let isWaiting = true;
  await using account = await startAccount({
    wait: async ({ text }) => {
      if (!/^(LOGIN|AUTHENTICATE)/i.test(text) || !isWaiting) return;
      isWaiting = false;
      for (let i = 0; i < 50; i++) await turn();
      await vi.advanceTimersByTimeAsync(SILENCE_MS + 1000);
    },
  });
  account.add("INBOX", "Subject: s\r\n\r\nx\r\n");
  const url = `imap://u@127.0.0.1:${account.server().port}?tls=none&connections=1`;
  const { code } = await desk.run(["folders", url], environment);
  expect({ code, isWaiting, connections: account.connections }).toEqual({ code: 0, isWaiting: false, connections: 1 });
});
