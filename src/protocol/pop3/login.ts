// Logging in: AUTH PLAIN or USER/PASS under TLS, APOP before them in the clear, XOAUTH2 for tokens.

import { createHash } from "node:crypto";
import { MailError } from "../../mail/errors.ts";
import { COMMAND_LIMIT } from "./limits.ts";
import { type Capabilities, type Reply, replyError } from "./replies.ts";
import type { Wire } from "./wire.ts";

export type Credentials =
  | { readonly kind: "password"; readonly user: string; readonly password: string }
  /** An OAuth 2 access token, sent as SASL XOAUTH2. */
  | { readonly kind: "token"; readonly user: string; readonly token: string };

/**
 * One attempt, with the best method that the server offers; there is no second with a weaker one. Throws MailError auth,
 * locked, connection or protocol.
 */
export async function login(
  wire: Wire,
  greeting: string,
  capabilities: Capabilities,
  credentials: Credentials,
): Promise<void> {
  const { user } = credentials;
  const offered = capabilities.arguments("SASL");
  if (credentials.kind === "token") {
    if (capabilities.told && !offered.includes("XOAUTH2"))
      throw new MailError("auth", `${wire.server.host}:${wire.server.port} offers no XOAUTH2`, {
        scope: "account",
        remedy: "give-up",
        hint: "Use a password (often an app password) instead of a token.",
      });
    const { token } = credentials;
    return settle(wire, capabilities, await sasl(wire, "XOAUTH2", `user=${user}\x01auth=Bearer ${token}\x01\x01`));
  }
  const { password } = credentials;
  // RFC 1939 7: only a msg-id of printable octets; anything else may be made to find the password (CVE-2007-1558).
  const timestamp = /<[\x21-\x3b\x3d\x3f\x41-\x7e]+@[\x21-\x3b\x3d\x3f\x41-\x7e]+>/.exec(greeting)?.[0];
  if (wire.server.security === "none" && timestamp !== undefined) {
    const digest = createHash("md5").update(timestamp, "latin1").update(password, "utf8").digest("hex");
    wire.hide([digest]);
    wire.send(`APOP ${user} ${digest}`, `APOP ${user} ****`);
    return settle(wire, capabilities, await wire.reply());
  }
  if (offered.includes("PLAIN")) return settle(wire, capabilities, await sasl(wire, "PLAIN", `\0${user}\0${password}`));
  // RFC 2449 6.6: one round trip where the server reads ahead. PASS is then refused along with its USER.
  const together = capabilities.has("PIPELINING");
  if (together) wire.send(`USER ${user}\r\nPASS ${password}`, `USER ${user}\r\nPASS ****`);
  else wire.send(`USER ${user}`);
  const known = await wire.reply();
  if (known.status !== "+OK") return settle(wire, capabilities, known);
  if (!together) wire.send(`PASS ${password}`, "PASS ****");
  return settle(wire, capabilities, await wire.reply());
}

/** RFC 5034 4: the initial response goes with the command where the line is not too long for it. Gives the verdict. */
async function sasl(wire: Wire, mechanism: "PLAIN" | "XOAUTH2", text: string): Promise<Reply> {
  const response = Buffer.from(text, "utf8").toString("base64");
  wire.hide([response]);
  const command = `AUTH ${mechanism} ${response}`;
  const atOnce = command.length + 2 <= COMMAND_LIMIT;
  wire.send(atOnce ? command : `AUTH ${mechanism}`, atOnce ? `AUTH ${mechanism} ****` : undefined);
  let reply = await wire.reply();
  if (reply.status !== "+") return reply;
  // A server from before RFC 5034 asks for what it was given already; XOAUTH2 says why it refuses, and wants an empty line.
  const explained = atOnce && mechanism === "XOAUTH2";
  wire.send(explained ? "" : response, explained ? "" : "****");
  reply = await wire.reply();
  if (reply.status !== "+") return reply;
  wire.send(mechanism === "XOAUTH2" && !explained ? "" : "*");
  return wire.reply();
}

function settle(wire: Wire, capabilities: Capabilities, reply: Reply): void {
  if (reply.status === "+OK") return;
  const delay = Number(capabilities.arguments("LOGIN-DELAY")[0] ?? Number.NaN);
  throw replyError(wire.server, "login", reply, "login", Number.isFinite(delay) ? delay : undefined);
}
