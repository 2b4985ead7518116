// Logging in: nothing secret is sent before the wire is secured, and each refusal is told for what it is.

import { expect, it } from "vitest";
import { connectImap } from "../../../src/protocol/imap/session.ts";
import type { ServerOptions } from "../../../src/protocol/server.ts";
import { makeCertificates } from "../../kit/certificates.ts";
import { type Conversation, startScripted } from "../../kit/scripted.ts";
import { command } from "./wire.ts";

const { signal } = new AbortController();
const PASSWORD = "open sesame";
const certificates = makeCertificates();

function server(port: number, rest: Partial<ServerOptions>): ServerOptions {
  return {
    host: "localhost",
    port,
    security: "starttls",
    user: "ali",
    password: async () => PASSWORD,
    ca: certificates.ca,
    ...rest,
  };
}

/** Plays a server up to and with the login; `login` is its answer to that. */
async function greet(talk: Conversation, capabilities: string, login = "OK in"): Promise<void> {
  talk.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
    const { tag, text } = heard;
    if (text === "CAPABILITY") talk.send(`* CAPABILITY ${capabilities}\r\n${tag} OK\r\n`);
    else if (text === "STARTTLS") await talk.secure(certificates, `${tag} OK go\r\n`);
    else if (text.startsWith("LOGIN")) talk.send(`${tag} ${login}\r\n`);
    else if (text === "NAMESPACE") talk.send(`* NAMESPACE (("" "/")) NIL NIL\r\n${tag} OK\r\n`);
    else talk.send(`${tag} OK\r\n`);
  }
}

it("a server whose STARTTLS was stripped gets no login", async () => {
  await using played = await startScripted((talk) => greet(talk, "IMAP4rev1"));
  await expect(connectImap(server(played.port, {}), { name: "t" }, signal)).rejects.toMatchObject({
    code: "config",
    message: expect.stringContaining("STARTTLS"),
  });
  expect(played.heard.join("\n")).not.toMatch(/LOGIN|AUTHENTICATE|sesame/);
});

it("a greeting that says we are in already does not keep STARTTLS away", async () => {
  await using played = await startScripted(async (talk) => {
    talk.send("* PREAUTH welcome\r\n");
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk))
      talk.send(`${heard.tag} OK\r\n`);
  });
  await expect(connectImap(server(played.port, {}), { name: "t" }, signal)).rejects.toMatchObject({ code: "config" });
});

it("over STARTTLS the login is sent inside, and the capabilities are those told then", async () => {
  await using played = await startScripted((talk) => greet(talk, "IMAP4rev1 STARTTLS LITERAL+ APPENDLIMIT=123"));
  const connection = await connectImap(server(played.port, {}), { name: "t" }, signal);
  expect(connection.has("LITERAL+")).toBe(true);
  expect(connection.has("APPENDLIMIT=123")).toBe(true);
  expect((await connection.run("NOOP")).status).toBe("OK");
  await connection.close();
  const lines = played.heard;
  expect(lines.findIndex((line) => line.includes("STARTTLS"))).toBeLessThan(
    lines.findIndex((line) => line.includes(PASSWORD)),
  );
});

it("a certificate that is not the pinned one gets no login, with TLS and with STARTTLS", async () => {
  for (const security of ["tls", "starttls"] as const) {
    await using played = await startScripted(
      (talk) => greet(talk, "IMAP4rev1 STARTTLS"),
      security === "tls" ? certificates : undefined,
    );
    const wrong = server(played.port, { security, fingerprint: "ab".repeat(32) });
    await expect(connectImap(wrong, { name: "t" }, signal)).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining("pinned"),
    });
    expect(played.heard.join("\n")).not.toContain(PASSWORD);
  }
});

it.each([
  ["NO [AUTHENTICATIONFAILED] wrong", { code: "auth", details: { remedy: "give-up", scope: "account" } }],
  ["NO [UNAVAILABLE] backend down", { code: "connection", details: { remedy: "retry" } }],
  ["NO [ALERT] Too many simultaneous connections. (Failure)", { code: "connection", details: { remedy: "wait" } }],
])("login: %s", async (login, error) => {
  await using played = await startScripted((talk) => greet(talk, "IMAP4rev1", login), certificates);
  await expect(connectImap(server(played.port, { security: "tls" }), { name: "t" }, signal)).rejects.toMatchObject(
    error,
  );
});

it("an abort ends the wait for a server that says nothing", async () => {
  await using played = await startScripted(async (talk) => {
    await talk.line();
  });
  const abort = new AbortController();
  const connecting = connectImap(server(played.port, { security: "none" }), { name: "t" }, abort.signal);
  setImmediate(() => abort.abort());
  await expect(connecting).rejects.toMatchObject({ name: "AbortError" });
});

it("nobody there is a connection error that may pass", async () => {
  const played = await startScripted(async () => undefined);
  await played.close();
  await expect(connectImap(server(played.port, { security: "none" }), { name: "t" }, signal)).rejects.toMatchObject({
    code: "connection",
    details: { remedy: "retry" },
  });
});

it.each(["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN", "IMAP4rev1 AUTH=LOGIN"])(
  "a server (%s) that repeats what it was told brings no secret into the error or the trace",
  async (capabilities) => {
    const told: string[] = [];
    await using played = await startScripted(async (talk) => {
      talk.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
      let tag = "";
      for (let line = await talk.line(); line !== undefined; line = await talk.line()) {
        told.push(line);
        if (/ (?:LOGIN|AUTHENTICATE) /.test(line)) [tag = ""] = line.split(" ");
        if (/AUTHENTICATE \w+$/.test(line)) talk.send("+ \r\n");
        else if (capabilities.endsWith("=LOGIN") && told.length === 2) talk.send("+ UGFzc3dvcmQ6\r\n");
        else talk.send(`* OK ${told.join(" / ")}\r\n${tag} NO [AUTHENTICATIONFAILED] not ${told.join(" / ")}\r\n`);
      }
    });
    const trace: string[] = [];
    const place = server(played.port, {
      security: "none",
      trace: (_, direction, text) => trace.push(direction + text),
    });
    const failure: unknown = await connectImap(place, { name: "t" }, signal).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "auth", message: expect.stringContaining("****") });
    const shown: string[] = [...trace];
    for (let error = failure; error instanceof Error; error = error.cause)
      shown.push(error.message, error.stack ?? "", JSON.stringify(error));
    const secrets = [
      PASSWORD,
      Buffer.from(PASSWORD).toString("base64"),
      Buffer.from(`\0ali\0${PASSWORD}`).toString("base64"),
    ];
    expect(secrets.some((secret) => told.join("\n").includes(secret))).toBe(true);
    for (const secret of secrets) expect(shown.join("\n")).not.toContain(secret);
  },
);

it.each([
  ["al\r\ni", PASSWORD],
  ["al\0i", PASSWORD],
  ["ali", "one\r\nx LOGOUT"],
  ["ali", "one\0two"],
])("a line end or NUL in user %j or password %j is a wrong setting, and nothing is sent", async (user, password) => {
  await using played = await startScripted((talk) => greet(talk, "IMAP4rev1 AUTH=PLAIN"));
  const place = server(played.port, { security: "none", user, password: async () => password });
  await expect(connectImap(place, { name: "t" }, signal)).rejects.toMatchObject({ code: "config" });
  expect(played.connections).toBe(0);
});

it("more in the clear behind the answer to STARTTLS is refused", async () => {
  await using played = await startScripted(async (talk) => {
    talk.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n");
    for (let heard = await command(talk); heard !== undefined; heard = await command(talk)) {
      const { tag, text } = heard;
      const next = `${tag.slice(0, -1)}${Number(tag.slice(-1)) + 1}`;
      if (text === "STARTTLS")
        await talk.secure(
          certificates,
          `${tag} OK go\r\n* CAPABILITY IMAP4rev1 INJECTED\r\n${next} OK [CAPABILITY IMAP4rev1 INJECTED] in\r\n`,
        );
      else if (text === "CAPABILITY") talk.send(`* CAPABILITY IMAP4rev1 STARTTLS\r\n${tag} OK\r\n`);
      else talk.send(`${tag} OK\r\n`);
    }
  });
  await expect(connectImap(server(played.port, {}), { name: "t" }, signal)).rejects.toMatchObject({
    code: "protocol",
    details: { remedy: "give-up" },
  });
  expect(played.heard.join("\n")).not.toMatch(/LOGIN|AUTHENTICATE|sesame/);
});
