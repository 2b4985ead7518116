// What every floor shares: its orders from the command line, and a socket, in the clear or with TLS.

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";

export interface Account {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A PEM file: TLS from the first octet. Absent: cleartext. */
  readonly ca?: string;
  /** It wants to be asked before each literal. */
  readonly asks?: true;
}

export interface Orders {
  readonly source: Account;
  readonly target?: Account;
  /** A folder for files, or the mbox file to read. */
  readonly path?: string;
}

/** The one argument of every floor, as JSON. */
export function orders(): Orders {
  return JSON.parse(process.argv[2] ?? "{}") as Orders;
}

/** A failing socket ends the floor with a message and a code other than 0: a broken floor is no floor. */
export async function open(account: Account): Promise<Socket> {
  const place = { host: "localhost", port: account.port };
  const socket =
    account.ca === undefined
      ? connect({ ...place, noDelay: true })
      : (await import("node:tls")).connect({ ...place, ca: readFileSync(account.ca) }).setNoDelay(true);
  socket.on("error", (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  return socket;
}

export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
