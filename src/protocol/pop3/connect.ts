// A POP3 connection, made and secured: TLS from the first octet or STLS, never skipped, the certificate checked.

import { connect as connectSocket, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { configError, errno, MailError } from "../../mail/errors.ts";
import {
  fingerprintOf,
  matchesFingerprint,
  networkError,
  noteCertificate,
  type ServerOptions,
  tlsOptions,
} from "../server.ts";
import { words } from "../words.ts";
import { CONNECT_TIMEOUT_MS, INACTIVITY_TIMEOUT_MS, type Timing } from "./limits.ts";
import { replyError } from "./replies.ts";
import { Wire } from "./wire.ts";

/**
 * Resolves when the wire is as secure as `server.security` demands; with the greeting that the server opened with. `secrets` are
 * hidden from the first word: a server that was here before may repeat them. Fails with
 * MailError connection, config (certificate, no STLS) or locked, or with the signal's reason.
 */
export async function openWire(
  server: ServerOptions,
  secrets: readonly string[],
  signal: AbortSignal,
  timing: Timing = {},
): Promise<{ wire: Wire; greeting: string }> {
  signal.throwIfAborted();
  const connectMs = timing.connectMs ?? CONNECT_TIMEOUT_MS;
  const plain = connectSocket({ host: server.host, port: server.port, noDelay: true, keepAlive: true });
  await established(server, plain, "connect", signal, connectMs);
  const socket = server.security === "tls" ? await secured(server, plain, signal, connectMs) : plain;
  const wire = new Wire(server, socket, connectMs);
  wire.hide(secrets);
  const cancel = () => wire.fail(signal.reason);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const reply = await wire.reply((line) => noPop3(server, line));
    timing.onGreeting?.();
    if (reply.status === "-ERR") throw replyError(server, "connecting", reply, "greeting");
    if (reply.status !== "+OK") throw wire.protocolError(`no greeting: ${words(reply.text)}`);
    if (server.security === "starttls") await startTls(wire, signal, connectMs);
    wire.patienceMs = timing.inactivityMs ?? INACTIVITY_TIMEOUT_MS;
    return { wire, greeting: reply.text };
  } catch (error) {
    wire.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** RFC 2595 4. CAPA is not asked: what was said in the clear could be anybody's, and STLS is demanded whatever it says. */
async function startTls(wire: Wire, signal: AbortSignal, connectMs: number): Promise<void> {
  const { server } = wire;
  wire.send("STLS");
  const reply = await wire.reply();
  if (reply.status !== "+OK")
    throw configError(
      `${server.host}:${server.port} offers no STLS: ${words(reply.text)}`,
      "Use pop3s:// (port 995). If the server did offer it before, somebody may be in between: do not go on in the clear.",
    );
  // Whatever came with the answer was not protected: kept, it would be taken for answers under TLS (CVE-2011-0411's family).
  if (wire.unread() > 0)
    throw new MailError("protocol", `${server.host}:${server.port} sent more before the TLS handshake: refused`, {
      scope: "account",
      remedy: "give-up",
      hint: "Somebody may be changing this connection; use pop3s:// or another network.",
    });
  await wire.replaceSocket((socket) => secured(server, socket, signal, connectMs));
}

async function secured(server: ServerOptions, plain: Socket, signal: AbortSignal, timeoutMs: number): Promise<Socket> {
  const pinned = server.fingerprint;
  // Its errors come through the TLS socket on top; without a listener of its own they would end the process.
  plain.on("error", () => undefined);
  const socket = connectTls({
    ...tlsOptions(server),
    // RFC 6066 3: no address as a server name; the certificate is then checked against `host`.
    servername: isIP(server.host) === 0 ? server.host : "",
    host: server.host,
    socket: plain,
    // With a pin that certificate alone is trusted, whoever signed it; it is compared below, before a word is said.
    ...(pinned === undefined ? {} : { rejectUnauthorized: false }),
  });
  const shown = noteCertificate(socket);
  try {
    await established(server, socket, "secureConnect", signal, timeoutMs, shown);
    if (pinned !== undefined && !matchesFingerprint(socket.getPeerCertificate(), pinned)) {
      const found = fingerprintOf(socket.getPeerCertificate());
      throw configError(
        `the certificate of ${server.host}:${server.port} is not the pinned one: it is ${found ?? "unknown"}`,
        "If the server's certificate was renewed, ask its administrator for the new fingerprint.",
      );
    }
    return socket;
  } catch (error) {
    socket.on("error", () => undefined).destroy();
    plain.destroy();
    throw error;
  }
}

/** Waits for one event of a socket; destroys it when something else comes first. */
async function established(
  server: ServerOptions,
  socket: Socket,
  event: "connect" | "secureConnect",
  signal: AbortSignal,
  timeoutMs: number,
  shown?: () => string | undefined,
): Promise<void> {
  let failed: (error: unknown) => void = () => undefined;
  const onError = (error: Error) => failed(error);
  const onClose = () => failed(new Error("the server closed it"));
  const onAbort = () => failed(signal.reason);
  const timer = setTimeout(() => failed(new Error(`no answer for ${timeoutMs / 1_000} s`)), timeoutMs);
  try {
    await new Promise<void>((resolve, reject) => {
      failed = reject;
      socket.once(event, () => resolve());
      socket.on("error", onError).on("close", onClose);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  } catch (error) {
    socket.on("error", () => undefined).destroy();
    if (signal.aborted) throw error;
    throw noTls(server, error) ?? networkError(server, error, undefined, shown?.());
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    socket.off("error", onError).off("close", onClose);
  }
}

/** A server that answers a handshake in plain text is the wrong port, not a bad certificate. */
function noTls(server: ServerOptions, error: unknown): MailError | undefined {
  const code = errno(error) ?? "";
  if (code !== "EPROTO" && !code.startsWith("ERR_SSL_")) return undefined;
  const text = error instanceof Error ? error.message : "";
  if (!/wrong version number|packet length|unknown protocol|http request/i.test(text)) return undefined;
  return configError(
    `${server.host}:${server.port} does not speak TLS`,
    "pop3s:// is for port 995; for port 110 use pop3:// (STLS).",
    error,
  );
}

/** The first words of another service at this port. */
function noPop3({ host, port }: ServerOptions, line: string): MailError | undefined {
  const speaks = /^\* (?:OK|PREAUTH|BYE)\b/i.test(line) ? "IMAP" : /^220[ -]/.test(line) ? "SMTP" : undefined;
  if (speaks === undefined) return undefined;
  return configError(
    `${host}:${port} speaks ${speaks}, not POP3`,
    speaks === "IMAP"
      ? "Write imaps:// or imap:// for it, or give the port of POP3: 995 (pop3s://) or 110 (pop3://)."
      : "Mail is read by IMAP (993, 143) or POP3 (995, 110); SMTP only sends it.",
  );
}
