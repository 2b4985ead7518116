// A login that failed, by the server's words: who can do something about it, and whether the password has to do with it.

import { describe, expect, it } from "vitest";
import { type Attempt, loginError } from "../../../src/protocol/imap/login-errors.ts";
import { options } from "./wire.ts";

const FIRST: Attempt = { greeted: true, another: false, bye: "" };

/** What a tagged answer to the login becomes. */
function refused(answer: string, attempt: Partial<Attempt> = {}): { code: string; message: string; hint: string } {
  const response = `A1 ${answer}`;
  const serverResponseCode = /\[([A-Z]+)\]/.exec(answer)?.[1];
  const error = Object.assign(new Error("Command failed"), {
    authenticationFailed: true,
    response,
    serverResponseCode,
  });
  const { code, message, details } = loginError(options(143), error, { ...FIRST, ...attempt });
  return { code, message, hint: details.hint ?? "" };
}

describe("no word about the password", () => {
  it.each([
    "NO Too many open connections (2 of 2 for u)",
    "NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=1)",
    "NO [ALERT] Too many simultaneous connections. (Failure)",
    "NO Connection limit reached",
    "NO max. sessions exceeded for this user",
    "BAD Too many concurrent sessions",
    "NO [LIMIT] Number of concurrent logins exceeds the maximum",
  ])("%s: too many connections, and how to have fewer", (answer) => {
    expect(refused(answer)).toMatchObject({
      code: "connection",
      message: expect.stringContaining("has too many connections open"),
      hint: expect.stringContaining("Close other programs"),
    });
  });

  it.each([
    "NO Temporary authentication failure, please try again later",
    "NO [UNAVAILABLE] backend down",
    "NO [INUSE] mailbox locked",
    "NO Server is busy",
    "NO Internal server error",
    "NO System unavailable",
    "NO Too many failed login attempts",
    "NO Too many invalid logins",
  ])("%s: not now", (answer) => {
    const { code, message, hint } = refused(answer);
    expect([code, hint]).toEqual(["connection", ""]);
    expect(message).not.toContain("too many connections open");
  });
});

describe("the password's refusal", () => {
  it.each([
    "NO [AUTHENTICATIONFAILED] Invalid credentials",
    "NO LOGIN failed",
    "NO Incorrect password, please try again",
    "NO Login failed: this account has a connection to another provider",
    "NO IMAP is not enabled for this account",
  ])("%s", (answer) => {
    expect(refused(answer)).toMatchObject({ code: "auth", hint: expect.stringContaining("Check user and password") });
  });

  it("is no plain NO while others of ours are in; one with a code is", () => {
    expect(refused("NO LOGIN failed", { another: true }).code).toBe("connection");
    expect(refused("NO [AUTHENTICATIONFAILED] no longer", { another: true }).code).toBe("auth");
  });
});

it("a goodbye before a plain NO is its reason, and not that of one with a code", () => {
  expect(refused("NO LOGIN failed", { bye: "Too many sessions" })).toMatchObject({
    code: "connection",
    message: "127.0.0.1 has too many connections open: Too many sessions",
  });
  expect(refused("NO [AUTHENTICATIONFAILED] wrong", { bye: "Too many sessions" }).code).toBe("auth");
});
