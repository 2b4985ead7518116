// What a server's refusal means: whose fault it is, how far it reaches, whether waiting helps, and its own words in it.

import { describe, expect, it } from "vitest";
import { accountRefusal, folderRefusal, messageRefusal } from "../../../src/protocol/imap/errors.ts";
import type { Status } from "../../../src/protocol/imap/parse.ts";

const no = (text: string, code?: string): Status => ({ status: "NO", text, ...(code === undefined ? {} : { code }) });

describe("a refusal for the whole account", () => {
  it.each([
    ["Request is throttled. Suggested Backoff Time: 299961 milliseconds", undefined, "connection", "wait", 299_961],
    ["Suggested Backoff Time: 999999999 milliseconds", undefined, "connection", "wait", 86_400_000],
    ["slower", "THROTTLED", "connection", "wait", undefined],
    ["Too many simultaneous connections. (Failure)", "ALERT", "connection", "wait", undefined],
    ["User is authenticated but not connected.", undefined, "auth", "give-up", undefined],
    ["Mailbox is full", "OVERQUOTA", "quota", "give-up", undefined],
    ["Quota exceeded (mailbox for user is full)", undefined, "quota", "give-up", undefined],
  ] as const)("%j %s", (text, code, kind, remedy, waitMs) => {
    const error = accountRefusal(no(text, code));
    expect(error).toMatchObject({ code: kind, details: { scope: "account", remedy, outcome: "none" } });
    expect(error?.details.waitMs).toBe(waitMs);
    expect(error?.message).toContain(text);
    expect(folderRefusal("x", no(text, code)).code).toBe(kind);
    expect(messageRefusal("x", no(text, code)).code).toBe(kind);
  });

  it("is none where one message is too big, or where the server says nothing of the kind", () => {
    expect(accountRefusal(no("Try again later: the message is over the rate limit", "TOOBIG"))).toBeUndefined();
    expect(accountRefusal(no("Internal error occurred", "SERVERBUG"))).toBeUndefined();
    expect(accountRefusal(no(""))).toBeUndefined();
  });
});

describe("a refusal of a folder", () => {
  it.each([
    ["NONEXISTENT", "not-found", "give-up"],
    ["TRYCREATE", "not-found", "give-up"],
    ["INUSE", "locked", "retry"],
    ["NOPERM", "config", "give-up"],
    ["UNAVAILABLE", "protocol", "retry"],
    ["SERVERBUG", "protocol", "retry"],
    [undefined, "protocol", "give-up"],
  ] as const)("%s", (code, kind, remedy) => {
    const error = folderRefusal("INBOX cannot be opened", no("its words", code));
    expect(error).toMatchObject({ code: kind, details: { scope: "folder", remedy, outcome: "none" } });
    expect(error.message).toBe("INBOX cannot be opened: its words");
  });
});

describe("a refusal of a message", () => {
  it.each([
    ["it is", "TOOBIG", "too-large", "give-up"],
    ["Message too large", undefined, "too-large", "give-up"],
    ["not now", "INUSE", "protocol", "retry"],
    ["Message contains NULs", undefined, "malformed", "give-up"],
  ] as const)("%j %s", (text, code, kind, remedy) => {
    const error = messageRefusal("it is not taken", no(text, code));
    expect(error).toMatchObject({ code: kind, details: { scope: "message", remedy, outcome: "none" } });
    expect(error.message).toContain(text);
  });
});
