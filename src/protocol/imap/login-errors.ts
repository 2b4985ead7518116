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

/** See `refusesAnother`. */
const refused = new WeakSet<object>();

/** True for a login that the server answered with "not now" or "too many": its words, and no trouble of the wire or the password. */
export function refusesAnother(error: unknown): boolean {
  return typeof error === "object" && error !== null && refused.has(error);
}

function refusal(error: MailError): MailError {
  refused.add(error);
  return error;
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
export function loginError(server: ServerOptions, error: unknown): MailError {
  if (!(error instanceof Error) || error instanceof MailError) return networkError(server, error);
  const details: ClientError = error;
  if (details.authenticationFailed === true) {
    const said = typeof details.response === "string" ? details.response : (details.responseText ?? error.message);
    const text = said.replace(/^\S+ (?:NO|BAD) (?:\[[^\]]*\] *)?/i, "");
    const code = details.serverResponseCode ?? "";
    const busy = accountRefusal({ status: "NO", code, text });
    if (busy !== undefined) return busy.code === "connection" ? refusal(busy) : busy;
    if (NOT_THE_PASSWORD.has(code))
      return refusal(
        new MailError("connection", `${server.host} does not let anybody in just now: ${words(text)}`, {
          scope: "account",
          remedy: "retry",
          outcome: "none",
          cause: error,
        }),
      );
    return new MailError("auth", `${server.host} refuses the login of ${server.user}: ${words(text)}`, {
      scope: "account",
      remedy: "give-up",
      outcome: "none",
      hint: "Check user and password; many providers want an app password here.",
      cause: error,
    });
  }
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
      hint: "Check the port: where the server waits for TLS (usually 993) write imaps://.",
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

/** Another service's greeting: the wrong port, and no reason to wait for a better one. */
export function noImap(server: ServerOptions, greeting: Buffer): MailError {
  const [line = ""] = greeting.toString("latin1").split(/\r?\n/, 1);
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
