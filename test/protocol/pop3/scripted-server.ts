// A POP3 server that does what a test tells it: any octets, cut anywhere, silence, lies, and a log of what it was sent.

import { createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Security, ServerOptions } from "../../../src/protocol/server.ts";
import { type Certificates, makeCertificates } from "../../kit/certificates.ts";

let made: Certificates | undefined;
/** One authority and certificate for all scripted servers of a test file. */
export function certificates(): Certificates {
  made ??= makeCertificates();
  return made;
}

export interface ScriptedMessage {
  readonly uidl?: string;
  /** The message as it is; the server stuffs its dots and adds a missing last CRLF. */
  readonly body: string | Buffer;
  /** What LIST says, when it is not the truth. */
  readonly size?: number;
}

/** What a hook may do instead of the usual answer: octets to send, or an end of the connection after them. */
export interface Act {
  readonly send?: string | Buffer;
  /** "fin": ends after the octets. "reset": RST. "silence": never answers again. */
  readonly ending?: "fin" | "reset" | "silence" | "tls";
}

export interface Script {
  readonly security?: Security;
  readonly messages?: readonly ScriptedMessage[];
  /** Undefined: the usual ones; null: CAPA is refused. */
  readonly capabilities?: readonly string[] | null;
  readonly greeting?: string;
  /** Octets a write, each in a turn of its own. */
  readonly chunk?: number;
  readonly certificates?: Certificates;
  /** Called for each command line; what it returns takes the place of the usual answer. */
  readonly on?: ((line: string, session: number) => Act | undefined) | undefined;
}

export interface ScriptedServer extends AsyncDisposable {
  readonly port: number;
  /** Every command line, of all sessions in order. */
  readonly commands: string[];
  readonly sessions: number;
  /** What is still in the maildrop: changed by a QUIT after DELE. */
  messages: readonly ScriptedMessage[];
  /** Sends octets that nobody asked for, in the newest session. */
  say(text: string): void;
  options(more?: Partial<ServerOptions>): ServerOptions;
}

export const USUAL = ["USER", "SASL PLAIN", "UIDL", "TOP", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "STLS"];
export const USER = "anna";
export const PASSWORD = "geheim-wört";

export function stuff(body: string | Buffer): Buffer {
  const text = Buffer.isBuffer(body) ? body.toString("latin1") : Buffer.from(body, "utf8").toString("latin1");
  const whole = text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`;
  return Buffer.from(`${whole.replace(/(^|\r\n)\./g, "$1..")}.\r\n`, "latin1");
}

export async function scriptedServer(script: Script = {}): Promise<ScriptedServer> {
  const certs = script.certificates ?? certificates();
  const sockets = new Set<Socket>();
  const commands: string[] = [];
  const state = { messages: script.messages ?? [], sessions: 0 };
  const security = script.security ?? "none";
  const secure = (socket: Socket) =>
    new TLSSocket(socket, { isServer: true, key: certs.key, cert: certs.certificate }).on("error", () => undefined);

  const server = createServer({ noDelay: true }, (raw) => {
    raw.on("error", () => undefined);
    sockets.add(raw);
    const session = ++state.sessions;
    serve(security === "tls" ? secure(raw) : raw, session, raw, true);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;

  let say: (text: string) => void = () => undefined;
  function serve(socket: Socket, session: number, raw: Socket, greet: boolean): void {
    const deleted = new Set<number>();
    let silent = false;
    let input = "";
    let output = Promise.resolve();
    const send = (data: string | Buffer) => {
      const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
      output = output.then(async () => {
        const step = script.chunk ?? bytes.length;
        for (let at = 0; at < bytes.length; at += step) {
          if (socket.destroyed) return;
          socket.write(bytes.subarray(at, at + step));
          if (script.chunk !== undefined) await new Promise((resolve) => setImmediate(resolve));
        }
      });
    };
    say = send;
    const act = (what: Act) => {
      if (what.send !== undefined) send(what.send);
      const { ending } = what;
      if (ending === undefined) return;
      silent = true;
      output = output.then(() => {
        if (ending === "fin") socket.end();
        if (ending === "reset") raw.resetAndDestroy();
        if (ending === "tls") {
          socket.removeListener("data", onData);
          serve(secure(socket), session, raw, false);
        }
      });
    };
    const onData = (data: Buffer) => {
      input += data.toString("utf8");
      for (let at = input.indexOf("\r\n"); at !== -1 && !silent; at = input.indexOf("\r\n")) {
        const line = input.slice(0, at);
        input = input.slice(at + 2);
        commands.push(line);
        act(script.on?.(line, session) ?? usual(line));
      }
    };
    const listed = (one: (message: ScriptedMessage, number: number) => string | undefined) =>
      state.messages
        .map((message, i) => (deleted.has(i + 1) ? undefined : one(message, i + 1)))
        .filter((row) => row !== undefined)
        .map((row) => `${row}\r\n`)
        .join("");
    const usual = (line: string): Act => {
      const [verb = "", argument = ""] = line.split(" ");
      const number = Number(argument);
      const message = state.messages[number - 1];
      switch (verb.toUpperCase()) {
        case "CAPA": {
          if (script.capabilities === null) return { send: "-ERR unknown command\r\n" };
          return { send: `+OK\r\n${(script.capabilities ?? USUAL).map((name) => `${name}\r\n`).join("")}.\r\n` };
        }
        case "STLS":
          return { send: "+OK begin\r\n", ending: "tls" };
        case "STAT":
          return {
            send: `+OK ${state.messages.length} ${state.messages.reduce((sum, m) => sum + m.body.length, 0)}\r\n`,
          };
        case "LIST":
          return { send: `+OK\r\n${listed((m, n) => `${n} ${m.size ?? m.body.length}`)}.\r\n` };
        case "UIDL":
          return { send: `+OK\r\n${listed((m, n) => (m.uidl === undefined ? undefined : `${n} ${m.uidl}`))}.\r\n` };
        case "RETR":
          if (message === undefined || deleted.has(number)) return { send: "-ERR no such message\r\n" };
          return { send: Buffer.concat([Buffer.from("+OK\r\n"), stuff(message.body)]) };
        case "TOP": {
          if (message === undefined || deleted.has(number)) return { send: "-ERR no such message\r\n" };
          const body = Buffer.from(message.body);
          const end = body.indexOf("\r\n\r\n");
          return {
            send: Buffer.concat([Buffer.from("+OK\r\n"), stuff(end === -1 ? body : body.subarray(0, end + 4))]),
          };
        }
        case "DELE":
          deleted.add(number);
          return { send: "+OK marked\r\n" };
        case "RSET":
          deleted.clear();
          return { send: "+OK\r\n" };
        case "QUIT":
          state.messages = state.messages.filter((_, i) => !deleted.has(i + 1));
          return { send: "+OK bye\r\n", ending: "fin" };
        default:
          return { send: "+OK\r\n" };
      }
    };
    socket.on("data", onData);
    if (greet) send(script.greeting ?? "+OK ready\r\n");
  }

  return {
    port,
    commands,
    get sessions() {
      return state.sessions;
    },
    get messages() {
      return state.messages;
    },
    set messages(messages) {
      state.messages = messages;
    },
    say: (text) => say(text),
    options: (more = {}) => ({
      host: "127.0.0.1",
      port,
      security,
      user: USER,
      password: async () => PASSWORD,
      ...(security === "none" ? {} : { ca: certs.ca }),
      ...more,
    }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const never = new AbortController().signal;
