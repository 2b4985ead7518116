// Makes sure that the servers the tests talk to are installed; npm test and npm run demo run it first.

import { spawnSync } from "node:child_process";
import { accessSync, closeSync, constants, existsSync, openSync, unlinkSync, writeSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = ["dovecot-imapd", "dovecot-pop3d"];
/** Where Debian, Fedora and Homebrew keep the processes that Dovecot starts. */
const LIBEXEC = [
  "/usr/lib/dovecot",
  "/usr/libexec/dovecot",
  "/opt/homebrew/libexec/dovecot",
  "/usr/local/libexec/dovecot",
];
const PARTS = ["imap", "imap-login", "pop3", "pop3-login", "auth"];
/** Debian asks this script whether a service may start while its package is installed. */
const POLICY = "/usr/sbin/policy-rc.d";

/** The path of a program: looked up in PATH and where system programs live, which an ordinary user's PATH may leave out. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"];
  return folders.map((folder) => join(folder, name)).find(executable);
}

/** True when Dovecot is here with both its IMAP and its POP3 part. */
export function dovecotInstalled(): boolean {
  if (findProgram("dovecot") === undefined || findProgram("doveadm") === undefined) return false;
  return LIBEXEC.some((folder) => PARTS.every((part) => executable(join(folder, part))));
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(): boolean {
  process.stderr.write(`Installing the test servers: apt-get install ${PACKAGES.join(" ")}\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // Waits for another apt that may be at work, instead of failing at once.
  const wait = ["-o", "DPkg::Lock::Timeout=120", "-qq"];
  const forbidding = forbidServices();
  try {
    for (const words of [["update"], ["install", "-y", "--no-install-recommends", ...PACKAGES]]) {
      const { status, stdout, stderr } = spawnSync("apt-get", [...wait, ...words], { env, encoding: "utf8" });
      // A failed update is no end: the lists may be fresh enough, or another apt holds them at this moment.
      if (status !== 0) process.stderr.write(`apt-get ${words[0]} failed:\n${stdout ?? ""}${stderr ?? ""}\n`);
    }
  } finally {
    if (forbidding) unlinkSync(POLICY);
  }
  return dovecotInstalled();
}

/** Keeps the package from starting a mail server on this machine; true when the script is ours to remove. */
function forbidServices(): boolean {
  try {
    const file = openSync(POLICY, "wx", 0o755);
    writeSync(file, "#!/bin/sh\nexit 101\n");
    closeSync(file);
    return true;
  } catch {
    return false;
  }
}

/** The exit code for npm: 0 when the tests can go on. */
export function prepare(): number {
  if (process.env.MAILFERRY_TEST_SERVERS === "none") {
    process.stderr.write("MAILFERRY_TEST_SERVERS=none: nothing that needs Dovecot is tested.\n");
    return 0;
  }
  if (dovecotInstalled()) return 0;
  const root = process.getuid?.() === 0;
  if (root && existsSync("/etc/debian_version") && install()) return 0;
  process.stderr.write(
    `The tests need Dovecot with IMAP and POP3: sudo apt-get install ${PACKAGES.join(" ")} (or MAILFERRY_TEST_SERVERS=none to go without)\n`,
  );
  return 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = prepare();
