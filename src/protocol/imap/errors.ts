// What an IMAP server says when it refuses, as MailErrors: whose fault, how far it reaches, and whether to try again.

import { MailError } from "../../mail/errors.ts";
import { words } from "../words.ts";
import type { Status } from "./parse.ts";

/** The server speaks no IMAP that we know: a new connection may do better. */
export function protocolError(message: string): MailError {
  return new MailError("protocol", message, { scope: "account", remedy: "retry" });
}

/** Exchange Online's words; the answer is a BAD and then a disconnect. */
const BACKOFF = /Suggested Backoff Time: (\d{1,9}) milliseconds/i;
const THROTTLED =
  /throttl|too many (?:simultaneous )?(?:connections|requests|commands)|rate limit|bandwidth limit|try again later/i;
/** No room, in the words of servers that have no code for it; none of them speaks of the size of one message. */
const FULL: readonly RegExp[] = [
  /quota (?:has been |is |was )?(?:exceeded|exhausted|reached|full)/i,
  /(?:over|above|out of) (?:\w+ )?quota/i,
  /exceed\w* (?:\w+ ){0,3}(?:quota|storage|mailbox size)/i,
  /(?:mailbox|account|disk|file ?system|storage|maildrop) (?:is )?full/i,
  /(?:not enough|insufficient|no|out of) (?:\w+ )?(?:space|room|storage)\b/i,
  /(?:storage|mailbox|disk|space) (?:size )?limit (?:has been |is |was )?(?:exceeded|reached)/i,
];
/** Longest wait that we believe a server: a day, as Gmail's own bandwidth lock. */
const MAX_WAIT_MS = 24 * 60 * 60 * 1000;

/** RFC 5530 and others: the trouble is the server's own and passes. */
const PASSING = new Set(["UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "THROTTLED"]);

export function isPassing({ code = "" }: Status): boolean {
  return PASSING.has(code);
}

/** The server's own words. */
function said({ status, text }: Status): string {
  return words(text) || status;
}

/** It says in so many words, or in a code, that it is about the account and not about what was asked. */
function isOutright({ code, text }: Status): boolean {
  return code === "THROTTLED" || BACKOFF.test(text);
}

/**
 * What a refusal of one message, or of a few, says of the whole account. "Try again later" and the like, said once, may be about that
 * message alone: only when others are refused too is it the account.
 */
export function outrightRefusal(answer: Status): MailError | undefined {
  const refusal = accountRefusal(answer);
  return refusal?.details.remedy === "wait" && !isOutright(answer) ? undefined : refusal;
}

/** Undefined unless this refusal says "not now" or "no room", for the whole account, whatever was asked. */
export function accountRefusal(answer: Status): MailError | undefined {
  const backoff = BACKOFF.exec(answer.text)?.[1];
  if (backoff !== undefined || answer.code === "THROTTLED" || (answer.code !== "TOOBIG" && THROTTLED.test(answer.text)))
    return new MailError("connection", `the server asks to slow down: ${said(answer)}`, {
      scope: "account",
      remedy: "wait",
      outcome: "none",
      ...(backoff === undefined ? {} : { waitMs: Math.min(Number(backoff), MAX_WAIT_MS) }),
    });
  // Exchange Online says so when the password is wrong after all, or the account may not use IMAP.
  if (/authenticated but not connected/i.test(answer.text))
    return new MailError("auth", `the server lets nobody into this mailbox: ${said(answer)}`, {
      scope: "account",
      remedy: "give-up",
      outcome: "none",
      hint: "Check the password (or the token's scope), and that IMAP is switched on for this account.",
    });
  // Nothing that passes while we wait: mail has to go, or a day.
  if (answer.code === "OVERQUOTA" || FULL.some((words) => words.test(answer.text)))
    return new MailError("quota", `the account is full: ${said(answer)}`, {
      scope: "account",
      remedy: "give-up",
      outcome: "none",
      hint: "Make room in the target account and run the same command again.",
    });
  return undefined;
}

/** A NO or BAD to something that was asked of a whole folder. */
export function folderRefusal(what: string, answer: Status): MailError {
  const account = accountRefusal(answer);
  if (account !== undefined) return account;
  const { code = "" } = answer;
  if (code === "NONEXISTENT" || code === "TRYCREATE")
    return new MailError("not-found", `${what}: ${said(answer)}`, {
      scope: "folder",
      remedy: "give-up",
      outcome: "none",
    });
  return new MailError(
    code === "INUSE" ? "locked" : code === "NOPERM" ? "config" : "protocol",
    `${what}: ${said(answer)}`,
    {
      scope: "folder",
      remedy: PASSING.has(code) ? "retry" : "give-up",
      outcome: "none",
    },
  );
}

/** A NO or BAD to one message. */
export function messageRefusal(what: string, answer: Status): MailError {
  const account = accountRefusal(answer);
  if (account !== undefined && outrightRefusal(answer) !== undefined) return account;
  if (account !== undefined)
    return new MailError(account.code, `${what}: ${said(answer)}`, { ...account.details, scope: "message" });
  const { code = "" } = answer;
  if (code === "TOOBIG" || (code === "" && /too (?:large|big)|size limit|exceeds.*size/i.test(answer.text)))
    return new MailError("too-large", `${what}: ${said(answer)}`, {
      scope: "message",
      remedy: "give-up",
      outcome: "none",
    });
  if (PASSING.has(code))
    return new MailError("protocol", `${what}: ${said(answer)}`, {
      scope: "message",
      remedy: "retry",
      outcome: "none",
    });
  return new MailError("malformed", `${what}: ${said(answer)}`, {
    scope: "message",
    remedy: "give-up",
    outcome: "none",
  });
}
