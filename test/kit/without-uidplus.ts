// Dovecot as a server without UIDPLUS: it cannot be told to keep the UID of what was appended to itself, so a proxy takes it out.

import { connect, createServer, type Socket } from "node:net";
import type { Dovecot } from "./dovecot.ts";

const LF = 10;

/** The same server; what comes through its port `imap`, in the clear, tells no UIDPLUS. It stops with the server. */
export async function withoutUidplus(dovecot: Dovecot): Promise<Dovecot> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect({ host: "127.0.0.1", port: dovecot.ports.imap });
    client.pipe(server);
    // Answers end with a line: what is behind the last line end waits for the rest of its line.
    let rest: Buffer[] = [];
    server.on("data", (chunk: Buffer) => {
      const end = chunk.lastIndexOf(LF) + 1;
      if (end === 0) {
        rest.push(chunk);
        return;
      }
      const whole = Buffer.concat([...rest, chunk.subarray(0, end)]);
      rest = end < chunk.length ? [chunk.subarray(end)] : [];
      client.write(Buffer.from(silenced(whole.toString("latin1")), "latin1"));
    });
    server.once("end", () => client.end());
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => other.destroy());
      one.once("close", () => {
        sockets.delete(one);
        if (one === client) other.destroy();
      });
    }
  });
  await new Promise<void>((resolve, reject) => proxy.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  if (typeof address !== "object" || address === null) throw new Error("the proxy has no port");
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (proxy.listening) await new Promise((resolve) => proxy.close(resolve));
    await dovecot.stop();
  };
  return { ...dovecot, ports: { ...dovecot.ports, imap: address.port }, stop, [Symbol.asyncDispose]: stop };
}

function silenced(answers: string): string {
  return answers
    .replace(/^(\S+ OK )\[APPENDUID [^\]\r\n]*\] /gm, "$1")
    .replace(/^(\* (?:OK \[)?CAPABILITY\b[^\r\n]*?|\S+ OK \[CAPABILITY\b[^\r\n]*?) UIDPLUS\b/gm, "$1");
}
