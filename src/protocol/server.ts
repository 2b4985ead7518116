// A mail server as IMAP and POP3 clients are told of it, and its network errors in our words.

import type { ConnectionOptions, PeerCertificate, TLSSocket } from "node:tls";
import { errno, MailError } from "../mail/errors.ts";
import type { OnSilence } from "./silence.ts";

/** How the wire is secured: TLS from the first octet, STARTTLS/STLS (mandatory, never skipped), or cleartext. */
export type Security = "tls" | "starttls" | "none";

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly security: Security;
  readonly user: string;
  /** Asked once a login, and once more with the secret that the server refused: it may have been changed. Never stored. */
  readonly password: (refused?: string) => Promise<string>;
  /** PEM text of certificates to trust instead of the system's. */
  readonly ca?: string;
  /** SHA-256 of the server's own certificate, lower-case hex without colons: it alone is trusted, whoever signed it. */
  readonly fingerprint?: string;
  /** Connections to open at the most. */
  readonly connections?: number;
  /** COMPRESS=DEFLATE, for slow lines. Off by default. */
  readonly compress?: boolean;
  /** Both sides of the conversation, a line or a note of omitted octets a call, without secrets. */
  readonly trace?: (connection: string, direction: "C" | "S", text: string) => void;
  /** Told of each wait in which it owes us something and says nothing for some seconds. */
  readonly onSilence?: OnSilence;
}

/** "imaps://user@host:port", the identity in ledgers and messages. Never a secret. */
export function serverIdentity(protocol: "imap" | "pop3", server: ServerOptions): string {
  const scheme = server.security === "tls" ? `${protocol}s` : protocol;
  return `${scheme}://${encodeURIComponent(server.user)}@${server.host.toLowerCase()}:${server.port}`;
}

/** TLS as this project demands it: verified against the system or `ca`, TLS 1.2 or later, the host's name checked. */
export function tlsOptions(server: ServerOptions): ConnectionOptions {
  return {
    servername: server.host,
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...(server.ca === undefined ? {} : { ca: server.ca }),
  };
}

/** True when this is the pinned certificate. */
export function matchesFingerprint(certificate: PeerCertificate, fingerprint: string): boolean {
  return certificate.fingerprint256?.replaceAll(":", "").toLowerCase() === fingerprint;
}

/**
 * Remembers which certificate a socket was shown, for when it is refused: Node closes the socket at once, and then does not know it any
 * more.
 */
export function noteCertificate(socket: TLSSocket): () => string | undefined {
  let seen: string | undefined;
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    seen ??= fingerprintOf(socket.getPeerCertificate());
    return destroy(error);
  };
  return () => seen;
}

/** As ?fingerprint= takes it; a socket without a certificate has none. */
export function fingerprintOf(certificate: PeerCertificate | null | undefined): string | undefined {
  const hex = certificate?.fingerprint256?.replaceAll(":", "").toLowerCase();
  return hex === undefined ? undefined : `sha256:${hex}`;
}

const CERTIFICATE_ERRORS = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/;
const OLD_TLS = /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/;
/** Octets that were changed on their way: no word about what the two sides speak. */
const DAMAGED = /BAD_RECORD_MAC|DECRYPTION_FAILED/;
const TLS_ERRORS = /EPROTO|ERR_SSL|ERR_TLS/;

/** An error met while connecting or talking, as a MailError that names the server and the way out. */
export function networkError(
  server: ServerOptions,
  error: unknown,
  outcome?: "none" | "unknown",
  fingerprint?: string,
): MailError {
  if (error instanceof MailError) return error;
  const place = `${server.host}:${server.port}`;
  const code = errno(error) ?? "";
  const text = error instanceof Error ? error.message : String(error);
  const details = { scope: "account", cause: error, ...(outcome === undefined ? {} : { outcome }) } as const;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return new MailError("connection", `no server found at ${server.host}`, {
      ...details,
      remedy: code === "EAI_AGAIN" ? "retry" : "give-up",
      hint: "Check the host name, and that this machine is on the network.",
    });
  if (code === "ECONNREFUSED")
    return new MailError("connection", `${place} refuses connections`, {
      ...details,
      remedy: "retry",
      hint: "Check the port, and that the server runs.",
    });
  if (DAMAGED.test(code)) return brokenWire(server, error, outcome);
  if (CERTIFICATE_ERRORS.test(code)) {
    const what = code.includes("ALTNAME") ? "is for another host" : "is not trusted";
    return new MailError("config", `the certificate of ${place} ${what}: ${text}`, {
      ...details,
      remedy: "give-up",
      hint: wayPast(code, fingerprint ?? "sha256:…"),
    });
  }
  if (OLD_TLS.test(code))
    return new MailError("config", `${place} speaks no TLS that is safe (1.2 or later)`, {
      ...details,
      remedy: "give-up",
      hint: "The server's owner must bring it up to date; nothing secret was sent to it.",
    });
  if (TLS_ERRORS.test(code))
    return new MailError("config", `no TLS connection to ${place} could be made (${openSslReason(text)})`, {
      ...details,
      remedy: "give-up",
      hint: "Check the port; where it is the one for STARTTLS or STLS write imap:// or pop3://.",
    });
  return new MailError("connection", `the connection to ${place} failed: ${text}`, { ...details, remedy: "retry" });
}

/** The same on a connection that was made: whatever happens to it now, TLS garbled on its way too, a new one may do better. */
export function brokenWire(server: ServerOptions, error: unknown, outcome?: "none" | "unknown"): MailError {
  if (error instanceof MailError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new MailError("connection", `the connection to ${server.host}:${server.port} failed: ${openSslReason(text)}`, {
    scope: "account",
    remedy: "retry",
    cause: error,
    ...(outcome === undefined ? {} : { outcome }),
  });
}

function wayPast(code: string, fingerprint: string): string {
  const pin = `add ?fingerprint=${fingerprint} to the address, once you have compared it with the server's`;
  if (code.includes("ALTNAME"))
    return `Use the name that stands in the certificate; or, if the server is yours, ${pin}.`;
  if (code === "CERT_HAS_EXPIRED") return `The server's owner must renew it. If it is yours, ${pin}.`;
  if (code === "CERT_NOT_YET_VALID") return `Check this machine's clock; or, if the server is yours, ${pin}.`;
  return `If it is yours, add ?ca=FILE with its authority; or ${pin}.`;
}

/** OpenSSL's "number:error:code:library:function:reason:file:line:" as its reason alone. */
function openSslReason(text: string): string {
  return /:error:[^:]*:[^:]*:[^:]*:([^:]+)/.exec(text)?.[1]?.trim() ?? text;
}
