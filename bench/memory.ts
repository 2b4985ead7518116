// Peak memory of real runs, as whole processes: a 100 MB message, and a folder of 100,000 messages, IMAP to Maildir and to zip; 20,000
// empty folders to a Maildir and to another account. npm run bench:memory [-- messages [folders]]; fails when a run fails or goes over the bound.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bigMessage } from "../fixtures/make.ts";
import { startDovecot } from "../test/kit/dovecot.ts";
import { seedMaildir } from "../test/kit/seed-maildir.ts";

/** Of RSS, at any moment of a run. */
const MOST_MB = 150;
const MANY = Number(process.argv[2] ?? 100_000);
const WIDE = Number(process.argv[3] ?? 20_000);
const main = new URL("../dist/bundle/main.js", import.meta.url).pathname;

/** Runs a built command to its end; peak RSS in MB as the kernel counted it, sampled from /proc (VmHWM only grows). */
async function measure(
  args: readonly string[],
  password: string,
): Promise<{ peakMb: number; seconds: number; code: number | null }> {
  const started = process.hrtime.bigint();
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, MAILFERRY_SOURCE_PASSWORD: password, MAILFERRY_TARGET_PASSWORD: password },
  });
  let peakMb = 0;
  const { readFile } = await import("node:fs/promises");
  const timer = setInterval(() => {
    void readFile(`/proc/${child.pid}/status`, "utf8").then(
      (text) => {
        peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1] ?? 0) / 1024);
      },
      () => undefined,
    );
  }, 20);
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  clearInterval(timer);
  return { peakMb, seconds: Number(process.hrtime.bigint() - started) / 1e9, code };
}

let failures = 0;
console.log(`node ${process.version}, at most ${MOST_MB} MB allowed`);
const root = await mkdtemp(join(tmpdir(), "mailferry-memory-"));
await using dovecot = await startDovecot({ fsync: false });
try {
  await dovecot.addUser("big");
  await dovecot.addUser("many");
  const message = bigMessage(100 << 20);
  const folder = ["INBOX"];
  seedMaildir(dovecot, "big", [{ folder, bytes: message }]);
  const small = function* () {
    for (let i = 0; i < MANY; i++)
      yield {
        folder,
        bytes: Buffer.from(`Message-ID: <${i}@example.org>\nSubject: message ${i}\n\n${"a line of text\n".repeat(20)}`),
      };
  };
  seedMaildir(dovecot, "many", small());
  await dovecot.addUser("wide");
  await dovecot.addUser("empty");
  const wide = dovecot.maildir("wide");
  for (let i = 0; i < WIDE; i++)
    for (const part of ["cur", "new", "tmp"]) mkdirSync(join(wide, `.Folder ${i}`, part), { recursive: true });
  dovecot.adopt("wide");
  const SAID = { big: "one message of 100 MB", many: `${MANY} messages`, wide: `${WIDE} empty folders` };
  const works = [
    ...(["big", "many"] as const).flatMap((user) => [
      { user, verb: "backup", target: `maildir:${join(root, `${user}-maildir`)}` },
      { user, verb: "backup", target: `mboxzip:${join(root, `${user}.zip`)}` },
    ]),
    { user: "wide", verb: "backup", target: `maildir:${join(root, "wide-maildir")}` },
    { user: "wide", verb: "migrate", target: dovecot.url("imaps", "empty") },
  ] as const;
  for (const { user, verb, target } of works)
    for (const again of [false, true]) {
      const args = [verb, "-q", dovecot.url("imaps", user), target, ...(verb === "migrate" ? ["--state", root] : [])];
      const { peakMb, seconds, code } = await measure(args, dovecot.password);
      const what = `${SAID[user]} to ${target.split(":")[0]}${again ? ", again" : ""}`;
      // No sample at all is no proof either.
      const isGood = code === 0 && peakMb > 0 && peakMb <= MOST_MB;
      if (!isGood) failures++;
      const verdict = isGood ? "" : " FAILED";
      console.log(`${what}: peak ${peakMb.toFixed(0)} MB, ${seconds.toFixed(1)} s, exit ${code}${verdict}`);
    }
} finally {
  await rm(root, { recursive: true, force: true });
}
if (failures > 0) {
  console.log(`${failures} runs failed or took more than ${MOST_MB} MB`);
  process.exitCode = 1;
}
