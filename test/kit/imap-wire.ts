// The test client's wire: commands with literals out, parsed responses in. Simple and whole in memory, and not mailferry's own code.

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ServerOptions } from "../../src/protocol/server.ts";

/** An atom or quoted string (decoded as latin1), a literal, NIL, or a list. */
export type Token = string | Buffer | null | readonly Token[];

export interface Wire {
  /** Sends a command whose Buffers are literals; resolves with its untagged responses and throws on NO and BAD. */
  command(...parts: readonly (string | Buffer)[]): Promise<readonly Token[][]>;
  /** The text of the last tagged OK, with its code. */
  readonly status: string;
  end(): void;
}

/** One response: its text between literals, and the literals. */
type Segments = readonly (string | Buffer)[];

/** Connects, secures as the options say, and logs in. */
export async function openWire(server: ServerOptions): Promise<Wire> {
  let socket: Socket = connectTcp({ host: server.host, port: server.port });
  await event(socket, "connect");
  const secure = async (): Promise<void> => {
    socket = connectTls({ socket, servername: server.host, ...(server.ca === undefined ? {} : { ca: server.ca }) });
    await event(socket, "secureConnect");
  };
  if (server.security === "tls") await secure();
  let wire = reader(socket);
  await wire.next();
  if (server.security === "starttls") {
    socket.write("s STARTTLS\r\n");
    const answer = String((await wire.next())[0]);
    if (!answer.startsWith("s OK")) throw new Error(`STARTTLS: ${answer}`);
    wire.release();
    await secure();
    wire = reader(socket);
  }
  let count = 0;
  let status = "";
  const command = async (...parts: readonly (string | Buffer)[]): Promise<readonly Token[][]> => {
    const tag = `k${++count}`;
    socket.write(`${tag} `);
    for (const part of parts) {
      if (typeof part === "string") socket.write(part, "latin1");
      else {
        socket.write(`{${part.length}+}\r\n`);
        socket.write(part);
      }
    }
    socket.write("\r\n");
    const untagged: Token[][] = [];
    for (;;) {
      const segments = await wire.next();
      const first = String(segments[0]);
      if (first.startsWith("* ")) untagged.push(parse(segments));
      if (!first.startsWith(`${tag} `)) continue;
      status = first.slice(tag.length + 1);
      if (status.startsWith("OK")) return untagged;
      throw new Error(`IMAP ${typeof parts[0] === "string" ? parts[0].split(" ", 1)[0] : ""}: ${status}`);
    }
  };
  const credentials = [server.user, await server.password()].flatMap((text) => [" ", Buffer.from(text, "utf8")]);
  await command("LOGIN", ...credentials);
  return {
    command,
    get status() {
      return status;
    },
    end: () => socket.destroy(),
  };
}

function event(socket: Socket, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject).once(name, () => {
      socket.off("error", reject);
      resolve();
    });
  });
}

function reader(socket: Socket): { next(): Promise<Segments>; release(): void } {
  let chunks: Buffer[] = [];
  let ended: Error | undefined;
  let wake: (() => void) | undefined;
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    wake?.();
  };
  const onEnd = (error?: unknown): void => {
    ended = error instanceof Error ? error : new Error("the server closed the connection");
    wake?.();
  };
  socket.on("data", onData).on("error", onEnd).on("close", onEnd);
  const more = async (): Promise<void> => {
    const before = chunks.length;
    if (ended !== undefined) throw ended;
    await new Promise<void>((resolve) => (wake = resolve));
    if (chunks.length === before && ended !== undefined) throw ended;
  };
  const take = (length: number): Buffer => {
    const all = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
    chunks = length < all.length ? [all.subarray(length)] : [];
    return all.subarray(0, length);
  };
  const line = async (): Promise<string> => {
    for (;;) {
      if (chunks.length > 1) chunks = [Buffer.concat(chunks)];
      const at = chunks[0]?.indexOf("\r\n") ?? -1;
      if (at >= 0) return take(at + 2).toString("latin1", 0, at);
      await more();
    }
  };
  return {
    async next() {
      const segments: (string | Buffer)[] = [];
      for (;;) {
        const text = await line();
        segments.push(text);
        const literal = /\{(\d+)\}$/.exec(text);
        if (literal === null) return segments;
        const length = Number(literal[1]);
        while (chunks.reduce((sum, chunk) => sum + chunk.length, 0) < length) await more();
        segments.push(Buffer.from(take(length)));
      }
    },
    release: () => socket.off("data", onData).off("error", onEnd).off("close", onEnd),
  };
}

/** The tokens of one untagged response, without its star. */
function parse(segments: Segments): Token[] {
  const stack: Token[][] = [[]];
  const push = (token: Token): void => {
    stack.at(-1)?.push(token);
  };
  for (const segment of segments) {
    if (typeof segment !== "string") {
      push(segment);
      continue;
    }
    // A quoted string, a bracket of a list, or an atom; "BODY[...]" and "[CODE ...]" stay one token.
    for (const [text] of segment
      .replace(/\{\d+\}$/, "")
      .matchAll(/"(?:[^"\\]|\\.)*"|[()]|[^\s()"[]*\[[^\]]*\][^\s()]*|[^\s()"]+/g)) {
      if (text === "(") stack.push([]);
      else if (text === ")") push(stack.pop() ?? []);
      else if (text.startsWith('"')) push(text.slice(1, -1).replace(/\\(.)/g, "$1"));
      else push(text.toUpperCase() === "NIL" ? null : text);
    }
  }
  return (stack[0] ?? []).slice(1);
}
