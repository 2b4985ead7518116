// The writing half of the copy floors: MULTIAPPEND in groups with LITERAL+, nothing awaited but the socket's own room.

import type { Socket } from "node:net";
import { mustBeOk, read } from "./responses.ts";
import { type Account, open, quoted } from "./socket.ts";

const GROUP_MESSAGES = 100;
const GROUP_BYTES = 4 << 20;

export interface Appending {
  readonly socket: Socket;
  folder(name: string): void;
  /** The bytes follow by `bytes`. */
  message(traits: string, size: number): void;
  bytes(piece: Buffer): void;
  /** Resolves when the server has answered everything. */
  end(): Promise<void>;
}

export async function startAppending(account: Account): Promise<Appending> {
  const socket = await open(account);
  let refused = "";
  const closed = read(socket, {
    line(text) {
      // The folder may be there already (INBOX).
      if (!text.startsWith("c NO")) mustBeOk(text);
      if (text.startsWith("z OK")) refused = "none";
    },
  });
  socket.write(`a LOGIN ${quoted(account.user)} ${quoted(account.password)}\r\n`);
  let folder = "";
  let messages = 0;
  let bytes = 0;
  const endGroup = (): void => {
    if (messages > 0) socket.write("\r\n");
    messages = 0;
    bytes = 0;
  };
  return {
    socket,
    folder(name) {
      endGroup();
      folder = name;
      socket.write(`c CREATE ${name}\r\ns SELECT ${name}\r\n`);
    },
    message(traits, size) {
      if (messages >= GROUP_MESSAGES || bytes >= GROUP_BYTES) endGroup();
      socket.write(`${messages === 0 ? `d APPEND ${folder}` : ""} ${traits}{${size}+}\r\n`);
      messages++;
      bytes += size;
    },
    bytes: (piece) => void socket.write(piece),
    async end() {
      endGroup();
      socket.write("z LOGOUT\r\n");
      await closed;
      if (refused !== "none") throw new Error("the target closed the connection before LOGOUT was answered");
    },
  };
}
