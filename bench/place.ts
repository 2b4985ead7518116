// Where the bench happens: a Dovecot whose mail lies on the disk or in the memory that was chosen, and a delaying proxy a port.

import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Dovecot, type Kind, startDovecot } from "../test/kit/dovecot.ts";
import type { Seed } from "../test/kit/imap-client.ts";
import { asking } from "../test/kit/other-servers.ts";
import { type FaultProxy, startProxy } from "../test/kit/proxy.ts";
import { seedMaildir } from "../test/kit/seed-maildir.ts";
import type { Account } from "./floors/socket.ts";

export const PASSWORD = "bench";

/** What a work says of the line between the tool and the server. */
export interface Line {
  readonly rttMs: number;
  readonly tls: boolean;
  /** The target asks before each literal, and holds back small answers: no LITERAL+, no MULTIAPPEND. */
  readonly asks?: true;
}

export interface Place extends AsyncDisposable {
  /** A folder of this run, for targets and configurations. */
  readonly root: string;
  readonly caFile: string;
  addUser(name: string): Promise<void>;
  /** For an account that nobody has opened yet. */
  seed(user: string, seeds: Iterable<Seed>): number;
  /** Brings new messages to an account that is in use. */
  deliver(user: string, seeds: Iterable<Seed>): Promise<void>;
  /** The root of the account's Maildir. */
  maildir(user: string): string;
  removeUser(user: string): void;
  account(kind: "imap" | "pop3", user: string, line: Line): Account;
  /** The delay of new connections on the delayed lines; 0 lets preparations run fast. */
  delay(rttMs: number): void;
}

export async function openPlace(root: string): Promise<Place> {
  const mail = join(root, "mail");
  mkdirSync(mail, { recursive: true });
  const dovecot = await startDovecot({ users: [], password: PASSWORD });
  const other = await asking(dovecot);
  const owner = statSync(dovecot.directory);
  const give = (path: string): void => {
    if (process.getuid?.() === 0) execFileSync("chown", ["-R", `${owner.uid}:${owner.gid}`, path]);
  };
  give(mail);
  const proxies = new Map<Kind, FaultProxy>();
  for (const kind of ["imap", "imaps", "pop3", "pop3s"] as const)
    proxies.set(kind, await startProxy(dovecot.ports[kind]));
  const maildir = (user: string): string => join(mail, user);
  // The kit writes into the home of a user; here the mail lies elsewhere.
  const elsewhere: Dovecot = { ...dovecot, maildir, adopt: (user) => give(maildir(user)) };
  const users = new Set<string>();
  const stop = async (): Promise<void> => {
    for (const proxy of proxies.values()) await proxy.close();
    await other.stop();
    rmSync(mail, { recursive: true, force: true });
  };
  return {
    root,
    caFile: dovecot.caFile,
    maildir,
    async addUser(name) {
      mkdirSync(maildir(name), { mode: 0o700 });
      give(maildir(name));
      await dovecot.addUser(name, { mailLocation: `maildir:${maildir(name)}` });
      users.add(name);
    },
    seed: (user, seeds) => seedMaildir(elsewhere, user, seeds),
    async deliver(user, seeds) {
      const { connectImap } = await import("../test/kit/imap-client.ts");
      const client = await connectImap(dovecot.serverOptions("imaps", user));
      try {
        for (const seed of seeds) await client.append(seed);
      } finally {
        await client[Symbol.asyncDispose]();
      }
    },
    removeUser(user) {
      users.delete(user);
      rmSync(maildir(user), { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
    account(kind, user, { rttMs, tls, asks }) {
      if (asks) return { port: other.ports.imap, user, password: PASSWORD, asks };
      const port: Kind = tls ? (kind === "imap" ? "imaps" : "pop3s") : kind;
      const number = rttMs === 0 ? dovecot.ports[port] : (proxies.get(port)?.port ?? 0);
      return { port: number, user, password: PASSWORD, ...(tls ? { ca: dovecot.caFile } : {}) };
    },
    delay(rttMs) {
      for (const proxy of proxies.values()) proxy.configure({ rttMs });
    },
    [Symbol.asyncDispose]: stop,
  };
}
