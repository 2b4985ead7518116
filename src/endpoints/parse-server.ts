// The server endpoints: user, host, port and query of an imap(s) or pop3(s) URL. Nothing that may be a password is repeated.

import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import { configError } from "../mail/errors.ts";
import { defaultPort, type Role, type ServerEndpoint } from "./endpoint.ts";
import { decode, onOff, readOptions } from "./query.ts";

const SERVER_OPTIONS = {
  imap: ["tls", "ca", "fingerprint", "connections", "compress"],
  pop3: ["tls", "ca", "fingerprint"],
} as const;

/** More than any server lets one user have. */
const MAX_CONNECTIONS = 64;

/** `rest` is what follows the scheme's colon. */
export function parseServer(scheme: string, rest: string, role: Role, side: Role): ServerEndpoint {
  const kind = scheme.startsWith("imap") ? "imap" : "pop3";
  const implicit = scheme.endsWith("s");
  const place = `the ${side} (${scheme}://…)`;
  const form = `Write ${scheme}://user@host.`;
  if (kind === "pop3" && role === "target")
    throw configError(
      "a POP3 maildrop is only read, never written",
      "As a target write imaps://…, maildir:… or mboxzip:….",
    );
  if (!rest.startsWith("//")) throw configError(`${place} has no "//" after the colon`, form);

  const after = rest.slice(2);
  const end = after.search(/[/?#]/);
  const authority = end === -1 ? after : after.slice(0, end);
  const tail = end === -1 ? "" : after.slice(end);
  const at = authority.lastIndexOf("@");
  // A password with "/", "?" or "#" in it ends the authority early: then the "@" stands behind it.
  if (authority.slice(0, Math.max(at, 0)).includes(":") || (at === -1 && authority.includes(":") && tail.includes("@")))
    throw configError(
      `${place} has a password in it, or a ":" in the user name`,
      `Passwords are taken from MAILFERRY_${side.toUpperCase()}_PASSWORD, --${side}-password-command, ` +
        `--${side}-password-file or a prompt; a ":" in a user name is written %3A. If it was a password, change it: ` +
        "the command line is seen by other users and kept in the shell's history.",
    );
  if (at <= 0) throw configError(`${place} names no user`, form);
  const user = decode(authority.slice(0, at), `the user name of ${place}`);
  const { host, port } = hostAndPort(authority.slice(at + 1), place, form);

  const [, path = "", query = "", fragment = ""] = /^([^?#]*)(?:\?([^#]*))?(#.*)?$/s.exec(tail) ?? [];
  if ((path !== "" && path !== "/") || fragment !== "")
    throw configError(`${place} has something behind the host`, `${form} Folders are chosen with --folder GLOB.`);

  const options = readOptions(query, kind, SERVER_OPTIONS[kind], place);
  const tls = options.get("tls");
  if (tls !== undefined && tls !== "none") throw configError(`${place}: tls can only be "none"`, "Write ?tls=none.");
  if (tls === "none" && implicit)
    throw configError(`${place} asks for TLS and for tls=none`, `Write ${kind}://…?tls=none, or leave tls=none out.`);
  const security = implicit ? "tls" : tls === "none" ? "none" : "starttls";
  const ca = options.get("ca");
  const fingerprint = readFingerprint(options.get("fingerprint"), place);
  if (security === "none" && (ca !== undefined || fingerprint !== undefined))
    throw configError(`${place}: with tls=none there is no certificate`, "Leave ca and fingerprint out.");
  const connections = readConnections(options.get("connections"), place);
  const compress = onOff(options.get("compress"), "compress");
  return {
    kind,
    host,
    port: port ?? defaultPort(kind, security),
    security,
    user,
    ...(ca === undefined ? {} : { ca }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(connections === undefined ? {} : { connections }),
    ...(compress === undefined ? {} : { compress }),
  };
}

function hostAndPort(text: string, place: string, form: string): { host: string; port: number | undefined } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/s.exec(text);
  if (match === null)
    throw configError(
      `${place}: the host cannot be read`,
      `${form} An IPv6 address stands in brackets: user@[::1]:993.`,
    );
  const [, bracketed, plain = "", portText] = match;
  const host = bracketed ?? hostName(plain);
  if (bracketed !== undefined && !isIPv6(bracketed))
    throw configError(`${place}: what stands in brackets is no IPv6 address`, form);
  if (host === "") throw configError(`${place} names no host that can exist`, form);
  if (portText === undefined) return { host, port: undefined };
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535)
    throw configError(
      `${place}: the port is no number from 1 to 65535`,
      `${form} A port goes behind the host: host:1993.`,
    );
  return { host, port };
}

/** An ASCII name (IDN as punycode), or "" for what is no host name. */
function hostName(text: string): string {
  if (isIPv4(text)) return text;
  // An underscore is no host name by RFC 1123, and is met in private networks all the same.
  const ascii = domainToASCII(text.toLowerCase());
  return /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?$/.test(ascii) && !ascii.includes("..") ? ascii : "";
}

function readFingerprint(text: string | undefined, place: string): string | undefined {
  if (text === undefined) return undefined;
  const hex = /^sha256:([0-9a-f:]+)$/i.exec(text)?.[1]?.replaceAll(":", "").toLowerCase();
  if (hex?.length !== 64)
    throw configError(
      `${place}: the fingerprint is not "sha256:" and 64 hex digits`,
      "openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE prints it.",
    );
  return hex;
}

function readConnections(text: string | undefined, place: string): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > MAX_CONNECTIONS)
    throw configError(`${place}: connections is no number from 1 to ${MAX_CONNECTIONS}`, "Write ?connections=4.");
  return number;
}

/** True for a host that is this machine, whatever the network says. */
export function isLoopback(host: string): boolean {
  return (
    host === "localhost" || host.endsWith(".localhost") || host === "::1" || (isIPv4(host) && host.startsWith("127."))
  );
}
