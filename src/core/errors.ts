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
  /**
   * What the other side was asked for when it hung up, fell silent or put us off: it may be about these messages alone. The first is
   * likelier than the others to be the reason. None of them where no message was under way.
   */
  readonly suspects?: readonly Suspect[];
}

/** A message, as mail/model.ts names it. */
export interface Suspect {
  readonly folder: readonly string[];
  readonly generation: string;
  readonly id: string;
}

/** The same error with what was under way when it came. */
export function suspecting(error: MailError, suspects: readonly Suspect[]): MailError {
  return new MailError(error.code, error.message, { ...error.details, suspects });
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

const PATHS = {
  ENAMETOOLONG: "a name in that path is too long",
  ELOOP: "its links lead in a circle",
} as const;

/**
 * A failed file operation. A full disk is worth another run, once somebody has made room: waiting alone makes none. A missing
 * permission is for the user to mend.
 */
export function ioError(what: string, cause: unknown): MailError {
  if (cause instanceof MailError) return cause;
  const code = errno(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  if (code === "ENOSPC" || code === "EDQUOT")
    return new MailError("quota", `${what}: no space left on the disk`, {
      scope: "account",
      remedy: "give-up",
      hint: "Free some space and run the same command again; it goes on where it stopped.",
      cause,
    });
  if (code === "EROFS")
    return new MailError("config", `${what}: its disk is read-only (EROFS)`, {
      scope: "account",
      remedy: "give-up",
      hint: "Take off its write protection, or mount it for writing; or choose another place.",
      cause,
    });
  if (code === "EACCES" || code === "EPERM")
    return new MailError("config", `${what}: not permitted (${code})`, {
      scope: "account",
      remedy: "give-up",
      hint: "Mend its permissions, or choose another place.",
      cause,
    });
  if (code === "ENOTDIR")
    return new MailError("config", `${what}: a part of that path is a file, and no folder`, {
      scope: "account",
      remedy: "give-up",
      hint: "Choose another place.",
      cause,
    });
  if (code === "ENAMETOOLONG" || code === "ELOOP")
    return new MailError("config", `${what}: ${PATHS[code]}`, {
      scope: "account",
      remedy: "give-up",
      hint: "Choose another place.",
      cause,
    });
  return new MailError("io", `${what}: ${text}`, { scope: "account", remedy: "give-up", cause });
}

/** The errno name ("ENOENT") of a Node system error, also of one that became a MailError. */
export function errno(error: unknown): string | undefined {
  // Its own code is another word list.
  if (error instanceof MailError) return errno(error.cause);
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** True for the rejection that an aborted signal causes, whoever raised it. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || ("code" in error && error.code === "ABORT_ERR"));
}
