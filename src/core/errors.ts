// The one error that crosses module borders: how much is broken, is another try worth it, may it have happened?

export type ErrorCode =
  | "auth"
  | "connection"
  | "protocol"
  | "quota"
  | "too-large"
  | "not-found"
  | "malformed"
  | "locked"
  | "io"
  | "config";

export interface MailErrorDetails {
  readonly scope: "message" | "folder" | "account";
  readonly remedy: "retry" | "wait" | "give-up";
  /** "unknown": the effect may have happened although no answer came. */
  readonly outcome?: "none" | "unknown";
  /** How long the other side asked us to wait. */
  readonly waitMs?: number;
  /** What the user can do about it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class MailError extends Error {
  override readonly name = "MailError";
  readonly code: ErrorCode;
  readonly details: MailErrorDetails;
  constructor(code: ErrorCode, message: string, details: MailErrorDetails) {
    super(message, { cause: details.cause });
    this.code = code;
    this.details = details;
  }
}

/** A wrong option, URL, target or archive: nothing was changed, and trying again will not help. */
export function configError(message: string, hint?: string, cause?: unknown): MailError {
  return new MailError("config", message, {
    scope: "account",
    remedy: "give-up",
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A failed file operation: a full disk is worth another run, a missing permission is for the user to mend. */
export function ioError(what: string, cause: unknown): MailError {
  if (cause instanceof MailError) return cause;
  const code = errno(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  if (code === "ENOSPC" || code === "EDQUOT")
    return new MailError("quota", `${what}: no space left on the disk`, {
      scope: "account",
      remedy: "wait",
      hint: "Free some space and run the same command again; it goes on where it stopped.",
      cause,
    });
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new MailError("config", `${what}: not permitted (${code})`, {
      scope: "account",
      remedy: "give-up",
      hint: "Choose a folder that you may write to, or mend its permissions.",
      cause,
    });
  return new MailError("io", `${what}: ${text}`, { scope: "account", remedy: "give-up", cause });
}

/** The errno name ("ENOENT") of a Node system error. */
export function errno(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** True for the rejection that an aborted signal causes, whoever raised it. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || errno(error) === "ABORT_ERR");
}
