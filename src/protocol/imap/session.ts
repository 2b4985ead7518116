// From server options to an authenticated connection: imapflow connects, secures and logs in, then hands its socket over.

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { ImapFlow, ImapFlowOptions } from "imapflow";
import { configError, MailError } from "../../mail/errors.ts";
import { checkCredentials, scrub, spellings, withSecret } from "../credentials.ts";
import { openReader, type Reader } from "../reader.ts";
import {
  fingerprintOf,
  matchesFingerprint,
  networkError,
  noteCertificate,
  type ServerOptions,
  tlsOptions,
} from "../server.ts";
import { whileOpening } from "../silence.ts";
import { unlessTlsPort } from "../tls-port.ts";
import { Connection } from "./connection.ts";
import { loginError, noImap, withoutSecret } from "./login-errors.ts";

/** DNS, TCP and TLS together. */
const CONNECT_MS = 60_000;
const GREETING_MS = 30_000;
/** Silence during login; some servers are slow to refuse a password on purpose. */
const LOGIN_STALL_MS = 60_000;
/** Octets of a line or a literal up to the login: a greeting, capabilities and a refusal take some hundreds. */
export const LOGIN_LINE_LIMIT = 64 * 1024;
/** The same of one response, its lines and literals together. */
const LOGIN_RESPONSE_LIMIT = 2 * LOGIN_LINE_LIMIT;
/** RFC 9051 7.1: whatever greets in IMAP begins with a star. */
const STAR = 0x2a;
/** RFC 9051 7.1.5. */
const BYE = /(?:^|\n)\* BYE +(?:\[[^\]\r\n]*\] *)?([^\r\n]*)/i;

/** Waits, for tests and slow lines. */
export interface Timing {
  /** See STALL_MS. */
  readonly stallMs?: number;
  /** Each of the waits up to the end of the login. */
  readonly loginMs?: number;
}

export interface ConnectOptions extends Timing {
  /** For the trace. */
  readonly name: string;
  /** Others of this account are in: a refusal says nothing about the password, unless it says so. */
  readonly another?: boolean;
  /** Called with the server's first word. */
  readonly onGreeting?: () => void;
}

/**
 * Connects and logs in. TLS comes first always (RFC 8314), unless security is "none": with STARTTLS missing or stripped, or a
 * certificate that is not the trusted one, nothing secret has been sent. Throws MailError auth, connection or config.
 */
export async function connectImap(
  place: ServerOptions,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<Connection> {
  signal.throwIfAborted();
  // The user name first: nobody is asked for a password in vain.
  checkCredentials(place.user, "password", "-");
  // Loaded only where a mailbox is opened, and while the password is asked for: it takes a fifth of a second.
  const loading = import("imapflow");
  loading.catch(() => undefined);
  return withSecret(place.password, (pass) =>
    whileOpening(
      place.onSilence,
      unlessTlsPort("imap", place, signal, (until, onGreeting) =>
        logIn(loading, place, pass, onGreeting === undefined ? options : { ...options, onGreeting }, until),
      ),
    ),
  );
}

async function logIn(
  loading: Promise<{ readonly ImapFlow: typeof ImapFlow }>,
  place: ServerOptions,
  pass: string,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<Connection> {
  signal.throwIfAborted();
  if (pass === "")
    throw new MailError("auth", `no password for ${place.user}`, { scope: "account", remedy: "give-up" });
  checkCredentials(place.user, "password", pass);
  const secrets = spellings(place.user, pass);
  const server = withoutSecrets(place, secrets);
  // The certificate's own trouble; imapflow would report only that the connection ended.
  const refusal: Refusal = { greeted: false };
  let opening: Opening | undefined;
  let client: ImapFlow | undefined;
  let isLoaded = false;
  const onAbort = (): void => {
    client?.close();
    opening?.socket.destroy();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    // Before imapflow is loaded: what passes between here and the server takes as long.
    opening = open(server, refusal);
    const { ImapFlow: Client } = await loading;
    isLoaded = true;
    signal.throwIfAborted();
    opening.demand();
    client = new Client(clientOptions(server, pass, options, opening, refusal));
    client.on("error", () => undefined);
    sparingly(client);
    await client.connect();
    refusal.deaf?.();
    signal.throwIfAborted();
    // It must not answer "secure" with anything else, however its options are understood.
    if (server.security !== "none" && !client.secureConnection)
      throw configError(`${server.host}:${server.port} is not secured by TLS`);
    return handOver(client, server, secrets, options, opening.reader);
  } catch (error) {
    client?.close();
    opening?.socket.destroy();
    signal.throwIfAborted();
    // A library that is not there is no matter of the server.
    if (opening !== undefined && !isLoaded) throw error;
    const attempt = {
      greeted: refusal.greeted,
      another: options.another === true,
      bye: scrub(refusal.bye ?? "", secrets),
    };
    throw refusal.error ?? loginError(server, withoutSecret(error, secrets), attempt);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** What is learnt on the way, and imapflow does not tell. */
interface Refusal {
  error?: MailError;
  /** The server said something. */
  greeted: boolean;
  /** Its goodbye; imapflow misses one that comes together with the end of the wire. */
  bye?: string | undefined;
  /** Listens no more. */
  deaf?: () => void;
}

/** The wire to the server, from the first packet on. */
interface Opening {
  readonly socket: Socket;
  /** What the socket was made with, where what it reads are the server's octets as they are. */
  readonly reader: Reader | undefined;
  /** Throws why it is lost, if it is. */
  demand(): void;
  /** Calls back, now or later, when the wire is there and, with TLS, its certificate the trusted one. */
  ready(then: () => void): void;
}

function open(server: ServerOptions, refusal: Refusal): Opening {
  // What STARTTLS or COMPRESS put between us and the socket reads from it in its own way.
  const reader = server.security !== "starttls" && server.compress !== true ? openReader(() => socket) : undefined;
  const place = { host: server.host, port: server.port, ...(reader === undefined ? {} : { onread: reader.onread }) };
  let then: (() => void) | undefined;
  let isReady = false;
  const onReady = (): void => {
    isReady = true;
    then?.();
  };
  const socket: Socket =
    server.security === "tls"
      ? secured(server, refusal, onReady, place)
      : connectTcp({ ...place, noDelay: true }, onReady);
  let lost: unknown;
  socket.on("error", (error) => {
    lost = error;
  });
  return {
    socket,
    reader,
    demand() {
      if (socket.destroyed) throw lost ?? new Error("the server closed the connection");
    },
    ready(call) {
      if (isReady) queueMicrotask(call);
      else then = call;
    },
  };
}

/**
 * imapflow says who it is before and after the login, asks for the namespaces, sends the password only when it is asked for it, and
 * waits for each answer: four round trips a connection. Here the connection introduces itself without waiting, the namespaces are
 * asked for together with the folders, and the password goes along with the login.
 */
function sparingly(client: ImapFlow): void {
  const held: { commands?: unknown } = client as object;
  if (!(held.commands instanceof Map)) return;
  const commands = new Map<unknown, unknown>(held.commands);
  for (const name of ["ID", "NAMESPACE"]) commands.delete(name);
  const authenticate = commands.get("AUTHENTICATE");
  if (typeof authenticate === "function")
    commands.set("AUTHENTICATE", (connection: Executing, user: string, credentials: Credentials): unknown =>
      authenticate(withInitialResponse(connection, user, credentials), user, credentials),
    );
  held.commands = commands;
}

/** What imapflow gives its commands. */
interface Executing {
  readonly capabilities: ReadonlyMap<string, unknown>;
  exec(command: string, attributes: readonly object[], options?: object): Promise<unknown>;
}

interface Credentials {
  readonly password?: string;
  readonly authzid?: string;
}

/**
 * AUTHENTICATE PLAIN with what the server would ask for (RFC 4959), where it takes that: a round trip less. A server that asks all
 * the same is answered as ever.
 */
function withInitialResponse(connection: Executing, user: string, { password, authzid = "" }: Credentials): Executing {
  if (password === undefined || !connection.capabilities.has("SASL-IR")) return connection;
  const exec: Executing["exec"] = (command, attributes, options) => {
    const [mechanism] = attributes;
    const isPlain = mechanism !== undefined && "value" in mechanism && mechanism.value === "PLAIN";
    if (command !== "AUTHENTICATE" || attributes.length !== 1 || !isPlain)
      return connection.exec(command, attributes, options);
    const value = Buffer.from([authzid, user, password].join("\0")).toString("base64");
    return connection.exec(command, [mechanism, { type: "ATOM", value, sensitive: true }], options);
  };
  return Object.create(connection, { exec: { value: exec } });
}

/** Some servers repeat what they were told: it must not come back in a trace. */
function withoutSecrets(server: ServerOptions, secrets: readonly string[]): ServerOptions {
  const { trace } = server;
  if (trace === undefined) return server;
  return { ...server, trace: (name, direction, text) => trace(name, direction, scrub(text, secrets)) };
}

function handOver(
  client: ImapFlow,
  server: ServerOptions,
  secrets: readonly string[],
  options: ConnectOptions,
  reader: Reader | undefined,
): Connection {
  const capabilities = new Set<string>();
  for (const [name, value] of client.capabilities)
    capabilities.add(typeof value === "number" ? `${name}=${value}`.toUpperCase() : name.toUpperCase());
  const wire = client.unbind();
  wire.socket.setTimeout(0);
  return new Connection(reader === undefined ? wire : { ...wire, reader }, {
    server,
    name: options.name,
    capabilities,
    // RFC 2971. Some servers (NetEase) open no folder for somebody who does not say who he is.
    ...(capabilities.has("ID") ? { introduction: 'ID ("name" "mailferry")' } : {}),
    secrets,
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  });
}

function clientOptions(
  server: ServerOptions,
  pass: string,
  { name, loginMs, onGreeting }: ConnectOptions,
  { socket, ready }: Opening,
  refusal: Refusal,
): ImapFlowOptions {
  return {
    host: server.host,
    port: server.port,
    // One of the two always, or a stripped STARTTLS would mean a login in the clear.
    secure: server.security === "tls",
    ...(server.security === "tls" ? {} : { doSTARTTLS: server.security === "starttls" }),
    auth: { user: server.user, pass },
    clientInfo: { name: "mailferry" },
    logger: server.trace === undefined ? false : traceLogger(name, server.trace),
    disableCompression: server.compress !== true,
    disableAutoIdle: true,
    disableAutoEnable: true,
    disableIMAP4rev2: true,
    // Without them it holds up to 2 GiB for whoever answers at this address.
    maxLineLength: LOGIN_LINE_LIMIT,
    maxLiteralSize: LOGIN_LINE_LIMIT,
    maxResponseSize: LOGIN_RESPONSE_LIMIT,
    connectionTimeout: loginMs ?? CONNECT_MS,
    greetingTimeout: loginMs === undefined ? GREETING_MS : loginMs / 2,
    socketTimeout: loginMs ?? LOGIN_STALL_MS,
    transport: {
      connect: (_, onConnect) => {
        ready(() => {
          onConnect();
          const hear = (chunk: Buffer): void => {
            const isGreeting = !refusal.greeted;
            refusal.greeted = true;
            if (isGreeting) onGreeting?.();
            refusal.bye ??= BYE.exec(chunk.toString("latin1"))?.[1];
            if (!isGreeting || chunk[0] === STAR) return;
            refusal.error = noImap(server, chunk);
            socket.destroy(refusal.error);
          };
          socket.on("data", hear);
          refusal.deaf = () => socket.off("data", hear);
        });
        return socket;
      },
      upgrade: (plain, _options, onSecure) => secured(server, refusal, onSecure, { socket: plain }),
    },
  };
}

/** A TLS socket that says it is ready only when its certificate is the trusted one; before that nothing is sent on it. */
function secured(server: ServerOptions, refusal: Refusal, onSecure: () => void, place: object): TLSSocket {
  const { servername, ...trust } = tlsOptions(server);
  const socket = connectTls(
    {
      ...trust,
      ...place,
      host: server.host,
      // RFC 6066 3: no address in the server name extension.
      ...(isIP(server.host) === 0 && servername !== undefined ? { servername } : {}),
      // A pinned certificate counts whoever signed it; it is looked at below, before the first octet is sent.
      ...(server.fingerprint === undefined ? {} : { rejectUnauthorized: false }),
    },
    () => {
      const { fingerprint } = server;
      if (fingerprint !== undefined && !matchesFingerprint(socket.getPeerCertificate(), fingerprint)) {
        refusal.error = configError(
          `the certificate of ${server.host}:${server.port} is not the one that you pinned: it is ${fingerprintOf(socket.getPeerCertificate()) ?? "unknown"}`,
          "Compare that with the server's owner, and pin it if it was renewed; nothing was sent to it.",
        );
        socket.destroy(refusal.error);
        return;
      }
      socket.setNoDelay(true);
      onSecure();
    },
  );
  const shown = noteCertificate(socket);
  socket.on("error", (error) => {
    const translated = networkError(server, error, undefined, shown());
    if (translated.code === "config") refusal.error ??= translated;
  });
  return socket;
}

/** imapflow hides secrets in what it logs; of that only the lines of the conversation are passed on. */
function traceLogger(name: string, trace: NonNullable<ServerOptions["trace"]>): NonNullable<ImapFlowOptions["logger"]> {
  const line = (entry: unknown): void => {
    if (typeof entry !== "object" || entry === null || !("src" in entry) || !("msg" in entry)) return;
    if (entry.src === "c" || entry.src === "s") trace(name, entry.src === "c" ? "C" : "S", String(entry.msg));
  };
  const nothing = (): void => undefined;
  return { trace: nothing, debug: line, info: nothing, warn: nothing, error: nothing };
}
