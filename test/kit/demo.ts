// npm run demo: the real command lines against a real mail server on this machine, with made-up mail.

import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mailbox, themes } from "../../fixtures/make.ts";
import { type Dovecot, startDovecot } from "./dovecot.ts";
import { connectImap, type Seed } from "./imap-client.ts";

const MESSAGES = 400;
const FOLDERS = 12;
const DROPPED = 50;
/** So long a demonstration is none. */
const COMMAND_LIMIT_MS = 60_000;

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const loader = import.meta.resolve("tsx");
const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Step {
  readonly why: string;
  readonly args: readonly string[];
  /** The exit code that is right; 0 unless it says otherwise. */
  readonly expect?: number;
}

/** Only what this server keeps as it is: the demonstration is of the copying, not of Dovecot's habits. */
function* accountMail(): Iterable<Seed> {
  yield* mailbox({ seed: 2024, messages: MESSAGES, folders: FOLDERS });
  for (const fixture of themes()) {
    if (fixture.dovecot === undefined) yield { ...fixture, folder: ["Oddities", fixture.theme] };
  }
}

async function fill(server: Dovecot): Promise<number> {
  await using anna = await connectImap(server.serverOptions("imaps", "anna"));
  const filled = await anna.fill(accountMail());
  for (const { path, selectable } of await anna.folders()) if (selectable) await anna.subscribe(path);
  await using post = await connectImap(server.serverOptions("imaps", "post"));
  await post.fill(mailbox({ seed: 7, messages: DROPPED, folders: 1 }));
  return filled;
}

function steps(server: Dovecot): readonly Step[] {
  const at = (kind: "imaps" | "imap" | "pop3s", user: string): string =>
    `${kind}://${user}@localhost:${server.ports[kind]}?ca=ca.pem`;
  const anna = at("imaps", "anna");
  return [
    { why: "What is in the account", args: ["folders", anna] },
    { why: "Back it up as a Maildir", args: ["backup", anna, "maildir:backup"] },
    { why: "The same again: nothing is copied twice", args: ["backup", anna, "maildir:backup"] },
    { why: "Is every message there, as it was?", args: ["verify", anna, "maildir:backup"] },
    { why: "Back it up as one zip of mboxes", args: ["backup", anna, "mboxzip:backup.zip"] },
    { why: "And that one?", args: ["verify", anna, "mboxzip:backup.zip"] },
    { why: "The archive by itself", args: ["verify", "backup.zip"] },
    { why: "Move house: to another account (STARTTLS)", args: ["migrate", anna, at("imap", "ben")] },
    { why: "Did it arrive?", args: ["verify", anna, at("imap", "ben"), "--both-ways"] },
    { why: "Empty a POP3 mailbox into an archive", args: ["drain", at("pop3s", "post"), "maildir:post"] },
    { why: "Nothing is left to drain", args: ["drain", at("pop3s", "post"), "maildir:post"] },
    { why: "Restore the zip into an empty account", args: ["restore", "backup.zip", at("imaps", "carla")] },
    { why: "Is it the account it was?", args: ["verify", anna, at("imaps", "carla"), "--both-ways"] },
  ];
}

/** As one would type it: in quotes where a shell would do something with it. */
function shown(args: readonly string[]): string {
  return args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`)).join(" ");
}

/** Runs the program as its own process; resolves with its exit code, or the signal that ended it. */
function run(args: readonly string[], cwd: string, password: string): Promise<number | string> {
  const env = {
    ...process.env,
    MAILFERRY_SOURCE_PASSWORD: password,
    MAILFERRY_TARGET_PASSWORD: password,
    // Ledgers between accounts: with the rest of what goes away afterwards.
    XDG_STATE_HOME: join(cwd, "state"),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", loader, main, ...args], {
      cwd,
      env,
      stdio: "inherit",
      timeout: COMMAND_LIMIT_MS,
    });
    child.once("error", reject).once("close", (code, signal) => resolve(code ?? signal ?? "nothing"));
  });
}

async function demonstrate(): Promise<number> {
  const begun = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "mailferry-demo-"));
  const server = await startDovecot({ users: ["anna", "ben", "carla", "post"] });
  try {
    const cwd = join(folder, "home");
    await mkdir(cwd);
    await copyFile(server.caFile, join(cwd, "ca.pem"));
    const filled = await fill(server);
    say(`A mail server on this machine, and in anna's account ${filled} messages that nobody wrote.`);
    say(`${DROPPED} more wait in a POP3 mailbox. The passwords are in the environment:`);
    say("MAILFERRY_SOURCE_PASSWORD and MAILFERRY_TARGET_PASSWORD.");
    for (const { why, args, expect = 0 } of steps(server)) {
      say(`\n# ${why}\n$ mailferry ${shown(args)}`);
      const code = await run(args, cwd, server.password);
      if (code === expect) continue;
      say(`\nThe demonstration failed: this command ended with ${code}, and not with ${expect}.`);
      return 1;
    }
    await using post = await connectImap(server.serverOptions("imaps", "post"));
    const left = await post.count(["INBOX"]);
    if (left !== 0) {
      say(`\nThe demonstration failed: ${left} messages are still in the drained mailbox.`);
      return 1;
    }
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
  say(`\nAll of that took ${((performance.now() - begun) / 1000).toFixed(1)} seconds. With your own account:\n`);
  say("  npm run mailferry -- backup imaps://you@imap.example.org maildir:./mail");
  say("  npm run mailferry -- migrate imaps://you@old.example.org imaps://you@new.example.org --dry-run");
  say("  npm run mailferry -- drain pop3s://you@pop.example.org maildir:./post --leave-for 14d");
  return 0;
}

process.exitCode = await demonstrate();
