// A place with mail as data, and how it is shown. It never holds a password.

import type { Security } from "../protocol/server.ts";

/** Whether mail is read from it or written to it. */
export type Role = "source" | "target";

export interface ServerEndpoint {
  readonly kind: "imap" | "pop3";
  readonly host: string;
  readonly port: number;
  readonly security: Security;
  readonly user: string;
  /** A PEM file with the certificates to trust instead of the system's. */
  readonly ca?: string;
  /** SHA-256 of the server's certificate: 64 lower-case hex digits. */
  readonly fingerprint?: string;
  readonly connections?: number;
  readonly compress?: boolean;
}

export const DIALECTS = ["auto", "rd", "o", "cl", "cl2", "blank", "every"] as const;
export type Dialect = (typeof DIALECTS)[number];

export interface MboxEndpoint {
  readonly kind: "mbox";
  readonly path: string;
  readonly dialect?: Dialect;
  /** Container headers (Status, X-UID, …) stay in the messages. */
  readonly raw?: boolean;
}

export interface MaildirEndpoint {
  readonly kind: "maildir";
  readonly path: string;
}

export interface MboxZipEndpoint {
  readonly kind: "mboxzip";
  readonly path: string;
  /** Entries are stored, not deflated. */
  readonly store?: boolean;
}

/** A parsed place with mail. It never holds a password. */
export type Endpoint = ServerEndpoint | MboxEndpoint | MaildirEndpoint | MboxZipEndpoint;

/** True for an account on a server, which needs a password. */
export function isAccount(endpoint: Endpoint): endpoint is ServerEndpoint {
  return endpoint.kind === "imap" || endpoint.kind === "pop3";
}

/** The endpoint as it is shown and typed again: without options, never with a secret. */
export function showEndpoint(endpoint: Endpoint): string {
  if (!isAccount(endpoint)) return `${endpoint.kind}:${endpoint.path}`;
  const { kind, security, user, host, port } = endpoint;
  const scheme = security === "tls" ? `${kind}s` : kind;
  const usual = port === defaultPort(kind, security);
  const place = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${user.replace(/[^A-Za-z0-9._@+=~-]/gu, encodeURIComponent)}@${place}${usual ? "" : `:${port}`}`;
}

/** RFC 8314 for TLS, RFC 9051 and RFC 1939 for the rest. */
export function defaultPort(kind: "imap" | "pop3", security: Security): number {
  if (kind === "imap") return security === "tls" ? 993 : 143;
  return security === "tls" ? 995 : 110;
}
