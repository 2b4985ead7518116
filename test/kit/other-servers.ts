// Dovecot as a server of another kind: what it cannot be told to do, a proxy does to the octets between it and its client.
//
// Without UIDPLUS it keeps the UID of what was appended to itself; as a masking one it stores other octets than it was sent.

import { connect, createServer, type Socket } from "node:net";
import type { Dovecot } from "./dovecot.ts";

const LF = 10;
const X = 0x58;

/** Takes the octets of one direction of a connection as they come, and gives those that go on. */
type Rewriter = (chunk: Buffer) => Buffer;

/** The same server; what comes through its port `imap`, in the clear, tells no UIDPLUS. It stops with the server. */
export function withoutUidplus(dovecot: Dovecot): Promise<Dovecot> {
  return behind(dovecot, { down: () => linewise(silenced) });
}

/** The same server; what is appended through its port `imap`, in the clear, has an X for each octet above 127 in its header. */
export function masking(dovecot: Dovecot): Promise<Dovecot> {
  return behind(dovecot, { up: () => masker() });
}

/** As such a server has it. */
export function masked(bytes: Uint8Array): Buffer {
  const text = Buffer.from(bytes).toString("latin1");
  const body = text.search(/\r?\n\r?\n/);
  return Buffer.from(text.slice(0, body).replace(/[\x80-\xff]/g, "X") + text.slice(body), "latin1");
}

/**
 * The same server; what comes through its port `imap`, in the clear, has to ask before each literal (no LITERAL+, no MULTIAPPEND), and
 * TCP holds back its small answers until the one before was acknowledged (Nagle's algorithm).
 */
export function asking(dovecot: Dovecot): Promise<Dovecot> {
  return behind(dovecot, { down: () => linewise(withoutLiterals), holdsBack: true });
}

interface Rewriters {
  readonly up?: () => Rewriter;
  readonly down?: () => Rewriter;
  /** Default false. */
  readonly holdsBack?: boolean;
}

const asItIs = (): Rewriter => (chunk) => chunk;

async function behind(
  dovecot: Dovecot,
  { up = asItIs, down = asItIs, holdsBack = false }: Rewriters,
): Promise<Dovecot> {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect({ host: "127.0.0.1", port: dovecot.ports.imap });
    const [sent, answered] = [up(), down()];
    client.on("data", (chunk: Buffer) => server.write(sent(chunk)));
    client.once("end", () => server.end());
    server.on("data", (chunk: Buffer) => client.write(answered(chunk)));
    server.once("end", () => client.end());
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(one === server || !holdsBack);
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

/** Answers end with a line: what is behind the last line end waits for the rest of its line. */
function linewise(rewritten: (answers: string) => string): Rewriter {
  let rest: Buffer[] = [];
  return (chunk) => {
    const end = chunk.lastIndexOf(LF) + 1;
    if (end === 0) {
      rest.push(chunk);
      return Buffer.alloc(0);
    }
    const whole = Buffer.concat([...rest, chunk.subarray(0, end)]);
    rest = end < chunk.length ? [chunk.subarray(end)] : [];
    return Buffer.from(rewritten(whole.toString("latin1")), "latin1");
  };
}

function silenced(answers: string): string {
  return answers
    .replace(/^(\S+ OK )\[APPENDUID [^\]\r\n]*\] /gm, "$1")
    .replace(/^(\* (?:OK \[)?CAPABILITY\b[^\r\n]*?|\S+ OK \[CAPABILITY\b[^\r\n]*?) UIDPLUS\b/gm, "$1");
}

function withoutLiterals(answers: string): string {
  return answers.replace(/^(?:\* (?:OK \[)?CAPABILITY|\S+ OK \[CAPABILITY)\b[^\r\n]*/gm, (line) =>
    line.replace(/ (?:LITERAL[+-]|MULTIAPPEND)(?=[\] \r])/g, ""),
  );
}

/** Follows the client's lines and literals; those of an APPEND are messages. */
function masker(): Rewriter {
  let line = "";
  let isAppend = false;
  /** The line goes on behind a literal. */
  let isContinued = false;
  let literal = 0;
  /** Of a message whose header goes on, its last octets. */
  let header: string | undefined;
  return (chunk) => {
    const out = Buffer.from(chunk);
    for (const [at, octet] of chunk.entries()) {
      if (literal > 0) {
        literal--;
        if (!isAppend || header === undefined) continue;
        if (octet > 127) out[at] = X;
        header = (header + String.fromCharCode(octet)).slice(-4);
        if (header === "\r\n\r\n") header = undefined;
        continue;
      }
      line += String.fromCharCode(octet);
      if (octet !== LF) continue;
      if (!isContinued) isAppend = /^\S+ APPEND /i.test(line);
      const size = /\{(\d+)\+?\}\r\n$/.exec(line)?.[1];
      isContinued = size !== undefined;
      literal = Number(size ?? 0);
      header = "";
      line = "";
    }
    return out;
  };
}
