import { describe, expect, it } from "vitest";
import { exitCodeOf, exitCodeOfRun } from "../../src/cli/exit.ts";
import {
  configError,
  type ErrorCode,
  firstOf,
  ioError,
  MailError,
  type MailErrorDetails,
} from "../../src/mail/errors.ts";
import type { RunSummary } from "../../src/migrate/events.ts";
import { emptyBalance } from "../../src/migrate/tally.ts";

const failing = (code: ErrorCode, remedy: MailErrorDetails["remedy"]): MailError =>
  new MailError(code, "x", { scope: "account", remedy });
const summary = (change: Partial<RunSummary>): RunSummary => ({
  outcome: "complete",
  listed: 0,
  balance: emptyBalance(),
  closes: true,
  bytes: 0,
  traitsUpdated: 0,
  removed: 0,
  kept: 0,
  losses: [],
  folders: [],
  seconds: 0,
  ...change,
});

describe("the exit code of an error", () => {
  it.each([
    [new TypeError("x"), 1],
    ["thrown text", 1],
    [configError("x"), 2],
    [failing("malformed", "give-up"), 2],
    [failing("auth", "give-up"), 4],
    [failing("auth", "wait"), 5],
    [failing("connection", "retry"), 5],
    [failing("connection", "give-up"), 2],
    [failing("protocol", "retry"), 5],
    [failing("quota", "give-up"), 5],
    [failing("locked", "give-up"), 5],
    [ioError("x", Object.assign(new Error("full"), { code: "ENOSPC" })), 5],
    [ioError("x", Object.assign(new Error("denied"), { code: "EACCES" })), 2],
    [new DOMException("x", "AbortError"), 130],
  ])("%s is %i", (error, code) => expect(exitCodeOf(error)).toBe(code));
});

describe("the exit code of a run", () => {
  it("is 0 only when everything is carried and the balance closes", () => {
    expect(exitCodeOfRun(summary({}))).toBe(0);
    expect(exitCodeOfRun(summary({ balance: { ...emptyBalance(), altered: 1, vanished: 2 } }))).toBe(0);
    expect(exitCodeOfRun(summary({ closes: false }))).toBe(3);
    expect(exitCodeOfRun(summary({ outcome: "partial" }))).toBe(3);
    expect(exitCodeOfRun(summary({ balance: { ...emptyBalance(), failed: 1 } }))).toBe(3);
    expect(exitCodeOfRun(summary({ outcome: "stopped" }))).toBe(5);
    expect(exitCodeOfRun(summary({ outcome: "stopped", closes: false, error: failing("auth", "give-up") }))).toBe(4);
  });
});

it("a full disk ends the run at once, since waiting makes no room, and is worth another run", () => {
  const error = ioError("cannot write x", Object.assign(new Error("write"), { code: "ENOSPC" }));
  expect(error.details.remedy).toBe("give-up");
  expect(exitCodeOf(error)).toBe(5);
});

describe("of several that failed one after the other", () => {
  const suppressed = (suppressed: unknown): Error =>
    Object.assign(new Error("closing failed too"), { name: "SuppressedError", error: new Error("later"), suppressed });
  const full = ioError("x", Object.assign(new Error("full"), { code: "ENOSPC" }));
  it("the first one counts", () => expect(firstOf(suppressed(suppressed(full)))).toBe(full));
  it("one alone is itself", () => expect(firstOf(full)).toBe(full));
});
