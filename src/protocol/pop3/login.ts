// Logging in: AUTH PLAIN or USER/PASS under TLS, APOP before them in the clear, XOAUTH2 for tokens; what is refused, another way.

import { createHash } from "node:crypto";
import { MailError } from "../../mail/errors.ts";
import { COMMAND_LIMIT } from "./limits.ts";
import { type Capabilities, type Reply, replyError } from "./replies.ts";
import type { Wire } from "./wire.ts";

export type Credentials =
  | { readonly kind: "password"; readonly user: string; readonly password: string }
  /** An OAuth 2 access token, sent as SASL XOAUTH2. */
  | { readonly kind: "token"; readonly user: string; readonly token: string };

type Way = "APOP" | "PLAIN" | "USER" | "LOGIN";

/** What the logins to one server taught, kept from one session to the next: what is refused each time is not tried each time. */
export class Lessons {
  /** It hangs up when it is asked for its capabilities. */
  hangsUpAtCapa = false;
  /** Ways in that were refused to who was let in, or may be, by another. */
  readonly refused = new Set<Way>();
  /** The refusal behind which it hung up, while there were other ways. */
  hungUp: MailError | undefined;
  /** The way in at which it hung up without a word, while there were others: not tried in the next session. */
  cutAt: Way | undefined;
}

/**
 * The best way that the server offers, and where that is refused what else it offers: many announce ways that they do not have
 * for everybody (APOP without the passwords for it, SASL switched off for an account). The wire is protected by now, or the user
 * asked for cleartext. Throws MailError auth, locked, connection or protocol.
 */
export async function login(
  wire: Wire,
  greeting: string,
  capabilities: Capabilities,
  credentials: Credentials,
  lessons: Lessons = new Lessons(),
): Promise<void> {
  const { user } = credentials;
  if (credentials.kind === "token") {
    if (capabilities.told && !capabilities.arguments("SASL").includes("XOAUTH2"))
      throw new MailError("auth", `${wire.server.host}:${wire.server.port} offers no XOAUTH2`, {
        scope: "account",
        remedy: "give-up",
        hint: "Use a password (often an app password) instead of a token.",
      });
    const { token } = credentials;
    return settle(wire, capabilities, await sasl(wire, "XOAUTH2", `user=${user}\x01auth=Bearer ${token}\x01\x01`));
  }
  const { password } = credentials;
  const timestamp = stampIn(wire, greeting);
  const ways = waysIn(capabilities, timestamp !== undefined);
  const { cutAt } = lessons;
  lessons.cutAt = undefined;
  const untried = ways.filter((way) => way !== cutAt && !lessons.refused.has(way));
  // That all are refused was the password's fault, or the times have changed.
  if (untried.length === 0) lessons.refused.clear();
  let refusal: MailError | undefined;
  for (const way of untried.length === 0 ? ways : untried) {
    try {
      settle(wire, capabilities, await tryWay(way));
      if (cutAt !== undefined && cutAt !== way) lessons.refused.add(cutAt);
      return;
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      if (error.code === "auth") lessons.refused.add(way);
      // Some servers hang up on who was refused: the next way wants a connection of its own.
      else if (error.code === "connection" && !wire.alive) {
        const isFirst = refusal === undefined && way !== ways.at(-1);
        lessons.hungUp = refusal ?? (isFirst ? error : undefined);
        if (isFirst) lessons.cutAt = way;
      }
      if (error.code !== "auth") throw lessons.hungUp ?? error;
      refusal = error;
    }
  }
  lessons.refused.clear();
  throw refusal ?? new Error("a login has no way in");

  async function tryWay(way: Way): Promise<Reply> {
    switch (way) {
      case "APOP": {
        const digest = createHash("md5")
          .update(timestamp ?? "", "latin1")
          .update(password, "utf8")
          .digest("hex");
        wire.hide([digest]);
        wire.send(`APOP ${user} ${digest}`, `APOP ${user} ****`);
        return await wire.reply();
      }
      case "PLAIN":
        return await sasl(wire, "PLAIN", `\0${user}\0${password}`);
      case "LOGIN":
        return await saslLogin(wire, user, password);
      case "USER": {
        // RFC 2449 6.6: one round trip where the server reads ahead. PASS is then refused along with its USER.
        const together = capabilities.has("PIPELINING");
        if (together) wire.send(`USER ${user}\r\nPASS ${password}`, `USER ${user}\r\nPASS ****`);
        else wire.send(`USER ${user}`);
        const known = await wire.reply();
        if (known.status !== "+OK") {
          if (together) await wire.reply().catch(() => undefined);
          return known;
        }
        if (!together) wire.send(`PASS ${password}`, "PASS ****");
        return await wire.reply();
      }
    }
  }
}

/** RFC 1939 7: only a msg-id of printable octets; anything else may be made to find the password (CVE-2007-1558). */
function stampIn(wire: Wire, greeting: string): string | undefined {
  if (wire.server.security !== "none") return undefined;
  return /<[\x21-\x3b\x3d\x3f\x41-\x7e]+@[\x21-\x3b\x3d\x3f\x41-\x7e]+>/.exec(greeting)?.[0];
}

function waysIn(able: Capabilities, hasStamp: boolean): readonly Way[] {
  const offered = able.arguments("SASL");
  const ways: Way[] = [];
  if (hasStamp) ways.push("APOP");
  if (offered.includes("PLAIN")) ways.push("PLAIN");
  if (able.has("USER") || !able.told) ways.push("USER");
  else if (offered.includes("LOGIN")) ways.push("LOGIN");
  // Some offer nothing, and take it.
  return ways.length === 0 ? ["USER"] : ways;
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

/** Two questions, whatever their words are; it has no RFC. */
async function saslLogin(wire: Wire, user: string, password: string): Promise<Reply> {
  wire.send("AUTH LOGIN");
  for (const text of [user, password]) {
    const reply = await wire.reply();
    if (reply.status !== "+") return reply;
    const response = Buffer.from(text, "utf8").toString("base64");
    wire.send(response, "****");
  }
  return await wire.reply();
}

function settle(wire: Wire, capabilities: Capabilities, reply: Reply): void {
  if (reply.status === "+OK") return;
  const delay = Number(capabilities.arguments("LOGIN-DELAY")[0] ?? Number.NaN);
  throw replyError(wire.server, "login", reply, "login", Number.isFinite(delay) ? delay : undefined);
}
