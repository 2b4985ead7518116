// A private Dovecot on free loopback ports in a temporary folder: started, asked, stopped, and nothing left behind.

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { chownSync, lchownSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { ServerOptions } from "../../src/protocol/server.ts";
import { makeCertificates } from "./certificates.ts";
import { type Account, configuration, type Ports } from "./dovecot-config.ts";
import { dovecotInstalled, findProgram } from "./install.ts";

export type Kind = keyof Ports;

export interface DovecotOptions {
  /** Accounts to begin with; default `["anna", "ben"]`. More come with `addUser`. */
  readonly users?: readonly string[];
  /** Of every account. A fixed default with odd characters in it. */
  readonly password?: string;
  /** The plugin that lets a folder name hold the separator; default true. */
  readonly listescape?: boolean;
  /** What joins folder names on the wire; default "/". */
  readonly separator?: "/" | "." | "^";
  readonly layout?: "maildir++" | "fs";
  /** False: `mail_fsync = never`, for speed. Default true. */
  readonly fsync?: boolean;
  /** False: LOGIN and USER are refused without TLS (not on loopback, which Dovecot takes for secure). Default true. */
  readonly plaintext?: boolean;
  /** Folder name to special use without its backslash; default Drafts, Junk, Trash, Sent, Archive. */
  readonly specialUse?: Readonly<Record<string, string>>;
  /** For every protocol, beside listescape. */
  readonly plugins?: readonly string[];
  /** For IMAP alone ("imap_zlib" together with plugin "zlib" gives COMPRESS). */
  readonly imapPlugins?: readonly string[];
  /** Added to the end of dovecot.conf. */
  readonly extraConfig?: string;
}

export interface UserOptions {
  /** An existing Maildir (or tree) that is copied in as this user's mail; the original stays as it is. */
  readonly maildir?: string;
  /** A mail_location of its own; ~ is the user's home. */
  readonly mailLocation?: string;
  readonly password?: string;
}

export interface Dovecot extends AsyncDisposable {
  readonly host: "localhost";
  readonly ports: Ports;
  /** What a client must trust: a file, and its PEM text. */
  readonly caFile: string;
  readonly ca: string;
  /** SHA-256 of the server's certificate, lower-case hex. */
  readonly fingerprint: string;
  readonly password: string;
  /** The temporary folder; gone after `stop`. */
  readonly directory: string;
  /** The process id of the master process. */
  readonly pid: number;
  addUser(name: string, options?: UserOptions): Promise<void>;
  /** An endpoint of mailferry's: "imaps://anna@localhost:1234?ca=/tmp/…". The starttls kinds are `imap` and `pop3`. */
  url(kind: Kind, user: string): string;
  /** The same for code. `imap` and `pop3` use STARTTLS and STLS. */
  serverOptions(kind: Kind, user: string): ServerOptions;
  home(user: string): string;
  /** The root of the user's Maildir. */
  maildir(user: string): string;
  /** After files were written below a user's home from outside: gives them to the server's own user. */
  adopt(user: string): void;
  /** The standard output of doveadm; throws with its standard error. */
  doveadm(args: readonly string[]): Promise<string>;
  /** What the server has logged so far. */
  log(): string;
  /** Ends every process of the server and removes the folder. Harmless when called again. */
  stop(): Promise<void>;
}

const PASSWORD = 'test-"pass\\word{3}';
const ATTEMPTS = 5;
const START_LIMIT_MS = 15_000;

/** Starts a server; it answers on all four ports when this resolves. Fails, saying why, when Dovecot is missing or does not start. */
export async function startDovecot(options: DovecotOptions = {}): Promise<Dovecot> {
  const program = findProgram("dovecot");
  if (program === undefined || !dovecotInstalled())
    throw new Error("Dovecot is not installed: run `npx tsx test/kit/install.ts`");
  const account = ownAccount();
  // Paths of unix sockets may have 107 octets, and the folder must be reachable for the server's user.
  const directory = await mkdtemp(
    join(account.uid === process.getuid?.() && tmpdir().length < 50 ? tmpdir() : "/tmp", "mailferry-dovecot-"),
  );
  try {
    return await start(program, options, directory, account);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

async function start(program: string, options: DovecotOptions, directory: string, account: Account): Promise<Dovecot> {
  const certificates = makeCertificates();
  const { password = PASSWORD } = options;
  const path = (name: string): string => join(directory, name);
  const home = (user: string): string => path(join("home", encodeURIComponent(user).replaceAll(".", "%2E")));
  for (const name of ["home", "state", "users"]) await mkdir(path(name), { mode: 0o700 });
  await writeFile(path("ca.pem"), certificates.ca);
  await writeFile(path("certificate.pem"), certificates.certificate);
  await writeFile(path("key.pem"), certificates.key, { mode: 0o600 });
  give(directory, account);

  const addUser = async (name: string, user: UserOptions = {}): Promise<void> => {
    if (/[:/\n\r\0]/.test(name))
      throw new Error(`a user name in a passwd-file cannot hold a colon or a slash: ${name}`);
    const place = home(name);
    await mkdir(place, { mode: 0o700 });
    // cp keeps times (they are the received dates), links and odd names.
    if (user.maildir !== undefined) execFileSync("cp", ["-a", user.maildir, join(place, "Maildir")]);
    give(place, account);
    const extra =
      user.mailLocation === undefined ? "" : `userdb_mail=${user.mailLocation.replace(/^([^:]*:)~/, `$1${place}`)}`;
    // A file a user: Dovecot looks only now and then whether one that it has read has grown.
    const file = join(path("users"), name);
    writeFileSync(
      file,
      `${name}:{PLAIN.B64}${Buffer.from(user.password ?? password).toString("base64")}:${account.uid}:${account.gid}::${place}::${extra}\n`,
      { mode: 0o600 },
    );
    if (process.getuid?.() === 0) chownSync(file, account.uid, account.gid);
  };
  for (const name of options.users ?? ["anna", "ben"]) await addUser(name);

  for (let attempt = 1; ; attempt++) {
    const ports = await freePorts();
    await writeFile(path("dovecot.conf"), configuration(options, directory, ports, account));
    const running = await launch(program, directory, ports, account).catch((error: unknown) => {
      // Somebody else may have taken a port between our look and Dovecot's.
      if (attempt < ATTEMPTS && String(error).includes("Address already in use")) return undefined;
      throw error;
    });
    if (running === undefined) continue;
    const url = (kind: Kind, user: string): string =>
      `${kind}://${encodeURIComponent(user)}@localhost:${ports[kind]}?ca=${encodeURIComponent(path("ca.pem"))}`;
    return {
      host: "localhost",
      ports,
      caFile: path("ca.pem"),
      ca: certificates.ca,
      fingerprint: certificates.fingerprint,
      password,
      directory,
      pid: running.pid,
      addUser,
      url,
      serverOptions: (kind, user) => ({
        host: "localhost",
        port: ports[kind],
        security: kind === "imaps" || kind === "pop3s" ? "tls" : "starttls",
        user,
        password: () => Promise.resolve(password),
        ca: certificates.ca,
      }),
      home,
      maildir: (user) => join(home(user), "Maildir"),
      adopt: (user) => give(home(user), account),
      doveadm: (args) => doveadm(args, path("dovecot.conf"), account),
      log: () => readLog(directory),
      stop: running.stop,
      [Symbol.asyncDispose]: running.stop,
    };
  }
}

/** Everything runs as one ordinary user: root's mail would be refused, so root lends it to "nobody". */
function ownAccount(): Account {
  const group = (uid: string): string => execFileSync("id", ["-gn", uid], { encoding: "utf8" }).trim();
  const { username, uid, gid } = userInfo();
  if (uid !== 0) return { user: username, group: group(username), uid, gid };
  const id = (flag: string): number => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { user: "nobody", group: group("nobody"), uid: id("-u"), gid: id("-g") };
}

function asAccount(account: Account): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: account.uid, gid: account.gid } : {};
}

function give(path: string, account: Account): void {
  if (process.getuid?.() !== 0) return;
  chownSync(path, account.uid, account.gid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) give(child, account);
    else lchownSync(child, account.uid, account.gid);
  }
}

interface Running {
  readonly pid: number;
  stop(): Promise<void>;
}

async function launch(program: string, directory: string, ports: Ports, account: Account): Promise<Running> {
  const server = spawn(program, ["-F", "-c", join(directory, "dovecot.conf")], {
    ...asAccount(account),
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: Ctrl-C in a terminal then ends the tests first, and these end the server.
    detached: true,
  });
  let said = "";
  for (const stream of [server.stdout, server.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()).once("error", () => resolve()));
  const { pid } = server;
  const complaint = (): string =>
    `Dovecot did not start (this kit is written for 2.3; ${versionOf(program)} is installed): ${said}${readLog(directory)}`;
  if (pid === undefined) throw new Error(complaint());
  const guard = guardAgainstOurDeath(pid, directory);
  // The whole group at once: asked politely, the master takes a second, and there is nothing here worth a farewell.
  const kill = (): void => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const atExit = (): void => {
    kill();
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", atExit);
  let stopping: Promise<void> | undefined;
  const stop = (removing = true): Promise<void> => {
    stopping ??= (async () => {
      process.off("exit", atExit);
      server.ref();
      kill();
      await ended;
      guard.kill("SIGKILL");
      // A mail process may still be writing its last index while its master is gone.
      if (removing) rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    })();
    return stopping;
  };
  try {
    await Promise.race([
      Promise.all([greeted(ports.imap), greeted(ports.pop3)]),
      ended.then(() => Promise.reject(new Error("it ended at once"))),
    ]);
  } catch (error) {
    await stop(false);
    throw new Error(`${complaint()} ${String(error)}`, { cause: error });
  }
  // Neither the server nor its pipes keep a finished test process alive.
  for (const handle of [server, server.stdout, server.stderr]) if ("unref" in handle) (handle.unref as () => void)();
  return { pid, stop: () => stop() };
}

/** A shell that waits for our end of its pipe to close: it cleans up when this process is killed and cannot do so itself. */
function guardAgainstOurDeath(pid: number, directory: string): ChildProcess {
  const script = 'while read -r line; do :; done; kill -9 -"$1" 2>/dev/null; sleep 1; rm -rf "$2"';
  const guard = spawn("sh", ["-c", script, "sh", String(pid), directory], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    cwd: "/",
  });
  guard.unref();
  guard.on("error", () => undefined);
  guard.stdin.on("error", () => undefined);
  if ("unref" in guard.stdin) (guard.stdin.unref as () => void)();
  return guard;
}

/** Resolves when the port says its greeting; tries again while nobody listens. */
async function greeted(port: number): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const heard = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      const done = (result: boolean): void => {
        socket.destroy();
        resolve(result);
      };
      socket
        .once("data", () => done(true))
        .once("error", () => done(false))
        .once("close", () => done(false));
      socket.setTimeout(START_LIMIT_MS, () => done(false));
    });
    if (heard) return;
    if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function freePorts(): Promise<Ports> {
  const listeners = await Promise.all(Array.from({ length: 4 }, listening));
  const [imap = 0, imaps = 0, pop3 = 0, pop3s = 0] = listeners.map(({ port }) => port);
  await Promise.all(listeners.map(({ close }) => close()));
  return { imap, imaps, pop3, pop3s };
}

function listening(): Promise<{ port: number; close: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      resolve({ port, close: () => new Promise((closed) => server.close(() => closed())) });
    });
  });
}

function doveadm(args: readonly string[], config: string, account: Account): Promise<string> {
  const program = findProgram("doveadm") ?? "doveadm";
  return new Promise((resolve, reject) => {
    execFile(
      program,
      ["-c", config, ...args],
      { ...asAccount(account), maxBuffer: 1 << 28, cwd: "/" },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`doveadm ${args.join(" ")}: ${stderr || error.message}`, { cause: error }));
      },
    );
  });
}

function readLog(directory: string): string {
  try {
    return readFileSync(join(directory, "log"), "utf8");
  } catch {
    return "";
  }
}

function versionOf(program: string): string {
  try {
    return execFileSync(program, ["--version"], { encoding: "utf8" }).trim();
  } catch {
    return "an unknown version";
  }
}
