// A port that speaks TLS from the start is silent to whoever waits there for a greeting in the clear: found out, and said at once.

import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { configError } from "../mail/errors.ts";
import type { ServerOptions } from "./server.ts";
import { SILENCE_MS } from "./silence.ts";

/** Asked no longer than that; then it is a slow server like others. */
const PROBE_MS = 5000;

/**
 * Getting in without TLS from the first octet (STARTTLS, or none). A server that does not greet for a while is asked, over a connection
 * of its own, for a TLS handshake; where there is one, `open` is aborted, and a MailError config says how the port is written. `open`
 * calls back when the server has greeted.
 */
export async function unlessTlsPort<T>(
  kind: "imap" | "pop3",
  server: ServerOptions,
  signal: AbortSignal,
  open: (signal: AbortSignal, onGreeting?: () => void) => Promise<T>,
): Promise<T> {
  if (server.security === "tls") return await open(signal);
  const stopper = new AbortController();
  let probe: TLSSocket | undefined;
  const timer = setTimeout(() => {
    probe = hello(server, () => stopper.abort(speaksTls(kind, server)));
  }, SILENCE_MS);
  try {
    return await open(AbortSignal.any([signal, stopper.signal]), () => clearTimeout(timer));
  } finally {
    clearTimeout(timer);
    probe?.destroy();
  }
}

/** Nothing is sent over it but the handshake, and nothing that it says is believed: its certificate is of no matter. */
function hello({ host, port }: ServerOptions, isTls: () => void): TLSSocket {
  const socket = connect({ host, port, servername: isIP(host) === 0 ? host : "", rejectUnauthorized: false }, () => {
    isTls();
    socket.destroy();
  });
  // What speaks no TLS answers with something else.
  socket.on("error", () => undefined);
  socket.setTimeout(PROBE_MS, () => socket.destroy());
  return socket;
}

function speaksTls(kind: "imap" | "pop3", { host, port, security }: ServerOptions): Error {
  const without = security === "none" ? ", without tls=none" : "";
  return configError(
    `${host}:${port} speaks TLS from the start, and says nothing to ${kind}://`,
    `Write ${kind}s://user@${host}:${port}${without}.`,
  );
}
