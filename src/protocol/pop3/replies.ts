// What a POP3 server answers: status lines, response codes as our errors (RFC 2449 8, RFC 3206), capabilities.

import { MailError, type MailErrorDetails } from "../../mail/errors.ts";
import type { ServerOptions } from "../server.ts";
import { words } from "../words.ts";

/** "+" is a challenge of AUTH (RFC 5034 4). */
export type Status = "+OK" | "-ERR" | "+";

export interface Reply {
  readonly status: Status;
  /** The response code in upper case ("IN-USE", "SYS/TEMP"), without its brackets. */
  readonly code?: string;
  /** What follows the status (and the code), one octet a character. */
  readonly text: string;
}

/** Undefined when the line (without its line end, one octet a character) is no status line. */
export function parseReply(line: string): Reply | undefined {
  if (line === "+" || line.startsWith("+ ")) return { status: "+", text: line.slice(2) };
  // RFC 1939 3: upper case; some servers are not so strict.
  const match = /^(\+OK|-ERR)(?:[ \t]+(.*))?$/i.exec(line);
  if (match === null) return undefined;
  const status = match[1]?.toUpperCase() === "+OK" ? "+OK" : "-ERR";
  const rest = match[2] ?? "";
  const coded = status === "-ERR" ? /^\[([^\]\s]{1,64})[^\]]*\][ \t]*(.*)$/.exec(rest) : null;
  if (coded === null) return { status, text: rest };
  return { status, code: (coded[1] ?? "").toUpperCase(), text: coded[2] ?? "" };
}

/** What the server was doing when it said -ERR: it decides what a bare -ERR means. */
export type Occasion = "greeting" | "login" | "command" | "message";

/** Words of servers without response codes that mean the maildrop is locked, not that the password is wrong. */
const LOCKED = /\block|in use|\bbusy\b|already (?:open|logged|active|connected)|another (?:session|connection|user)/i;

/** Words that are about how often somebody comes, not about who it is. */
const TOO_OFTEN =
  /\btoo (?:many|often|frequent|fast)|\b(?:attempts|logins|connections|sessions|rate|limit)\b.*\b(?:exceed|reached)|\bexceed\w*\b.*\b(?:attempts|logins|connections|sessions|rate|limit)\b/i;
/** The same of servers that say it no better. Some say it to a wrong password too, and then with the code AUTH. */
const LATER = /\b(?:try|later|retry) ?(?:again|later)\b|\btry (?:it )?again in\b|\bwait \d|\btemporar(?:y|ily)\b/i;

/**
 * A -ERR as an error that names the server. `what` is ours ("login", "RETR 5"); `delaySeconds` the LOGIN-DELAY that CAPA told.
 */
export function replyError(
  server: ServerOptions,
  what: string,
  reply: Reply,
  occasion: Occasion,
  delaySeconds?: number,
): MailError {
  const place = `${server.host}:${server.port}`;
  const said = words(reply.code === undefined ? reply.text : `[${reply.code}] ${reply.text}`) || "-ERR";
  const scope = occasion === "message" ? "message" : "account";
  const error = (code: MailError["code"], text: string, details: Omit<MailErrorDetails, "scope">) =>
    new MailError(code, text, { scope, outcome: "none", ...details });
  switch (reply.code?.split("/")[0]) {
    case "IN-USE":
      return locked();
    case "LOGIN-DELAY":
      return error("locked", `${place} wants a pause between two logins: ${said}`, {
        remedy: "wait",
        ...(delaySeconds === undefined ? {} : { waitMs: delaySeconds * 1_000 }),
        hint: "Wait some minutes and run the same command again.",
      });
    case "AUTH":
      return TOO_OFTEN.test(reply.text) ? later() : refused();
    case "SYS":
      if (reply.code === "SYS/TEMP")
        return error("connection", `${what}: ${place} has a passing fault: ${said}`, { remedy: "retry" });
      return error("protocol", `${what}: ${place} has a fault that lasts: ${said}`, {
        remedy: "give-up",
        hint: "Its administrator has to mend it.",
      });
  }
  if (occasion === "greeting") return error("connection", `${place} does not let us in: ${said}`, { remedy: "retry" });
  if (occasion === "login") {
    if (TOO_OFTEN.test(reply.text)) return later();
    return LOCKED.test(reply.text) ? locked() : LATER.test(reply.text) ? later() : refused();
  }
  return error("protocol", `${what}: ${place} says: ${said}`, { remedy: "give-up" });

  function locked(): MailError {
    return error("locked", `the maildrop at ${place} is in use by another session: ${said}`, {
      remedy: "wait",
      hint: "Close the other mail program, or wait some minutes, and run the same command again.",
    });
  }
  function later(): MailError {
    return error("connection", `${place} does not let ${server.user} in just now: ${said}`, {
      remedy: "wait",
      hint: "Wait some minutes and run the same command again.",
    });
  }
  function refused(): MailError {
    return error("auth", `${place} refuses the login of ${server.user}: ${said}`, {
      remedy: "give-up",
      hint: "Check user name and password; many providers want an app password, and POP access switched on.",
    });
  }
}

export interface Capabilities {
  /** True when the server answered CAPA at all. */
  readonly told: boolean;
  has(name: string): boolean;
  /** The arguments of a capability, in upper case; none when it is not there. */
  arguments(name: string): readonly string[];
}

/** From the lines of a CAPA answer (RFC 2449 5); undefined for a server that has no CAPA. */
export function capabilities(lines: readonly string[] | undefined): Capabilities {
  const table = new Map<string, string[]>();
  for (const line of lines ?? []) {
    const [name = "", ...rest] = line.toUpperCase().split(/[ \t]+/);
    if (name !== "") table.set(name, [...(table.get(name) ?? []), ...rest]);
  }
  return {
    told: lines !== undefined,
    has: (name) => table.has(name),
    arguments: (name) => table.get(name) ?? [],
  };
}
