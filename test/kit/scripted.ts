// A scripted line-protocol server for one test: it plays a conversation, well-behaved or not, and remembers what it was told.

import { createServer, type Socket } from "node:net";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import type { Certificates } from "./certificates.ts";

/** What a server shows of itself, and the TLS that it speaks where that is not the usual. */
export type Identity = Pick<Certificates, "certificate" | "key"> &
  Pick<SecureContextOptions, "minVersion" | "maxVersion" | "ciphers">;

/** One connection, as a script sees it. Every wait ends with an error when the client goes away. */
export interface Conversation {
  /** Counts from 1. */
  readonly number: number;
  /** The next line without its line end, as latin1; undefined when the client has ended. */
  line(): Promise<string | undefined>;
  /** The next octets, exactly so many: the body of a literal. */
  octets(count: number): Promise<Buffer>;
  /** Sends text (as latin1) or octets, exactly as given: write the CRLF yourself. */
  send(data: string | Uint8Array): void;
  /** Sends so that every octet comes in a write of its own. */
  dribble(data: string | Uint8Array): Promise<void>;
  /** Sends this in clear text and goes on in TLS at once, as after STARTTLS. */
  secure(identity: Identity, goAhead?: string): Promise<void>;
  /** FIN. */
  end(): void;
  /** RST. */
  reset(): void;
}

export type Script = (conversation: Conversation) => Promise<void>;

export interface ScriptedServer extends AsyncDisposable {
  readonly port: number;
  /** Lines received so far, over all connections; literals that were read by `octets` are not among them. */
  readonly heard: readonly string[];
  readonly connections: number;
  /** What a script threw, other than for a client that went away. Look at it in the test. */
  readonly failures: readonly unknown[];
  close(): Promise<void>;
}

/** Starts a server on a free loopback port that runs the script for each connection; `tls` makes it speak TLS from the first octet. */
export async function startScripted(script: Script, tls?: Identity): Promise<ScriptedServer> {
  const heard: string[] = [];
  const failures: unknown[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    connections++;
    const conversation = converse(socket, connections, heard);
    const run = async (): Promise<void> => {
      if (tls !== undefined) await conversation.secure(tls);
      await script(conversation);
    };
    run().then(
      () => conversation.end(),
      (error: unknown) => {
        if (!(error instanceof ClientGone)) failures.push(error);
        socket.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    heard,
    failures,
    get connections() {
      return connections;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

class ClientGone extends Error {}

function converse(plain: Socket, number: number, heard: string[]): Conversation {
  let socket = plain;
  let buffer: Buffer = Buffer.alloc(0);
  let ended = false;
  let wake: () => void = () => undefined;
  const onData = (chunk: Buffer): void => {
    buffer = Buffer.concat([buffer, chunk]);
    wake();
  };
  const onEnd = (): void => {
    ended = true;
    wake();
  };
  const attach = (): void => {
    socket.setNoDelay(true);
    socket.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onEnd);
  };
  attach();
  const more = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const take = (count: number): Buffer => {
    const taken = buffer.subarray(0, count);
    buffer = buffer.subarray(count);
    return taken;
  };
  return {
    number,
    async line() {
      for (;;) {
        const at = buffer.indexOf("\n");
        if (at >= 0) {
          const text = take(at + 1)
            .toString("latin1")
            .replace(/\r?\n$/, "");
          heard.push(text);
          return text;
        }
        if (ended) return undefined;
        await more();
      }
    },
    async octets(count) {
      while (buffer.length < count) {
        if (ended) throw new ClientGone("the client ended in the middle of a literal");
        await more();
      }
      return take(count);
    },
    send(data) {
      if (!socket.destroyed) socket.write(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    },
    async dribble(data) {
      const octets = typeof data === "string" ? Buffer.from(data, "latin1") : data;
      for (const octet of octets) {
        if (socket.destroyed) throw new ClientGone("the client went away");
        await new Promise<void>((resolve) => socket.write(Buffer.from([octet]), () => setImmediate(resolve)));
      }
    },
    async secure({ certificate, key, ...versions }, goAhead) {
      socket.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onEnd);
      if (goAhead !== undefined) socket.write(goAhead);
      const secured = new TLSSocket(socket, { isServer: true, cert: certificate, key, ...versions });
      await new Promise<void>((resolve, reject) => {
        const gone = (): void => reject(new ClientGone("the client left the TLS handshake"));
        secured.once("secure", resolve).once("error", gone).once("close", gone);
      });
      socket = secured;
      buffer = Buffer.alloc(0);
      attach();
    },
    end: () => socket.end(),
    reset: () => plain.resetAndDestroy(),
  };
}
