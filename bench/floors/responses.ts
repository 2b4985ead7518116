// The least of an IMAP reader: lines, and the octets of literals as they come, with nothing held but an unfinished line.

import type { Socket } from "node:net";

export interface Reader {
  /** A line without CRLF; for one that ends in a literal `literal` octets follow, and then another line. */
  line(text: string, literal: number | undefined): void;
  /** A piece of a literal; `left` octets of it are still to come. */
  piece?(bytes: Buffer, left: number): void;
}

/** Feeds the reader until the server closes the connection. */
export function read(socket: Socket, reader: Reader): Promise<void> {
  let rest: Buffer | undefined;
  let left = 0;
  socket.on("data", (chunk: Buffer) => {
    let buffer = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    rest = undefined;
    while (buffer.length > 0) {
      if (left > 0) {
        const piece = buffer.subarray(0, left);
        left -= piece.length;
        buffer = buffer.subarray(piece.length);
        reader.piece?.(piece, left);
        continue;
      }
      const end = buffer.indexOf("\r\n");
      if (end < 0) {
        rest = buffer;
        return;
      }
      const text = buffer.toString("latin1", 0, end);
      buffer = buffer.subarray(end + 2);
      const literal = /\{(\d+)\}$/.exec(text)?.[1];
      left = Number(literal ?? 0);
      reader.line(text, literal === undefined ? undefined : left);
    }
  });
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** The name of the folder in a LIST response whose folder can be opened, as it stands there. */
export function listedName(line: string): string | undefined {
  const match = /^\* LIST \(([^)]*)\) (?:"[^"]*"|NIL) (.*)$/.exec(line);
  return match === null || /\\(NoSelect|NonExistent)/i.test(match[1] ?? "") ? undefined : match[2];
}

/** Ends the floor when a command was refused. */
export function mustBeOk(line: string): void {
  if (!/^[a-z]\d* (NO|BAD) /.test(line)) return;
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
