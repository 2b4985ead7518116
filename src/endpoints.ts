// The one list of places with mail: "imaps://…", "maildir:…" to a Source or a Sink. Adapters are loaded when they are needed.

import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { kindOf } from "./core/own-file.ts";
import { type Endpoint, isAccount, type ServerEndpoint, showEndpoint } from "./endpoints/endpoint.ts";
import { parseEndpoint } from "./endpoints/parse.ts";
import { isLoopback } from "./endpoints/parse-server.ts";
import { refuseAbsent } from "./endpoints/recognise.ts";
import { identityOf, refuseSame } from "./endpoints/same.ts";
import { standingOf } from "./endpoints/standing.ts";
import type { RecordedDates } from "./formats/maildir/dates.ts";
import { configError, ioError } from "./mail/errors.ts";
import type { ServerOptions } from "./protocol/server.ts";
import type { Sink } from "./sinks/sink.ts";
import type { Source } from "./sources/source.ts";

export type { Role } from "./endpoints/endpoint.ts";
export { type Endpoint, identityOf, isAccount, parseEndpoint, refuseAbsent, refuseSame, showEndpoint, standingOf };

/** What an endpoint needs beside its URL. */
export interface EndpointContext {
  /** Asked once a login; never stored. Needed for accounts alone. */
  readonly password?: (refused?: string) => Promise<string>;
  /** Lets tls=none go to other machines. */
  readonly allowCleartext?: boolean;
  /** Connections to open at the most, where the endpoint's own query does not say. */
  readonly connections?: number;
  /** Both sides of the conversation, without secrets. */
  readonly trace?: ServerOptions["trace"];
  /** See ServerOptions. */
  readonly onSilence?: ServerOptions["onSilence"];
  /** What an adapter has to say about a place as a whole. */
  readonly onNotice?: (text: string) => void;
  /** In a folder on a disk, links that lead out of it are followed too. Never in an archive of ours. */
  readonly followLinks?: boolean;
  /** What Thunderbird deleted and has not compacted away is asked for, and told as that. */
  readonly withExpunged?: boolean;
  /** A source that is opened to be read through: an account is asked for its folders with the login, and not for their octets. */
  readonly toRead?: boolean;
}

export interface SinkContext extends EndpointContext {
  /** Names this very job: a finished FILE.zip is accepted again only for the job that wrote it. */
  readonly job: string;
  /** See MboxZipSinkOptions. */
  readonly recheck?: boolean;
}

/** Throws MailError config for a cleartext connection to another machine, unless that was allowed. */
export function refuseCleartext(endpoint: Endpoint, allowed: boolean | undefined): void {
  if (!isAccount(endpoint) || endpoint.security !== "none" || allowed === true || isLoopback(endpoint.host)) return;
  throw configError(
    `tls=none would send the password and the mail in the clear to ${endpoint.host}`,
    "Leave tls=none out; or, on a network that you trust wholly, add --allow-cleartext.",
  );
}

/** Opens an endpoint for reading. Throws MailError auth, connection, config or io. Dispose it with `await using`. */
export async function openSource(endpoint: Endpoint, context: EndpointContext, signal: AbortSignal): Promise<Source> {
  const notice = {
    ...(context.onNotice === undefined ? {} : { onNotice: context.onNotice }),
    ...(context.withExpunged === true ? { withExpunged: true } : {}),
  };
  const links = context.followLinks === true ? { followLinks: true } : {};
  switch (endpoint.kind) {
    case "imap": {
      const server = await serverOptions(endpoint, context);
      const { toRead = false } = context;
      return (await import("./sources/imap.ts")).openImapSource(server, signal, { toRead });
    }
    case "pop3": {
      const server = await serverOptions(endpoint, context);
      return (await import("./sources/pop3.ts")).openPop3Source(server, signal);
    }
    case "mbox": {
      const { path, dialect, raw } = endpoint;
      const options = { path, ...(dialect === undefined ? {} : { dialect }), ...(raw === undefined ? {} : { raw }) };
      return (await import("./endpoints/local.ts")).openMboxes({ ...options, ...notice, ...links }, signal);
    }
    case "maildir":
      return (await import("./endpoints/local.ts")).openMaildirs(
        { path: endpoint.path, recordedDates: loadRecordedDates, ...notice, ...links },
        signal,
      );
    case "mboxzip":
      return (await import("./sources/mbox-zip.ts")).openMboxZipSource({ path: endpoint.path, ...notice }, signal);
  }
}

const loadRecordedDates = async (home: string): Promise<RecordedDates> =>
  (await import("./migrate/recorded-dates.ts")).recordedDates(home);

/** Opens an endpoint for writing. Throws MailError auth, connection, config, locked or io. Dispose it with `await using`. */
export async function openSink(endpoint: Endpoint, context: SinkContext, signal: AbortSignal): Promise<Sink> {
  switch (endpoint.kind) {
    case "imap": {
      const server = await serverOptions(endpoint, context);
      return (await import("./sinks/imap.ts")).openImapSink(server, signal);
    }
    case "maildir":
      return (await import("./sinks/maildir.ts")).openMaildirSink({ path: endpoint.path }, signal);
    case "mboxzip": {
      const { path, store } = endpoint;
      const { job, recheck } = context;
      const options = {
        path,
        job,
        ...(store === undefined ? {} : { store }),
        ...(recheck === undefined ? {} : { recheck }),
      };
      return (await import("./sinks/mbox-zip.ts")).openMboxZipSink(options, signal);
    }
    case "mbox":
    case "pop3":
      throw configError(`${endpoint.kind} is only read, never written`, "Write imaps://…, maildir:… or mboxzip:….");
  }
}

async function serverOptions(endpoint: ServerEndpoint, context: EndpointContext): Promise<ServerOptions> {
  refuseCleartext(endpoint, context.allowCleartext);
  const { password } = context;
  if (password === undefined) throw configError(`there is no password for ${showEndpoint(endpoint)}`);
  const { host, port, security, user, fingerprint, compress } = endpoint;
  const connections = endpoint.connections ?? context.connections;
  return {
    host,
    port,
    security,
    user,
    password,
    ...(endpoint.ca === undefined ? {} : { ca: await readCertificates(endpoint.ca) }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(connections === undefined ? {} : { connections }),
    ...(compress === undefined ? {} : { compress }),
    ...(context.trace === undefined ? {} : { trace: context.trace }),
    ...(context.onSilence === undefined ? {} : { onSilence: context.onSilence }),
  };
}

async function readCertificates(path: string): Promise<string> {
  let text: string;
  try {
    const info = await stat(path);
    // A pipe may be waited for for ever, and a device may never end.
    if (!info.isFile() && !info.isDirectory())
      throw configError(`${path} (?ca=) is ${kindOf(info)}, and no file`, "Give the path of a PEM file.");
    text = await readFile(path, "utf8");
  } catch (error) {
    const known = ioError(`cannot read the certificates of ?ca=${path}`, error);
    throw known.code === "io" ? configError(known.message, "Give the path of a PEM file.", error) : known;
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0)
    throw configError(`${path} (?ca=) holds no PEM certificate`, "It starts with -----BEGIN CERTIFICATE-----.");
  // OpenSSL passes over what it cannot read, and then trusts nobody.
  for (const [i, certificate] of certificates.entries())
    try {
      new X509Certificate(certificate);
    } catch (error) {
      throw configError(`certificate ${i + 1} in ${path} (?ca=) is damaged`, "Get the file anew.", error);
    }
  return text;
}
