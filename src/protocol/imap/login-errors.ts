// What a login that failed means for whoever waits for it: whether to wait, to try another password, or to mend the address.

import { configError, errno, MailError } from "../../mail/errors.ts";
import { scrub } from "../credentials.ts";
import { networkError, type ServerOptions } from "../server.ts";
import { words } from "../words.ts";
import { accountRefusal } from "./errors.ts";

/** What imapflow calls it when a line, a literal or a response crosses its limit. */
const TOO_MUCH = new Set(["LineTooLarge", "LiteralTooLarge", "ResponseTooLarge"]);
/** RFC 5530: refusals that say nothing about the password. */
const NOT_THE_PASSWORD = new Set(["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"]);
/** RFC 5530 and Exchange: refusals that speak of nothing else. */
const THE_PASSWORD = new Set([
  "AUTHENTICATIONFAILED",
  "AUTHORIZATIONFAILED",
  "EXPIRED",
  "CONTACTADMIN",
  "PRIVACYREQUIRED",
]);

const CONNECTIONS = "(?:connections?|sessions?|log-?ins?|clients?|users)";
/** Servers' words for it: Cyrus, Dovecot, Courier, Gmail, Exchange, hMailServer and others; none has a code of its own. */
const TOO_MANY = new RegExp(
  `(?:too many|too much|maxim(?:um|al)|max\\.?|limit)[\\w\\s/+-]{0,40}\\b${CONNECTIONS}\\b` +
    `|\\b${CONNECTIONS}\\b[\\w\\s/+-]{0,40}(?:limit|exceed|reached|maximum)`,
  "i",
);
/** "Too many failed logins" speaks of the password after all, though trying again now would make it worse. */
const FAILED = /(?:failed|wrong|invalid|incorrect|bad|unsuccessful) (?:log-?in|attempt|password|auth)/i;
const NOT_NOW =
  /temporar|try (?:again )?later|\bbusy\b|overload|maintenance|internal (?:server )?error|(?:service|server|system|backend)(?: is)?(?: currently)? (?:not available|unavailable)|too many/i;

/** What is known of the attempt. */
export interface Attempt {
  /** Whether the server had said a word. */
  readonly greeted: boolean;
  /** Others of this account are in, so that the password is right. */
  readonly another: boolean;
  /** The server's goodbye, or nothing. */
  readonly bye: string;
}

/** What imapflow adds to its errors. */
interface ClientError {
  readonly message: string;
  readonly authenticationFailed?: boolean | undefined;
  readonly serverResponseCode?: string | undefined;
  readonly responseText?: string | undefined;
  readonly response?: unknown;
  readonly tlsFailed?: boolean | undefined;
}

/** What imapflow threw, by who can do something about it: auth, connection, protocol or config. */
export function loginError(server: ServerOptions, error: unknown, attempt: Attempt): MailError {
  if (!(error instanceof Error) || error instanceof MailError) return networkError(server, error);
  const details: ClientError = error;
  if (details.authenticationFailed === true) return refusal(server, details, error, attempt);
  if (attempt.bye !== "") return notNow(server, "", attempt.bye, error);
  if (GONE.has(errno(error) ?? "")) return hungUp(server, error, attempt);
  // CVE-2011-0411's family: kept, it would be taken for answers under TLS.
  if (errno(error) === "STARTTLS_INJECTION")
    return new MailError("protocol", `${server.host}:${server.port} sent more before the TLS handshake: refused`, {
      scope: "account",
      remedy: "give-up",
      outcome: "none",
      hint: "Somebody may be changing this connection; use imaps:// or another network.",
      cause: error,
    });
  if (errno(error) === "GREETING_TIMEOUT")
    return new MailError("connection", `${server.host}:${server.port} accepts the connection and says nothing`, {
      scope: "account",
      remedy: "retry",
      outcome: "none",
      hint: "Check the port: where the server waits for TLS (usually 993) write imaps://. Some servers do so while too many connections are open.",
      cause: error,
    });
  if (TOO_MUCH.has(errno(error) ?? ""))
    return new MailError(
      "protocol",
      `${server.host}:${server.port} sends more than belongs to a login: ${error.message}`,
      {
        scope: "account",
        remedy: "retry",
        outcome: "none",
        cause: error,
      },
    );
  if (details.tlsFailed === true && errno(error) === undefined)
    return configError(
      `${server.host}:${server.port} does not offer STARTTLS (${error.message}); nothing secret was sent`,
      "Use imaps:// with the server's TLS port, usually 993.",
      error,
    );
  return networkError(server, error);
}

/** What a NO or a BAD to the login means. */
function refusal(server: ServerOptions, details: ClientError, cause: Error, { another, bye }: Attempt): MailError {
  const said = typeof details.response === "string" ? details.response : (details.responseText ?? details.message);
  const text = said.replace(/^\S+ (?:NO|BAD) (?:\[[^\]]*\] *)?/i, "");
  const code = details.serverResponseCode ?? "";
  // A goodbye before it is the reason of both.
  const all = bye === "" || THE_PASSWORD.has(code) ? text : bye;
  const saysOtherwise = NOT_THE_PASSWORD.has(code) || NOT_NOW.test(all) || isTooMany(all);
  if (saysOtherwise || (another && !THE_PASSWORD.has(code))) return notNow(server, code, all, cause);
  return (
    accountRefusal({ status: "NO", code, text }) ??
    new MailError("auth", `${server.host} refuses the login of ${server.user}: ${words(text)}`, {
      scope: "account",
      remedy: "give-up",
      outcome: "none",
      hint: "Check user and password; many providers want an app password here.",
      cause,
    })
  );
}

function isTooMany(text: string): boolean {
  return TOO_MANY.test(text) && !FAILED.test(text);
}

/** Words that speak of the server's load, and of nobody's password. */
function notNow(server: ServerOptions, code: string, text: string, cause: unknown): MailError {
  const details = { scope: "account", outcome: "none", cause } as const;
  if (isTooMany(text))
    return new MailError("connection", `${server.host} has too many connections open: ${words(text)}`, {
      ...details,
      remedy: "wait",
      hint: CLOSE_OTHERS,
    });
  return (
    accountRefusal({ status: "NO", code, text }) ??
    new MailError("connection", `${server.host} does not let anybody in just now: ${words(text)}`, {
      ...details,
      remedy: "retry",
    })
  );
}

const CLOSE_OTHERS = "Close other programs that use this account, or wait until the server has forgotten them.";

/** Errors of a wire that the other side ended. */
const GONE = new Set(["ClosedAfterConnectText", "ClosedAfterConnectTLS", "NoConnection", "ECONNRESET", "EPIPE"]);

/** An end without a word. */
function hungUp(server: ServerOptions, cause: Error, { greeted }: Attempt): MailError {
  const place = `${server.host}:${server.port}`;
  const what = greeted ? `${place} closed the connection during the login` : `${place} closed without a greeting`;
  return new MailError("connection", what, {
    scope: "account",
    remedy: "retry",
    outcome: "none",
    hint: `Many servers do so while too many connections are open. ${CLOSE_OTHERS}`,
    cause,
  });
}

/** Another service's greeting: the wrong port, and no reason to wait for a better one. */
export function noImap(server: ServerOptions, greeting: Buffer): MailError {
  const [line = ""] = greeting.toString("latin1").split(/\r?\n/, 1);
  if (line.startsWith("+OK") || line.startsWith("-ERR"))
    return configError(
      `${server.host}:${server.port} speaks POP3, not IMAP`,
      "Write pop3s:// or pop3:// for it, or give the port of IMAP: 993 (imaps://) or 143 (imap://).",
    );
  return configError(
    `${server.host}:${server.port} speaks no IMAP; it says: ${line.replace(/[^\x20-\x7e]/g, "?").slice(0, 80)}`,
    "Check the port: IMAP is usually at 993 (imaps://) or 143 (imap://), POP3 at 995 and 110.",
  );
}

/** The error without what the server repeated of them, in its message, its stack and its answers; anything else as it is. */
export function withoutSecret(error: unknown, secrets: readonly string[]): unknown {
  if (!(error instanceof Error) || error instanceof MailError) return error;
  const seen: Error & ClientError = error;
  const clean = new Error(scrub(seen.message, secrets));
  if (seen.stack !== undefined) clean.stack = scrub(seen.stack, secrets);
  const { authenticationFailed, serverResponseCode, responseText, response, tlsFailed } = seen;
  return Object.assign(clean, {
    code: errno(seen),
    authenticationFailed,
    serverResponseCode,
    tlsFailed,
    responseText: responseText === undefined ? undefined : scrub(responseText, secrets),
    response: typeof response === "string" ? scrub(response, secrets) : undefined,
  });
}
